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
from tokenizer.codes import Codes
from tokenizer.tokenizer import Tokenizer

PATCHES_AT_ONCE = 500


@torch.inference_mode()
def signals(
    tokenizer: Tokenizer,
    blocks: Iterable[FloatArray],
    num_samples: int,
    *,
    as_recorded: Callable[[Tensor], None] = lambda piece: None,
    dynamic_range: float | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Give normalised log-mel ``(time, mels)`` and bottlenecks ``(steps, streams * bottleneck)``, piece by piece.

    ``blocks`` are ``num_samples`` samples at the tokenizer's rate. ``as_recorded`` is called with each piece of the
    log-mel ``(time, mels)`` before ``audio.remove_mean`` and normalisation. ``dynamic_range`` in dB overrides the front
    end's own.
    """
    audio = tokenizer.config.audio
    # the same frames as the codes have
    padding = np.zeros(-num_samples % tokenizer.config.samples_per_code, np.float32)
    frames = PATCHES_AT_ONCE * tokenizer.patch_frames
    pieces = log_mel_stream(_with_mean(tokenizer), chain(blocks, [padding]), frames=frames, dynamic_range=dynamic_range)
    for piece in subtract_mean(_observe(pieces, as_recorded), audio.remove_mean):
        spectrogram = tokenizer.normalise(piece.to(tokenizer.mean.device))
        yield spectrogram, tokenizer.bottlenecks(spectrogram[None])[0].flatten(1)


@lru_cache(maxsize=1)
def _with_mean(tokenizer: Tokenizer) -> LogMel:
    """Return the tokenizer's front end, without its removal of a mean."""
    return LogMel(replace(tokenizer.config.audio, remove_mean="none")).to(tokenizer.mean.device)


def _observe(pieces: Iterable[Tensor], observer: Callable[[Tensor], None]) -> Iterator[Tensor]:
    for piece in pieces:
        observer(piece)
        yield piece


def codes_of_blocks(
    tokenizer: Tokenizer, blocks: Iterable[FloatArray], num_samples: int, *, dynamic_range: float | None = None
) -> Codes:
    """Encode ``num_samples`` samples at the tokenizer's rate; ``dynamic_range`` in dB overrides the front end's own."""
    padding = np.zeros(-num_samples % tokenizer.config.samples_per_code, np.float32)
    frames = PATCHES_AT_ONCE * tokenizer.patch_frames
    pieces = log_mel_stream(tokenizer.log_mel, chain(blocks, [padding]), frames=frames, dynamic_range=dynamic_range)
    values = torch.cat([tokenizer.encode_spectrogram(piece) for piece in pieces]).numpy()
    return Codes(values=values, num_samples=num_samples, format=tokenizer.format)
