"""The continuous signals of a recording, piece by piece: log-mel, and the bottlenecks from which codes are chosen."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from tokenizer.codes import Codes, SoftCodes
from tokenizer.tokenizer import Tokenizer
from wordless.audio.spectrogram import LogMel, log_mel_stream, subtract_mean
from wordless.audio.waveform import FloatArray, Waveform

PATCHES_AT_ONCE = 500


@torch.inference_mode()
def signals(
    tokenizer: Tokenizer, pieces: Iterable[Tensor], *, as_recorded: Callable[[Tensor], None] = lambda piece: None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Give normalised log-mel ``(time, mels)`` and bottlenecks ``(steps, streams * bottleneck)``, piece by piece.

    ``pieces`` are the log-mel ``(time, mels)`` of a recording's whole patches, before ``audio.remove_mean``;
    ``as_recorded`` is called with each of them. A speech model reads no log-mel, so its tokenizer has no bottlenecks
    here, ``(steps, 0)``.
    """
    for piece in subtract_mean(_observe(pieces, as_recorded), tokenizer.config.audio.remove_mean):
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
    codes = Codes(values=values, num_samples=len(values) * step, format=tokenizer.format)
    return SoftCodes(codes=codes, bottlenecks=by_band, codebooks=tokenizer.codebooks, spacings=tokenizer.spacings)


def log_mel_pieces(tokenizer: Tokenizer, blocks: Iterable[FloatArray], num_samples: int) -> Iterator[Tensor]:
    """Give the log-mel of ``num_samples`` samples at the tokenizer's rate, whose blocks arrive, before mean removal.

    The last patch is padded with silence, so these are the frames that the codes have.
    """
    padding = np.zeros(-num_samples % tokenizer.config.samples_per_code, np.float32)
    frames = PATCHES_AT_ONCE * tokenizer.patch_frames
    return log_mel_stream(_with_mean(tokenizer), chain(blocks, [padding]), frames=frames)


def whole_patches(frames: Tensor, patch_frames: int) -> Tensor:
    """Repeat the last of the frames ``(time, mels)`` until the last patch is whole.

    Stored hearings have no silence after their end, with which `log_mel_pieces` fills the last patch of a recording.
    """
    return torch.cat([frames, frames[-1:].expand(-len(frames) % patch_frames, -1)])


def codes_of_frames(tokenizer: Tokenizer, recordings: Iterable[Tensor]) -> list[Codes]:
    """Encode the log-mel ``(time, mels)`` of each recording, before ``audio.remove_mean``, all in one batch.

    The last patch of each is made whole.
    """
    frames, steps = _join_whole_patches(tokenizer, recordings)
    values, step = torch.split(tokenizer.encode_spectrogram(frames), steps), tokenizer.config.samples_per_code
    return [Codes(values=each.numpy(), num_samples=len(each) * step, format=tokenizer.format) for each in values]


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


def _observe(pieces: Iterable[Tensor], observer: Callable[[Tensor], None]) -> Iterator[Tensor]:
    for piece in pieces:
        observer(piece)
        yield piece


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
        found[f"{number}:codes"] = torch.from_numpy(each.values)
    return {name: picture.contiguous() for name, picture in found.items()}
