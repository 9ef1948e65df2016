"""A sample and a trained autoencoder or decoder -> a tokenizer: codebooks, whose codes are ordered by loudness."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tokenizer.autoencoder import Autoencoder, StateDecoder
from tokenizer.codebook import fit_residual_codebooks
from tokenizer.config import TokenizerConfig
from tokenizer.kmeans_report import KMeansReport
from tokenizer.speech_layer import SpeechLayer
from tokenizer.tokenizer import Tokenizer
from wordless.audio.waveform import FloatArray
from wordless.base.arrays import allocate
from wordless.base.threads import one_thread

TOGETHER = 8192  # patches that are encoded in one call; their number decides how products are rounded


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
    size, levels = config.codebook_size, config.levels
    centroids, reports = fit_residual_codebooks(
        points, levels=levels, codebook_size=size, iterations=iterations, seed=seed, gpus=gpus, overwrite=overwrite
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
