"""What a tokenizer computes of recordings, in any process: codes of clips, views and hearings, log-mel, bottlenecks."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tokenizer.codes import Codes, CodesFormat, SoftCodes
from tokenizer.options import View
from tokenizer.parquet import CodedClip
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read_blocks
from wordless.audio.recordings.hearings import HeardFrames
from wordless.audio.recordings.manifest import Clip
from wordless.audio.spectrogram import LogMel, frames_stream, log_mel_stream, subtract_mean, warp
from wordless.audio.waveform import FloatArray, Waveform, skip_samples

PATCHES_AT_ONCE = 500


@torch.inference_mode()
def signals(tokenizer: Tokenizer, pieces: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Give normalised log-mel ``(time, mels)`` and bottlenecks ``(steps, streams * bottleneck)``, piece by piece.

    ``pieces`` are the log-mel ``(time, mels)`` of a recording's whole patches, before ``audio.remove_mean``. A speech
    model reads no log-mel, so its tokenizer has no bottlenecks here, ``(steps, 0)``.
    """
    for piece in subtract_mean(pieces, tokenizer.config.audio.remove_mean):
        spectrogram = tokenizer.normalise(piece.to(tokenizer.mean.device))
        if tokenizer.speech_layer is None:
            yield spectrogram, tokenizer.bottlenecks(spectrogram[None])[0].flatten(1)
        else:
            yield spectrogram, spectrogram.new_zeros(len(spectrogram) // tokenizer.patch_frames, 0)


@torch.inference_mode()
def quantised_vectors(tokenizer: Tokenizer, samples: FloatArray) -> FloatArray:
    """Compute the vectors that become the codes of a recording ``(num_samples,)``: ``(time, streams * bottleneck)``."""
    if tokenizer.speech_layer is not None:
        return np.asarray(tokenizer.speech_layer.states(samples).cpu().numpy())
    pieces = (bottlenecks for _, bottlenecks in signals(tokenizer, log_mel_pieces(tokenizer, [samples], len(samples))))
    return np.concatenate([piece.cpu().numpy() for piece in pieces])


def soft_codes(tokenizer: Tokenizer, bottlenecks: Tensor) -> SoftCodes:
    """Return the codes of bottlenecks ``(time, bands * bottleneck)``, and how near they are to each code."""
    by_band = bottlenecks.reshape(len(bottlenecks), tokenizer.config.bands, -1).to(tokenizer.centroids.device)
    values, step = tokenizer.nearest(by_band).to("cpu", torch.int32).numpy(), tokenizer.config.samples_per_code
    codes = Codes(values=values, num_samples=len(values) * step, format=tokenizer.format.spectral)
    return SoftCodes(codes=codes, bottlenecks=by_band, codebooks=tokenizer.codebooks, spacings=tokenizer.spacings)


def log_mel_pieces(
    tokenizer: Tokenizer, blocks: Iterable[FloatArray], num_samples: int, *, patch_frames: int | None = None
) -> Iterator[Tensor]:
    """Give the log-mel of ``num_samples`` samples at the tokenizer's rate, whose blocks arrive, before mean removal.

    The last patch, by default the tokenizer's, is padded with silence, so these are the frames that the codes have.
    """
    size = tokenizer.patch_frames if patch_frames is None else patch_frames
    padding = np.zeros(-num_samples % (size * tokenizer.config.audio.hop_length), np.float32)
    return log_mel_stream(_with_mean(tokenizer), chain(blocks, [padding]), frames=PATCHES_AT_ONCE * size)


def whole_patches(frames: Tensor, patch_frames: int) -> Tensor:
    """Repeat the last of the frames ``(time, mels)`` until the last patch is whole.

    Stored hearings have no silence after their end, with which `log_mel_pieces` fills the last patch of a recording.
    """
    return torch.cat([frames, frames[-1:].expand(-len(frames) % patch_frames, -1)])


def codes_of_frames(tokenizer: Tokenizer, recordings: Iterable[Tensor]) -> list[Codes]:
    """Encode the log-mel ``(time, mels)`` of each recording, before ``audio.remove_mean``, all in one batch.

    The last patch of each is made whole. There is no stream of pitch, which only samples have.
    """
    frames, steps = _join_whole_patches(tokenizer, recordings)
    values, step = torch.split(tokenizer.encode_spectrogram(frames), steps), tokenizer.config.samples_per_code
    form = tokenizer.format.spectral
    return [Codes(values=each.numpy(), num_samples=len(each) * step, format=form) for each in values]


@torch.inference_mode()
def bottlenecks_of_frames(tokenizer: Tokenizer, recordings: Iterable[Tensor]) -> list[Tensor]:
    """Compute the bottlenecks ``(time, streams * bottleneck)`` of log-mel ``(time, mels)`` of recordings, on the CPU.

    The log-mel is that before ``audio.remove_mean``, and its last patch is made whole. Short recordings share a batch.
    """
    most, found = PATCHES_AT_ONCE * tokenizer.patch_frames, list[Tensor]()
    for several in short_together(recordings, most):
        frames, steps = _join_whole_patches(tokenizer, several)
        pieces = (tokenizer.normalise(piece.to(tokenizer.mean.device)) for piece in torch.split(frames, most))
        joined = torch.cat([tokenizer.bottlenecks(piece[None])[0].flatten(1).cpu() for piece in pieces])
        found += torch.split(joined, steps)
    return found


def short_together(recordings: Iterable[Tensor], most: int) -> Iterator[list[Tensor]]:
    """Divide recordings ``(time, mels)`` into neighbours of at most ``most`` frames; a longer one is alone."""
    together: list[Tensor] = []
    for frames in recordings:
        if together and sum(map(len, together)) + len(frames) > most:
            yield together
            together = []
        together.append(frames)
    if together:
        yield together


def _join_whole_patches(tokenizer: Tokenizer, recordings: Iterable[Tensor]) -> tuple[Tensor, list[int]]:
    """Join the frames ``(time, mels)`` of recordings without their mean, and count the whole patches of each."""
    size, how = tokenizer.patch_frames, tokenizer.config.audio.remove_mean
    whole = [torch.cat([*subtract_mean([whole_patches(frames, size)], how)]) for frames in recordings]
    return torch.cat(whole), [len(frames) // size for frames in whole]


@lru_cache(maxsize=1)
def _with_mean(tokenizer: Tokenizer) -> LogMel:
    """Return the tokenizer's front end, without its removal of a mean."""
    return LogMel(replace(tokenizer.config.audio, remove_mean="none")).to(tokenizer.mean.device)


@torch.inference_mode()
def pictures(tokenizer: Tokenizer, originals: Sequence[Waveform], codes: Sequence[Codes]) -> dict[str, Tensor]:
    """Show what a tokenizer keeps: log-mel ``(time, mels)``, original, autoencoded and quantised; and the codes."""
    found = {}
    for number, (original, each) in enumerate(zip(originals, codes, strict=True)):
        padded = np.zeros(len(each.values) * each.format.samples_per_code, np.float32)
        padded[: len(original.samples)] = original.samples
        spectrogram = tokenizer.normalise(tokenizer.log_mel(torch.from_numpy(padded)[None]))
        found[f"{number}:original"] = spectrogram[0]
        bottlenecks = tokenizer.bottlenecks_of(padded, spectrogram)
        found[f"{number}:autoencoder"] = tokenizer.decode_bottlenecks(bottlenecks)[0]
        found[f"{number}:codebook"] = tokenizer.spectrogram(torch.from_numpy(each.values)[None])[0]
        found[f"{number}:codes"] = torch.from_numpy(each.spectral.values)
    return {name: picture.contiguous() for name, picture in found.items()}


FRAMES_AT_ONCE = 3000  # pieces of a long recording, each warped separately

Job = tuple[Clip, int]  # a clip, and the frames of it to skip


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A tokenizer that any process can load, and the recordings that it is to encode."""

    folder: Path  # of the tokenizer
    root: Path  # of the recordings
    device: str = "cpu"
    pitched: bool = True  # whether clips and views have the stream of pitch, if the tokenizer has one

    @property
    def format(self) -> CodesFormat:
        """Meaning of the codes."""
        return self.tokenizer.format if self.pitched else self.tokenizer.format.spectral

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, loaded once in each process."""
        return load_tokenizer(self.folder, self.device)


@lru_cache(maxsize=1)
def load_tokenizer(folder: Path, device: str) -> Tokenizer:
    """Load a tokenizer, once in each process."""
    return Tokenizer.from_pretrained(folder, device=device)


def encode_clips(encoder: Encoder, jobs: Sequence[Job]) -> list[CodedClip]:
    """Encode clips, each from a frame on. Labels stay in the manifest, so a corrected label changes no codes file."""
    audio = encoder.tokenizer.config.audio
    sounds = [read_blocks(encoder.root / clip.path, audio.sample_rate, part=clip.part) for clip, _ in jobs]
    starts = [offset * audio.hop_length for _, offset in jobs]
    codes = encoder.tokenizer.encode_recordings([*map(skip_samples, sounds, starts)], pitched=encoder.pitched)
    return [
        CodedClip(path=clip.path, span=clip.span, codes=own, split=clip.split, offset_frames=offset)
        for (clip, offset), own in zip(jobs, codes, strict=True)
    ]


def encode_hearings(heard: HeardFrames, encoder: Encoder, clip: Clip) -> list[CodedClip]:
    """Encode one clip in each of its stored hearings."""
    coded = codes_of_frames(encoder.tokenizer, heard.of(clip))
    return [CodedClip(path=clip.path, span=clip.span, codes=codes, split=clip.split) for codes in coded]


def encode_views(encoder: Encoder, job: tuple[Clip, Sequence[View]]) -> list[CodedClip]:
    """Encode one clip in several views.

    The warped copies of a short clip share blocks of patches, because a block of few patches takes as long as a full
    one. Memory holds one warped copy of a long clip, or `FRAMES_AT_ONCE` frames of the copies of a short one.
    """
    clip, views = job
    audio, warped = encoder.tokenizer.front_end, [view for view in views if view.is_warped]
    short = clip.seconds * audio.sample_rate <= FRAMES_AT_ONCE * audio.hop_length
    pieces = (_warp_pieces(encoder, _frames(encoder, clip), view) for view in warped)  # of the copies of a long clip
    long = (torch.cat([*map(encoder.tokenizer.encode_spectrogram, each)]) for each in pieces)
    values = _encode_short(encoder, clip, warped) if short else long
    made = []
    for view in views:
        if view.is_warped:
            steps, step = next(values), encoder.tokenizer.config.samples_per_code
            codes = Codes(values=steps.numpy(), num_samples=len(steps) * step, format=encoder.format)
            offset = view.offset_frames
            made.append(CodedClip(path=clip.path, span=clip.span, codes=codes, split=clip.split, offset_frames=offset))
        else:
            made += encode_clips(encoder, [(clip, view.offset_frames)])
    return made


def _encode_short(encoder: Encoder, clip: Clip, views: Sequence[View]) -> Iterator[Tensor]:
    """Give the codes ``(steps, streams)`` of a clip in each warped view, of several views at a time."""
    if views:
        tokenizer, frames = encoder.tokenizer, [*_frames(encoder, clip)]
        none = tokenizer.mean.new_zeros(0, len(tokenizer.mean)).cpu()  # a clip shorter than a hop has no frame
        copies = (torch.cat([none, *_warp_pieces(encoder, frames, view)]) for view in views)
        for several in short_together(copies, FRAMES_AT_ONCE):
            steps = [len(patches) // tokenizer.patch_frames for patches in several]
            yield from torch.split(tokenizer.encode_spectrogram(torch.cat(several)), steps)


@torch.inference_mode()
def _frames(encoder: Encoder, clip: Clip) -> Iterator[Tensor]:
    """Give the clip's log-mel ``(time, mels)`` piece by piece, as all warped views have it before their own range."""
    blocks = read_blocks(encoder.root / clip.path, encoder.format.sample_rate, part=clip.part)
    yield from frames_stream(encoder.tokenizer.log_mel, blocks, frames=FRAMES_AT_ONCE)


@torch.inference_mode()
def _warp_pieces(encoder: Encoder, frames: Iterable[Tensor], view: View) -> Iterator[Tensor]:
    """Give the warped pieces ``(time, mels)`` of a clip, each of whole patches."""
    tokenizer = encoder.tokenizer
    size = max(view.patch_frames, tokenizer.patch_frames)
    for piece in tokenizer.log_mel.relative(frames, dynamic_range=view.dynamic_range):
        length, (speed, formants) = torch.tensor([len(piece)]), torch.tensor([[view.speed], [view.formants]]).float()
        warped = warp(piece[None], length, speeds=speed, formants=formants)[0][0, view.offset_frames :]
        yield warped[: len(warped) // size * size]
