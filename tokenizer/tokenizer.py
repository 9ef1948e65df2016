"""The tokenizer: front end, autoencoder and codebook; it encodes sound to codes and decodes codes to spectrograms.

Patches are small blocks of a spectrogram, each of which becomes one code. Those of full height give one stream. Lower
patches give several streams that share autoencoder and codebook::

    mels   |  stream 1  |  stream 1  |         one row of patches for each band,
           |  stream 0  |  stream 0  |         one column for each time step
    frames [ 0        1 ][ 2        3 ]        frames = 2

Encoding works in blocks of a fixed number of patches, counted from the start of the recording; the last block is
padded. So a file, an array, a stream and any number of workers do the same arithmetic and give identical codes, in
constant memory. A GPU computes many blocks of a recording at once. Its sums are rounded in another order, so a code may
differ where two centroids are equally near.

Only ``audio.remove_mean=clip`` and ``audio.dynamic_range`` need memory for the recording's whole spectrogram, because
the mean (with the silence that pads the last patch) and the loudest values are known only after the last block. Codes
with a stream of pitch wait for 0.14 s of sound.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property, lru_cache
from itertools import tee
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from tokenizer.autoencoder import Autoencoder, StateDecoder
from tokenizer.code_decoder import CodeDecoderNetwork, inputs
from tokenizer.codes import (
    Codes,
    CodesFormat,
    require_sound,
    row_lengths,
)
from tokenizer.patches import from_patches, to_patches
from tokenizer.tokenizer_config import (
    AUTOENCODER,
    DECODER,
    SavedTokenizer,
    TokenizerConfig,
    fingerprint,
    weight_shapes,
)
from wordless.audio.audio_options import Channel, SpectrogramConfig
from wordless.audio.pitch_contour import patch_pitches
from wordless.audio.reading import Channels, Samples, as_waveform, each_recording, read_blocks, resample_blocks
from wordless.audio.spectrogram import LogMel, amplify, follow_level, log_mel_stream, subtract_mean
from wordless.audio.waveform import Waveform, equal_blocks, join_blocks
from wordless.base import saved_models
from wordless.base.arrays import FloatArray, IntArray
from wordless.base.devices import copy_to, exact, require_device
from wordless.base.messages import InputError
from wordless.base.saved_models import holds_rates
from wordless.base.threads import one_thread

MOST_GAIN = 20.0  # dB: more is no mean of logarithms, but damage
PATCHES_AT_ONCE = 500  # of a signal that is computed piece by piece
PATCHES_PER_BLOCK = 64  # larger blocks are faster on long recordings, and waste more padding on short ones
GPU_BLOCKS = 64  # that a GPU computes at once: 4,096 patches
BLOCKS_TOGETHER = 4  # of several recordings that a CPU computes at once; more leave its cache


def _require_gain(name: str, gain: float) -> None:
    if not abs(gain) <= MOST_GAIN:
        raise InputError(f"{name} is {gain} dB", remedy=f"it must be between {-MOST_GAIN:g} and {MOST_GAIN:g} dB")


class Tokenizer(nn.Module):
    """Encoder of sound to codes, and decoder of codes to spectrograms.

    Outputs are returned on the input's device. ``mean`` and ``std`` ``(mels,)`` are of the training frames' log-mel; if
    the front end brings it to the reference level, ``absolute (2, mels)`` are mean and std as loud as recorded.
    ``centroids`` are the codebook ``(codes, bottleneck)``. For ``gain``, in dB, see `tokenizer.gain.measure_gain`.

    `tokenizer.rates_tokenizer` has a tokenizer of several rates, and `tokenizer.speech_layer` one that quantises states
    of a speech model: they override what is different.
    """

    reads_patches: ClassVar[bool] = True  # whether a code is the nearest one to the bottleneck of a patch
    mean: Tensor
    std: Tensor
    centroids: Tensor
    absolute: Tensor | None

    def __init__(
        self,
        config: TokenizerConfig,
        mean: Tensor,
        std: Tensor,
        autoencoder: Autoencoder | StateDecoder,
        centroids: Tensor,
        *,
        absolute: Tensor | None = None,
        gain: float = 0.0,
        decoder: CodeDecoderNetwork | None = None,
    ) -> None:
        super().__init__()
        _require_gain("gain", gain)
        assert (absolute is None) == (config.level is None), (
            "sound as loud as recorded is another if a level is followed"
        )
        self.config, self.gain = config, gain
        self.alone_gain: float | None = None  # of the codes without the decoder, where there is one
        self.log_mel = LogMel(config.audio)
        self.autoencoder, self.decoder = autoencoder, decoder
        assert (decoder and decoder.config) == config.decoder, "the config names the decoder's sizes"
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.register_buffer("absolute", absolute)
        self.register_buffer("centroids", centroids)
        self.format: CodesFormat = config.codes_format(self._weights())
        self.eval()

    @property
    def finest(self) -> "Tokenizer":
        """The tokenizer whose codes a vocoder decodes; of several rates, that of the finest."""
        return self

    @property
    def front_end(self) -> SpectrogramConfig:
        """The spectrogram that the codes represent."""
        return self.config.audio

    @property
    def patch_frames(self) -> int:
        """Spectrogram frames per code."""
        return self.config.patch.frames

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz of the sound that is encoded; sound at other rates is resampled."""
        return self.format.sample_rate

    @property
    def codebook_size(self) -> int:
        """Number of different codes."""
        return self.format.codebook_size

    # Sound to codes

    def forward(self, samples: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode a batch of samples at `sample_rate` to codes; there are no gradients.

        Args:
            samples: ``(batch, samples)``, or ``(batch, channels, samples)``, floating point in [-1, 1].
            mask: ``(batch, samples)``, true (or 1) for samples, and false (or 0) for the padding that ends shorter
                rows. None: all rows have the same length.

        Returns:
            Codes ``(batch, time, streams)`` int64, side streams last, with 0 after the end of shorter rows; and their
            mask ``(batch, time)``, true for codes. Both are on the device of the samples.
        """
        if samples.ndim not in (2, 3):
            rule = "it must be (batch, samples) or (batch, channels, samples)"
            raise InputError(option="shape of the samples", value=(*samples.shape,), rule=rule)
        lengths, given = row_lengths(mask, (len(samples), samples.shape[-1])), samples.detach().cpu()
        channel: Channel = self.front_end.channel
        channels: Channels | None = "first" if samples.ndim == 3 else None
        rows = [
            as_waveform(row[..., :length], self.sample_rate, channel=channel, channels=channels)
            for row, length in zip(given, lengths, strict=True)
        ]
        found = [torch.from_numpy(codes.values.astype(np.int64)) for codes in self.encode_batch(rows)]
        steps = torch.tensor([len(codes) for codes in found])
        padded = nn.utils.rnn.pad_sequence(
            [torch.zeros(0, self.format.streams, dtype=torch.int64), *found], batch_first=True
        )
        known = torch.arange(padded.shape[1]) < steps[:, None]
        return copy_to(padded[1:], samples.device), copy_to(known, samples.device)

    def encode(
        self, waveform: Waveform | Samples, sample_rate: int | None = None, *, channels: Channels | None = None
    ) -> Codes:
        """Encode a whole recording: a `Waveform`, or samples with their rate in Hz. Other rates are resampled.

        Samples may be a NumPy array, a list or a tensor on any device, with one or several channels: see
        `wordless.audio.reading`. ``(2, samples)`` is one stereo recording, whose channels are averaged, and refused if
        its rows do not sound alike: they may be two recordings, which go to `encode_batch`. ``channels`` says which
        dimension is that of the channels: ``"first"``, ``(channels, samples)``, or ``"last"``.
        """
        require_sound(waveform, "samples")
        own = self.front_end.channel
        whole = as_waveform(waveform, sample_rate, channel=own, channels=channels, alone=True)
        return self.encode_blocks([whole.samples], whole.sample_rate)

    def encode_batch(
        self, recordings: Sequence[Waveform | Samples] | Samples, sample_rate: int | None = None
    ) -> list[Codes]:
        """Encode several recordings of any lengths, each as `encode` does: the codes do not depend on the others.

        Recordings are waveforms, or samples that have one rate in Hz. An array or tensor is ``(batch, samples)``, or
        ``(batch, channels, samples)``. Short recordings are computed together, which is faster, above all on a GPU.
        """
        audio, own = self.front_end, list[FloatArray]()
        for each, name in each_recording(recordings):
            require_sound(each, name)
            whole = as_waveform(each, sample_rate, channel=audio.channel, name=name)
            own.append(join_blocks(resample_blocks([whole.samples], whole.sample_rate, audio.sample_rate)))
        return self._encode_all(own)

    def _encode_all(self, recordings: Sequence[FloatArray]) -> list[Codes]:
        """Encode recordings at the own rate, those with few blocks together."""
        size, most = PATCHES_PER_BLOCK * self.config.samples_per_code, max(self._at_once, BLOCKS_TOGETHER)
        found, group, blocks = list[Codes](), list[FloatArray](), 0
        for samples in recordings:
            own = -(-len(samples) // size)
            if blocks + own > most:
                found += self._encode_together(group)
                group, blocks = [], 0
            group.append(samples)
            blocks += own
        return found + self._encode_together(group)

    @torch.inference_mode()
    def _encode_together(self, recordings: Sequence[FloatArray]) -> list[Codes]:
        """Encode recordings at the own rate, of which all blocks are computed at once."""
        if len(recordings) < 2 or not all(map(len, recordings)):
            return [self.encode_own([samples]) for samples in recordings]
        step, context = self.config.samples_per_code, self.front_end.left_context
        size = PATCHES_PER_BLOCK * step
        padded = [np.pad(samples, (context, -len(samples) % size)) for samples in recordings]
        blocks = [torch.from_numpy(samples).unfold(0, context + size, size) for samples in padded]  # (B, samples)
        whole = self.log_mel.frames(copy_to(torch.cat(blocks), self.centroids.device))  # (B, T, mels)
        steps = [self.format.steps(len(samples)) for samples in recordings]
        frames, levels = list[Tensor](), list[Tensor]()
        for own, count in zip(torch.split(whole, [*map(len, blocks)]), steps, strict=True):
            pieces = own.flatten(0, 1)[: count * self.patch_frames]
            for piece, level in self._followed(
                torch.split(pieces, self._at_once * PATCHES_PER_BLOCK * self.patch_frames)
            ):
                frames.append(piece)
                levels += [] if level is None else [level]
        values = torch.cat([self._codes_of(*frames), *([torch.cat(levels)] if levels else [])], dim=1).cpu()
        found = list[Codes]()
        for samples, codes in zip(recordings, torch.split(values, steps), strict=True):
            streams = [codes.numpy()]
            if self.config.pitch is not None:
                streams.append(np.concatenate([*self._pitches([samples])])[: len(codes)])
            found.append(Codes(values=np.column_stack(streams), num_samples=len(samples), format=self.format))
        return found

    def encode_file(self, path: Path | str) -> Codes:
        """Encode a recording that libsndfile can read; see `encode_stream` for its use of memory."""
        audio = self.config.audio
        return self.encode_own(read_blocks(Path(path), audio.sample_rate, channel=audio.channel))

    def encode_blocks(self, blocks: Iterable[FloatArray], sample_rate: int) -> Codes:
        """Encode a waveform that arrives in blocks of any sizes."""
        return self.encode_own(resample_blocks(blocks, sample_rate, self.config.audio.sample_rate))

    def encode_own(self, blocks: Iterable[FloatArray], *, side_streams: bool = True) -> Codes:
        """Encode blocks at the tokenizer's sample rate; ``side_streams=False`` leaves out the side streams."""
        form, samples = self.format if side_streams else self.format.spectral, 0
        # Codes are kept as bytes: one small tensor per block made the heap of a long recording grow by gigabytes.
        gathered = bytearray()
        for block, covered in self.encode_stream(blocks, at_once=self._at_once, side_streams=side_streams):
            gathered += block.cpu().numpy().tobytes()
            samples += covered
        values = np.frombuffer(gathered, np.int32).reshape(-1, form.streams)
        return Codes(values=values, num_samples=samples, format=form)

    def encode_stream(
        self, blocks: Iterable[FloatArray], *, at_once: int = 1, side_streams: bool = True
    ) -> Iterator[tuple[Tensor, int]]:
        """Give codes ``(steps, streams)`` and the samples they cover; blocks have the tokenizer's sample rate.

        ``at_once`` blocks are computed together, and their codes are on the CPU; those of a single one on the
        tokenizer's device, so a GPU need not finish a block before the next one is sent to it.
        """
        if self.config.pitch is None or not side_streams:
            yield from self._encode_spectrum(blocks, at_once, levels=side_streams)
            return
        blocks, heard = tee(blocks)
        pitches, pitch = self._pitches(heard), np.zeros(0, np.int32)
        for codes, covered in self._encode_spectrum(blocks, at_once, levels=True):
            while len(pitch) < len(codes):
                pitch = np.append(pitch, next(pitches))
            own, pitch = torch.from_numpy(pitch[: len(codes), None]), pitch[len(codes) :]
            yield torch.cat([codes, own.to(codes.device)], dim=1), covered

    def _pitches(self, blocks: Iterable[FloatArray]) -> Iterator[IntArray]:
        """Give the codes of the side stream of pitch ``(steps,)``, as soon as the blocks decide them."""
        assert self.config.pitch is not None, "there is no such stream"
        audio = self.front_end
        octaves = patch_pitches(blocks, audio.sample_rate, audio.hop_length, self.patch_frames)
        return map(self.config.pitch.quantise, octaves)

    def _followed(self, pieces: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Give the log-mel that codes stand for of the pieces of one recording, and codes of level ``(steps, 1)``."""
        if (level := self.config.level) is None:
            return ((frames, None) for frames in self.log_mel.relative(pieces))
        return ((frames, level.quantise(own)[:, None]) for frames, own in follow_level(pieces, self.front_end))

    def _encode_spectrum(
        self, blocks: Iterable[FloatArray], at_once: int, *, levels: bool
    ) -> Iterator[tuple[Tensor, int]]:
        """Give the codes of the spectrum ``(steps, spectral_streams)``, and with ``levels`` the level, too.

        See `encode_stream`.
        """
        sizes = deque[int]()  # samples covered by the blocks whose codes were not given yet
        for frames, level in self._followed(self._frames(blocks, at_once, sizes)):
            codes = self._codes_of(frames)
            if levels and level is not None:
                codes = torch.cat([codes, level], dim=1)
            yield codes.cpu() if at_once > 1 else codes, sizes.popleft()

    @property
    def _at_once(self) -> int:
        """Blocks that the device computes at once if nobody waits for the first one."""
        return 1 if self.centroids.device.type == "cpu" else GPU_BLOCKS

    def _frames(self, blocks: Iterable[FloatArray], at_once: int, sizes: deque[int]) -> Iterator[Tensor]:
        """Give the log-mel of whole patches ``(time, mels)``, block by block; the samples covered go into ``sizes``."""
        step, history = self.config.samples_per_code, np.zeros(self.config.audio.left_context, dtype=np.float32)
        size = PATCHES_PER_BLOCK * step
        for block in equal_blocks(blocks, at_once * size):
            samples = np.concatenate([history, block, np.zeros(-len(block) % size, np.float32)])
            history = samples[len(samples) - len(history) :]
            sizes.append(len(block))
            frames = self.log_mel.frames(copy_to(torch.from_numpy(samples)[None], self.centroids.device))[0]
            yield frames[: -(-len(block) // step) * self.patch_frames]

    @torch.inference_mode()
    def encode_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Encode log-mel ``(steps * patch_frames, mels)`` to codes of the spectrum ``(steps, streams)`` on the CPU.

        The log-mel is as the front end gives it, which may have brought it to the reference level.
        """
        size = self._at_once * PATCHES_PER_BLOCK * self.patch_frames
        blocks = torch.split(copy_to(spectrogram, self.centroids.device), size)
        return torch.cat([*map(self._codes_of, blocks)]).cpu()

    @torch.inference_mode()
    def _codes_of(self, *pieces: Tensor) -> Tensor:
        """Encode pieces of log-mel ``(time, mels)`` in blocks of `PATCHES_PER_BLOCK` patches: ``(steps, streams)``."""
        size, padded = PATCHES_PER_BLOCK * self.patch_frames, list[Tensor]()
        for frames in pieces:
            padded.append(nn.functional.pad(self.normalise(frames), (0, 0, 0, -len(frames) % size)))
        whole = padded[0] if len(padded) == 1 else torch.cat(padded)
        blocks = whole.reshape(len(whole) // size, size, whole.shape[1])
        codes = self.nearest(self.bottlenecks(blocks)).to(torch.int32).flatten(0, 1)  # (B, P, S) -> (B * P, S)
        parts = torch.split(codes, [len(each) // self.patch_frames for each in padded])
        own = [codes[: len(frames) // self.patch_frames] for codes, frames in zip(parts, pieces, strict=True)]
        return own[0] if len(own) == 1 else torch.cat(own)

    # Codes to spectrograms

    @property
    def reach(self) -> int:
        """Codes before a code that its log-mel depends on, and as many after it; 0: a code is decoded alone."""
        return 0 if self.config.decoder is None else self.config.decoder.reach

    def spectrogram(self, values: Tensor, *, before: int = 0, after: int = 0) -> Tensor:
        """Decode codes ``(batch, time, streams)`` to normalised log-mel ``(batch, time * patch_frames, mels)``.

        0 is the mean of the training recordings, as loud as they are. Codes without the side streams are decoded
        at the reference level.

        Of a part of a sound, the first ``before`` and the last ``after`` codes are context, whose log-mel is left out:
        `reach` codes on each side are enough. The bytes are those of the whole sound if the part begins at a multiple
        of `tokenizer.codes.BLOCK` codes.
        """
        self._require_streams(values, self.config.bands + len(self.finest.format.side_streams))
        inner = values[:, before : values.shape[1] - after]
        if self.decoder is None:
            return self.at_levels(self.decode_codes(inner[..., : self.config.bands]), inner)
        return self.at_levels(self._decode_in_context(values, before, after), inner)

    @torch.inference_mode()
    @exact
    def _decode_in_context(self, values: Tensor, before: int, after: int) -> Tensor:
        """Decode codes of the spectrum, and their pitch, to log-mel that is normalised as of `normalise`."""
        assert self.decoder is not None, "there is a network"
        shape = len(values), (values.shape[1] - before - after) * self.patch_frames, self.front_end.n_mels
        read = self.decoder_inputs(values).to(self.centroids.device)
        with one_thread():
            patches = [self.decoder.decode(each, before=before, after=after) for each in read]
        none = [read.new_zeros(0, read.shape[-1])]  # of no sound
        return torch.stack(patches or none).reshape(shape).to(values.device)  # (N, T, F * M) -> (N, T * F, M)

    def decoder_inputs(self, values: Tensor) -> Tensor:
        """Return what a code decoder reads of codes ``(batch, time, streams)``: see `tokenizer.code_decoder.inputs`."""
        self._require_streams(values, self.config.bands + len(self.finest.format.side_streams))
        alone, pitch = self.decode_codes(values[..., : self.config.bands]), self.config.pitch
        size = self.patch_frames * self.front_end.n_mels
        patches = alone.reshape(*values.shape[:2], size)  # (N, T * F, M) -> (N, T, F * M)
        if pitch is None or values.shape[-1] <= self.config.bands:
            return inputs(patches, None)
        octaves = torch.from_numpy(pitch.octaves).to(values.device)
        return inputs(patches, octaves[values[..., self.format.column(pitch)].long()])

    @torch.inference_mode()
    @exact
    def decode_codes(self, codes: Tensor) -> Tensor:
        """Decode codes of the spectrum ``(batch, time, bands)``, each alone, to log-mel as of `normalise`.

        Codes with side streams go to `spectrogram`.
        """
        self._require_streams(codes)
        patches = self.autoencoder.decoder(self.centroids)  # of all codes, which are few: then look up
        found = patches[codes.to(self.centroids.device).long()].to(codes.device)
        return from_patches(found, frames=self.patch_frames, height=self.config.height)

    def _require_streams(self, codes: Tensor, streams: int = 0) -> None:
        """Refuse codes of other streams than those of the spectrum, or of them and side streams, ``streams`` in all."""
        own = self.config.bands
        if codes.ndim != 3 or codes.shape[2] not in (own, streams or own):
            sides = "".join(f", {each.name}" for each in self.finest.format.side_streams)
            known = f"{own} or {streams}, codes{sides}" if streams > own else f"{own}, codes.finest.spectral.values"
            raise InputError(
                option="shape of the codes", value=(*codes.shape,), rule=f"it must be (batch, time, {known})"
            )

    @torch.inference_mode()
    def at_levels(self, frames: Tensor, values: Tensor) -> Tensor:
        """Bring frames that are normalised as of `normalise` to the levels of their codes, normalised as `spectrogram`.

        Without a level they are the same.
        """
        level, device = self.config.level, frames.device
        if level is None:
            return frames
        self._require_streams(values, self.format.streams)
        log_mel = frames * self.std.to(device) + self.mean.to(device)
        if values.shape[-1] > self.config.bands:
            gains = level.gains(values[..., self.format.column(level)]).repeat_interleave(self.patch_frames, 1)
            log_mel = amplify(log_mel, gains[..., None].to(device), self.front_end)
        mean, std = self.statistics
        return (log_mel - mean.to(device)) / std.to(device)

    # Parts

    @property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation ``(mels,)`` of log-mel as loud as recorded, which normalise `spectrogram`."""
        return (self.mean, self.std) if self.absolute is None else (self.absolute[0], self.absolute[1])

    def normalise(self, spectrogram: Tensor) -> Tensor:
        """Normalise log-mel of the front end ``(..., mels)``, which is at the reference level if it follows one.

        It has then zero mean and unit variance per mel band on the training recordings.
        """
        return (spectrogram - self.mean.to(spectrogram.device)) / self.std.to(spectrogram.device)

    def denormalise(self, spectrogram: Tensor) -> Tensor:
        """Undo the normalisation of `spectrogram`, which is that of `normalise` if no level is followed."""
        mean, std = self.statistics
        return spectrogram * std.to(spectrogram.device) + mean.to(spectrogram.device)

    def signals_of(self, samples: FloatArray) -> tuple[Tensor, Tensor]:
        """Compute what is encoded of samples ``(num_samples,)`` at the own rate, without a padded end.

        Return normalised log-mel ``(1, time, mels)``, and the vectors that are quantised ``(1, num_samples //
        samples_per_code, bands, bottleneck)``.
        """
        spectrogram = self.normalised(samples)
        return spectrogram, self.bottlenecks(spectrogram)

    @torch.inference_mode()
    def signals(self, pieces: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Give normalised log-mel ``(time, mels)`` and bottlenecks ``(steps, bands * bottleneck)``, piece by piece.

        Bottlenecks are 0 numbers wide where a code is not of a patch.
        """
        for piece in subtract_mean(pieces, self.config.audio.remove_mean):
            spectrogram = self.normalise(piece.to(self.mean.device))
            if self.reads_patches:
                yield spectrogram, self.bottlenecks(spectrogram[None])[0].flatten(1)
            else:
                yield spectrogram, spectrogram.new_zeros(len(spectrogram) // self.patch_frames, 0)

    @torch.inference_mode()
    def vectors(self, samples: FloatArray) -> FloatArray:
        """Compute the vectors that become the codes of samples ``(num_samples,)``: ``(time, bands * bottleneck)``."""
        bottlenecks = (each for _, each in self.signals(self.log_mel_pieces([samples])))
        return np.concatenate([each.cpu().numpy() for each in bottlenecks])

    def log_mel_pieces(self, blocks: Iterable[FloatArray]) -> Iterator[Tensor]:
        """Give the log-mel of blocks of samples at the own rate, before mean removal, the last patch padded."""

        def whole() -> Iterator[FloatArray]:
            length = 0
            for block in blocks:
                length += len(block)
                yield block
            yield np.zeros(-length % self.config.samples_per_code, np.float32)

        return log_mel_stream(self.log_mel_with_mean, whole(), frames=PATCHES_AT_ONCE * self.patch_frames)

    @cached_property
    def log_mel_with_mean(self) -> LogMel:
        """The front end without its removal of a mean."""
        return LogMel(replace(self.config.audio, remove_mean="none")).to(self.mean.device)

    def normalised(self, samples: FloatArray) -> Tensor:
        """Compute the normalised log-mel ``(1, time, mels)`` of samples ``(num_samples,)`` at the own rate."""
        return self.normalise(self.log_mel(copy_to(torch.from_numpy(samples)[None], self.centroids.device)))

    @exact
    def bottlenecks(self, spectrogram: Tensor) -> Tensor:
        """Encode normalised log-mel ``(batch, time, mels)`` to ``(batch, time // patch_frames, bands, bottleneck)``."""
        assert isinstance(self.autoencoder, Autoencoder), "others have no bottlenecks"
        patches = to_patches(spectrogram, frames=self.patch_frames, height=self.config.height)
        bottlenecks: Tensor = self.autoencoder.encoder(patches.to(self.centroids.device))
        return bottlenecks.to(spectrogram.device)

    @exact
    def decode_bottlenecks(self, bottlenecks: Tensor) -> Tensor:
        """``(batch, steps, bands, bottleneck)`` -> normalised log-mel ``(batch, steps * patch_frames, mels)``."""
        patches = self.autoencoder.decoder(bottlenecks.to(self.centroids.device)).to(bottlenecks.device)
        return from_patches(patches, frames=self.patch_frames, height=self.config.height)

    @exact
    def nearest(self, bottlenecks: Tensor) -> Tensor:
        """Find the nearest centroids of ``(..., bands, bottleneck)``: codes ``(..., bands)``."""
        # |b - c|^2 = |b|^2 - 2 b.c + |c|^2, of which |b|^2 is the same for all centroids
        products = bottlenecks.to(self.centroids.device) @ self.centroids.T
        distances = self.centroids.square().sum(-1) - 2 * products
        return distances.argmin(-1).to(bottlenecks.device)

    # Artifacts

    def use_decoder(self, decoder: CodeDecoderNetwork) -> None:
        """Decode codes in context from now on; the codes themselves stay the same, and `gain` is to be measured."""
        if self.decoder is None:
            self.alone_gain = self.gain
        self.decoder, self.config = decoder.eval(), replace(self.config, decoder=decoder.config)

    def drop_decoder(self) -> None:
        """Decode each code alone from now on, with the gain of codes that are decoded alone."""
        self.gain = self.gain if self.alone_gain is None else self.alone_gain
        self.alone_gain, self.decoder, self.config = None, None, replace(self.config, decoder=None)

    def save_pretrained(self, folder: Path | str) -> None:
        """Write ``model.safetensors``, a model card and, last, ``config.json``: a folder with a config is whole."""
        own = self.config
        alone = {} if self.alone_gain is None else {"alone_gain": self.alone_gain}
        config = {**asdict(own), "gain": self.gain, **alone, "fingerprints": self._fingerprints}
        facts = self.facts | {
            "patch": f"{own.patch.frames} frames of {own.height} mel bands",
            "bottleneck": own.autoencoder.bottleneck,
            "make-up gain of sound of the codes": f"{self.gain:g} dB",
            "fingerprint of front end and autoencoder": self.format.tokenizer,
            "codes that are read to decode one": 1 + 2 * self.reach,
        }
        card = tokenizer_card(self.format, facts | self.source)
        saved_models.write_model(Path(folder).expanduser(), self._weights(), config, card=card, hashed=False)

    @property
    def facts(self) -> dict[str, object]:
        """What the model card says of the front end."""
        audio = self.config.audio
        return {
            "sample rate": f"{audio.sample_rate} Hz",
            "window, hop": f"{audio.window_length}, {audio.hop_length} samples",
            "mel bands": audio.n_mels,
        }

    @property
    def source(self) -> dict[str, object]:
        """What the model card says of the vectors that are quantised, beside bottlenecks."""
        return {}

    @staticmethod
    def of_rates(tokenizers: Sequence["Tokenizer"]) -> "Tokenizer":
        """Join the tokenizers of several rates, coarse to fine, to one."""
        from tokenizer.rates_tokenizer import RatesTokenizer

        return RatesTokenizer(tokenizers)

    @staticmethod
    def from_pretrained(folder: Path | str, *, device: str = "cpu") -> "Tokenizer":
        """Load a folder, or ``user/name`` of the Hugging Face hub; weights must match the fingerprint in the config."""
        folder = saved_models.model_folder(folder, saved_models.TOKENIZER)
        if holds_rates(folder):
            from tokenizer.rates_tokenizer import RatesTokenizer  # its file imports this one

            return RatesTokenizer.of_folder(folder, device=device)
        with saved_models.reading(folder, saved_models.TOKENIZER, SavedTokenizer) as saved:
            config = saved.config
            weights = saved_models.read_own_weights(folder, weight_shapes(config))
            autoencoder, decoder = config.create_autoencoder(), config.create_decoder()
            for network, prefix in ((autoencoder, AUTOENCODER), (decoder, DECODER)):
                own = {name.removeprefix(prefix): each for name, each in weights.items() if name.startswith(prefix)}
                if network is not None:
                    network.load_state_dict(own)
            create: Callable[..., Tokenizer] = Tokenizer
            if config.speech_layer is not None:
                from tokenizer.speech_layer import SpeechTokenizer

                create = SpeechTokenizer.with_copy(folder, config.speech_layer)
            parts = weights["mean"], weights["std"], autoencoder, weights["centroids"]
            tokenizer = create(config, *parts, absolute=weights.get("absolute"), gain=saved.gain, decoder=decoder)
            _require_gain("alone_gain", saved.gain_without_decoder)
            tokenizer.alone_gain = saved.alone_gain
            if not bool((torch.minimum(tokenizer.std, tokenizer.statistics[1]) > 0).all()):
                raise InputError("a tensor of standard deviations holds numbers that are not above 0")
        if saved.fingerprints != tokenizer._fingerprints:
            problem = f"{folder} names {saved.fingerprints}, and its weights are of {tokenizer._fingerprints}"
            raise InputError(f"{problem}: the files do not belong together; copy the whole folder again from its run")
        return tokenizer.to(require_device(device))

    @property
    def _fingerprints(self) -> dict[str, str]:
        found = {"tokenizer": self.format.tokenizer, "codebook": self.format.codebook}
        if self.decoder is not None:
            found["decoder"] = fingerprint(asdict(self.decoder.config), self.decoder.state_dict())
        return found

    def _weights(self) -> dict[str, Tensor]:
        """Return the tensors that the tokenizer has learned: the others follow from its config."""
        own = ("mean", "std", "absolute", "centroids", "autoencoder", "decoder")
        return {name: each for name, each in self.state_dict().items() if name.partition(".")[0] in own}


@lru_cache(maxsize=1)
def load_tokenizer(folder: Path, device: str) -> Tokenizer:
    """Load a tokenizer, once in each process."""
    return Tokenizer.from_pretrained(folder, device=device)


_USE = """
import wordless

tokenizer = wordless.Tokenizer.from_pretrained("this/folder")
codes = tokenizer.encode(samples, sample_rate)  # mono or stereo, float or int16
"""


def tokenizer_card(codes_format: CodesFormat, facts: Mapping[str, object]) -> str:
    """Write Markdown about a tokenizer: its codes at each rate, coarse to fine, and further ``facts``."""
    rates, about = dict[str, object](), f"A recording becomes {codes_format.bits_per_second:.0f} bits per second."
    for number, each in enumerate(codes_format.formats, 1):
        of = f"{each.spectral_streams} stream(s) of {each.codebook_size} codes"
        of += "".join(f" and one of {own.levels} for the {own.name}, which is not counted" for own in each.side_streams)
        of += f", {each.bits_per_second:.0f} bits per second"
        steps = f"{each.codes_per_second:g} time steps per second"
        rates[f"`rate_{number}`" if codes_format.rates else "codes"] = f"{steps}, {of}; codebook `{each.codebook}`"
    note = "Each folder of a rate holds a tokenizer, which also works alone." if codes_format.rates else ""
    title, tags = "Tokenizer of sound", "tokenizer, discrete-units"
    return saved_models.model_card(title, about, {**rates, **facts}, _USE, tags=tags, note=note)
