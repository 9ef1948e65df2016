"""Log-mel and bottlenecks of one recording, pooled over time while it is read: memory does not grow with its length."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from audio.mean_removal import without_mean
from audio.reading import read_blocks, resampled_length
from audio.recordings.manifest import Clip
from audio.spectrogram import LogMel, log_mel_stream
from audio.waveform import FloatArray
from lm.pooling import POOLINGS, RunningPool
from pipelines.store.workers import Encoder
from tokenizer.tokenizer import Tokenizer

PATCHES_AT_ONCE = 500


def audio_features(encoder: Encoder, clip: Clip) -> dict[str, FloatArray]:
    """Each pooling of the normalised log-mel and of the bottlenecks of a clip.

    Where ``audio.remove_mean`` takes a mean off, the log-mel comes twice: as the tokenizer hears it, and as it was
    recorded, which also says how loud each band was. Without the mean of a clip, its mean says nothing: it is left out.
    """
    tokenizer = encoder.tokenizer
    num_samples = resampled_length(clip.num_samples, clip.sample_rate, tokenizer.config.audio.sample_rate)
    steps = tokenizer.format.steps(num_samples)
    lengths = {"as_heard": steps * tokenizer.patch_frames, "bottleneck": steps}
    recorded = {pooling: RunningPool(lengths["as_heard"], pooling) for pooling in POOLINGS}
    pools = {name: {pooling: RunningPool(length, pooling) for pooling in POOLINGS} for name, length in lengths.items()}
    for spectrogram, bottlenecks in _heard(encoder, clip, num_samples, recorded.values()):
        for name, frames in (("as_heard", spectrogram), ("bottleneck", bottlenecks)):
            for pool in pools[name].values():
                pool.add(frames.cpu().numpy())
    removal = tokenizer.config.audio.remove_mean
    bottleneck = {f"bottleneck:{pooling}": pool.pooled for pooling, pool in pools["bottleneck"].items()}
    if removal == "none":
        return {**{f"log_mel:{pooling}": pool.pooled for pooling, pool in pools["as_heard"].items()}, **bottleneck}
    if removal == "clip":
        del pools["as_heard"]["mean"]
    log_mel = {"as_heard": pools["as_heard"], "as_recorded": recorded}
    heard = {f"log_mel/{name}:{pooling}": pool.pooled for name, own in log_mel.items() for pooling, pool in own.items()}
    return {**heard, **bottleneck}


@torch.inference_mode()
def _heard(
    encoder: Encoder, clip: Clip, num_samples: int, recorded: Collection[RunningPool]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Normalised log-mel ``(time, mels)`` and bottlenecks ``(steps, streams * bottleneck)``, piece by piece.

    ``recorded`` are given the log-mel from which no mean is removed.
    """
    tokenizer = encoder.tokenizer
    step = tokenizer.config.samples_per_code
    audio = tokenizer.config.audio
    padding = np.zeros(-num_samples % step, np.float32)  # the same frames as the codes have
    blocks = chain(read_blocks(encoder.root / clip.path, audio.sample_rate, part=clip.part), [padding])
    pieces = log_mel_stream(_whole(tokenizer), blocks, frames=PATCHES_AT_ONCE * tokenizer.patch_frames)
    for piece in without_mean(_added(pieces, recorded), audio.remove_mean):
        spectrogram = tokenizer.normalise(piece.to(tokenizer.mean.device))
        yield spectrogram, tokenizer.bottlenecks(spectrogram[None])[0].flatten(1)


@lru_cache(maxsize=1)
def _whole(tokenizer: Tokenizer) -> LogMel:
    """The tokenizer's front end, without its removal of a mean."""
    return LogMel(replace(tokenizer.config.audio, remove_mean="none")).to(tokenizer.mean.device)


def _added(pieces: Iterable[Tensor], pools: Collection[RunningPool]) -> Iterator[Tensor]:
    """The pieces, each given to the pools when it comes by."""
    for piece in pieces:
        for pool in pools:
            pool.add(piece.cpu().numpy())
        yield piece
