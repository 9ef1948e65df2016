"""The continuous signals of a recording, piece by piece: log-mel, and the bottlenecks from which codes are chosen."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from audio.mean_removal import subtract_mean
from audio.spectrogram import LogMel, log_mel_stream
from audio.waveform import FloatArray
from tokenizer.assignments import SoftCodes
from tokenizer.codes import Codes
from tokenizer.tokenizer import Tokenizer

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
    frames, steps = _one_after_the_other(tokenizer, recordings)
    values, step = torch.split(tokenizer.encode_spectrogram(frames), steps), tokenizer.config.samples_per_code
    return [Codes(values=each.numpy(), num_samples=len(each) * step, format=tokenizer.format) for each in values]


@torch.inference_mode()
def bottlenecks_of_frames(tokenizer: Tokenizer, recordings: Iterable[Tensor]) -> list[Tensor]:
    """Compute the bottlenecks ``(time, streams * bottleneck)`` of what `codes_of_frames` encodes."""
    frames, steps = _one_after_the_other(tokenizer, recordings)
    pieces = torch.split(frames, PATCHES_AT_ONCE * tokenizer.patch_frames)  # of several recordings
    spectrograms = (tokenizer.normalise(piece.to(tokenizer.mean.device)) for piece in pieces)
    found = torch.cat([tokenizer.bottlenecks(spectrogram[None])[0].flatten(1) for spectrogram in spectrograms])
    return list(torch.split(found, steps))


def _one_after_the_other(tokenizer: Tokenizer, recordings: Iterable[Tensor]) -> tuple[Tensor, list[int]]:
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
