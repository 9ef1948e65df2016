"""A sample of patches and a trained autoencoder -> a tokenizer: codebooks of the bottlenecks, ordered by loudness."""

from collections.abc import Sequence

import torch
from torch import Tensor

from audio.waveform import FloatArray
from foundation.threads import one_thread
from tokenizer.autoencoder import Autoencoder
from tokenizer.codebook import fit_residual_codebooks
from tokenizer.kmeans_report import KMeansReport
from tokenizer.tokenizer import Tokenizer, TokenizerConfig


def fit_codebooks(
    config: TokenizerConfig,
    model: Autoencoder,
    patches: Tensor,
    *,
    mean: Tensor,
    std: Tensor,
    iterations: int,
    seed: int,
    gpu: int | None,
) -> tuple[Tokenizer, Sequence[KMeansReport]]:
    """Cluster the bottlenecks of normalised patches ``(n, frames * height)``, level after level.

    ``mean`` and ``std`` ``(mels,)`` are what the patches were normalised by.
    """
    # On all threads: FAISS divides points and centroids among them, never a sum, so its bytes depend on no number.
    points, size, levels = _bottlenecks(model, patches), config.codebook_size, config.levels
    centroids, reports = fit_residual_codebooks(
        points, levels=levels, codebook_size=size, iterations=iterations, seed=seed, gpu=gpu
    )
    codebooks = torch.from_numpy(centroids)
    codebooks[0] = _by_loudness(model, codebooks[0])  # what a finer level adds is neither loud nor quiet
    return Tokenizer(config, mean, std, model, codebooks), reports


@one_thread()
@torch.inference_mode()
def _bottlenecks(model: Autoencoder, patches: Tensor) -> FloatArray:
    return torch.cat([model.encoder(part) for part in torch.split(patches, 8192)]).numpy()


@one_thread()
@torch.inference_mode()
def _by_loudness(model: Autoencoder, centroids: Tensor) -> Tensor:
    """Sort centroids from the quietest to the loudest, so that a strip of codes is readable."""
    return centroids[model.decoder(centroids).mean(1).argsort(stable=True)].contiguous()
