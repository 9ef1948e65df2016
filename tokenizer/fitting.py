"""A sample and a trained autoencoder or decoder -> a tokenizer: codebooks ordered by loudness, and their gain."""

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tokenizer.autoencoder import Autoencoder, StateDecoder
from tokenizer.codebook import KMeansReport, fit_residual_codebooks
from tokenizer.config import TokenizerConfig
from tokenizer.speech_layer import SpeechLayer
from tokenizer.tokenizer import MOST_GAIN, Tokenizer
from wordless.audio.spectrogram import mel_power
from wordless.audio.waveform import FloatArray
from wordless.base.arrays import allocate
from wordless.base.threads import one_thread

TOGETHER = 8192  # patches that are encoded in one call; their number decides how products are rounded
PATCHES = 16_384  # whose power is measured
DECODED_TOGETHER = 1024  # patches that are decoded in one call
LEAST_POWER = 1e-3  # of the front end's floor: quieter patches say nothing about levels


def fit_codebooks(
    config: TokenizerConfig,
    model: Autoencoder | StateDecoder,
    points: FloatArray,
    *,
    mean: Tensor,
    std: Tensor,
    iterations: int,
    seed: int,
    gpus: Sequence[int] = (),
    overwrite: bool = False,
    speech_layer: SpeechLayer | None = None,
) -> tuple[Tokenizer, Sequence[KMeansReport]]:
    """Cluster bottlenecks, or states of the ``speech_layer``, ``(n, bottleneck)``, level after level.

    ``mean`` and ``std`` ``(mels,)`` are what the patches of the model were normalised by. With ``overwrite`` the
    residuals of further levels replace the points, which saves memory.
    """
    # On all threads: FAISS divides points and centroids among them, never a sum, so its bytes depend on no number.
    levels, size, _ = config.codebook_shape
    centroids, reports = fit_residual_codebooks(
        points, levels=levels, size=size, iterations=iterations, seed=seed, gpus=gpus, overwrite=overwrite
    )
    codebooks = torch.from_numpy(centroids)
    codebooks[0] = _by_loudness(model, codebooks[0])  # what a finer level adds is neither loud nor quiet
    return Tokenizer(config, mean, std, model, codebooks, speech_layer), reports


@one_thread()
@torch.inference_mode()
def write_bottlenecks(model: Autoencoder, patches: Iterable[Tensor], path: Path, shape: tuple[int, int]) -> FloatArray:
    """Write the bottlenecks of blocks of normalised patches ``(n, frames * height)`` to a ``.npy`` file, and map it.

    ``shape`` is that of all bottlenecks, ``(count, bottleneck)``. Memory does not grow with their number.
    """
    allocate(path, np.float32, shape)
    points: FloatArray = np.lib.format.open_memmap(path, mode="r+")
    written = 0
    for part in chain.from_iterable(torch.split(block, TOGETHER) for block in patches):
        points[written : written + len(part)] = model.encoder(part).numpy()
        written += len(part)
    return points


@one_thread()
@torch.inference_mode()
def _by_loudness(model: Autoencoder | StateDecoder, centroids: Tensor) -> Tensor:
    """Sort centroids from the quietest to the loudest, so that a strip of codes is readable."""
    return centroids[model.decoder(centroids).mean(1).argsort(stable=True)].contiguous()


@one_thread()
@torch.inference_mode()
def measure_gain(tokenizer: Tokenizer, columns: Tensor, states: Tensor | None = None) -> float:
    """Measure the make-up gain of a codebook in dB: the true power of patches over their decoded power.

    A code decodes to the mean of the logarithms of its patches, and the logarithm of a mean is larger than the mean of
    logarithms (Jensen). So the decoded power of training patches is some decibels below their true power: 3.6 dB with
    the default codes of the built-in corpus. Log-mel and codes stay as they are; only sound is made louder, by the same
    factor in each band and frame. Factors for each band or for each code were measured, too: they are not better.

    Args:
        tokenizer: encodes and decodes the patches.
        columns: training patches of all bands ``(n, frames, mels)``, log-mel as of `LogMel`.
        states: of a speech layer, for the same times ``(n, width)``; None: the autoencoder makes the codes.

    Returns:
        0 if the front end keeps no levels, or if the patches are silent.
    """
    audio = tokenizer.front_end
    if not audio.keeps_levels or not len(columns):
        return 0.0
    every = -(-len(columns) // PATCHES)
    columns = columns[::every]
    if states is None:
        codes = tokenizer.encode_spectrogram(columns.flatten(0, 1))
    else:
        codes = tokenizer.nearest(states[::every, None])  # (n, D) -> (n, 1, D), one band
    true = decoded = 0.0
    for own, meant in zip(torch.split(columns, DECODED_TOGETHER), torch.split(codes, DECODED_TOGETHER), strict=True):
        true += float(mel_power(own, audio).double().sum())
        log_mel = tokenizer.denormalise(tokenizer.spectrogram(meant[None])[0])
        decoded += float(mel_power(log_mel, audio).double().sum())
    if min(true, decoded) < LEAST_POWER * audio.floor * columns.numel():
        return 0.0
    return round(min(max(10 * math.log10(true / decoded), -MOST_GAIN), MOST_GAIN), 2)
