"""The tokenizer's CUDA paths: training of the autoencoder, encoding, and k-means."""

from functools import partial

import numpy as np
import torch

from tests.benchmarks.default_tokenizer import random_tokenizer
from tests.gpu.finding import CPU, Finding, Scale, missing, relative, seconds_of
from tests.gpu.network_paths import trained
from tokenizer.fitting import PatchBatches
from tokenizer.options import AutoencoderConfig
from tokenizer.sources import Autoencoder, PatchBatch, reconstruction_loss
from tokenizer.tokenizer import Tokenizer
from wordless.training.options import FitConfig

PATCH = 160  # values
COMPARED_STEPS = 5
CODES, BOTTLENECK, ITERATIONS, COMPARED_POINTS = 256, 64, 10, 20_000
PART = 4  # of the points, one in so many is clustered on the CPU
SAMPLE_RATE = 16_000


def tokenizer_training(device: torch.device, scale: Scale) -> Finding:
    """Train the autoencoder; the difference is that of the validation loss, in float32."""
    torch.manual_seed(0)
    model, patches = Autoencoder(AutoencoderConfig(), PATCH), torch.randn(20_000, PATCH)
    batches = PatchBatches(patches=patches, batch_size=512, seed=0)
    train = partial(trained, model, batches, [PatchBatch(patches=patches[:512])], reconstruction_loss)
    short = FitConfig(steps=COMPARED_STEPS, lr=1e-3, precision="fp32")
    seconds = seconds_of(lambda: train(FitConfig(steps=10 * scale.steps, lr=1e-3, precision="fp32"), device), device)
    return Finding(
        difference=relative(train(short, device), train(short, CPU)),
        allowed=1e-3,
        rates={"patches_per_second": 512 * 10 * scale.steps / seconds},
    )


def encoding(device: torch.device, scale: Scale) -> Finding:
    """Encode noise; the difference is the share of other codes, as rounding may move a tie."""
    samples = np.random.default_rng(0).standard_normal(round(scale.sound_seconds * SAMPLE_RATE), np.float32) / 10

    def codes(tokenizer: Tokenizer, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
        return tokenizer.encode(samples[:count], SAMPLE_RATE).values

    few = 10 * SAMPLE_RATE
    wanted, tokenizer = codes(random_tokenizer(), few), random_tokenizer().to(device)
    seconds = seconds_of(lambda: codes(tokenizer, len(samples)), device)
    return Finding(
        difference=float((codes(tokenizer, few) != wanted).mean()),
        allowed=0.01,
        rates={
            "times_real_time": scale.sound_seconds / seconds,
            "hours_per_second": scale.sound_seconds / seconds / 3600,
        },
    )


def kmeans(device: torch.device, scale: Scale) -> Finding:
    """Cluster normal points, beside FAISS on the CPU.

    The difference is that of the last objective: empty clusters are split by chance.
    """
    points = np.random.default_rng(0).standard_normal((scale.points, BOTTLENECK), np.float32)
    few = points[:COMPARED_POINTS]
    if absent := missing("faiss"):
        return Finding(difference=0.0, allowed=0.0, left_out=(f"everything: {absent} is not installed",))
    import faiss

    from tokenizer.codebook import fit_codebook

    if device.type == "cuda" and not faiss.get_num_gpus():
        return Finding(difference=0.0, allowed=0.0, left_out=("everything: FAISS has no GPU support",))
    fit = partial(fit_codebook, size=CODES, iterations=ITERATIONS, seed=0)
    gpus = range(1) if device.type == "cuda" else range(0)
    objectives = [torch.tensor(fit(few, gpus=each)[1]["objective"][-1:]) for each in (gpus, range(0))]
    seconds, part = seconds_of(lambda: fit(points, gpus=gpus), device), points[: len(points) // PART]
    by_cpu = len(part) * ITERATIONS / seconds_of(lambda: fit(part, gpus=range(0)), CPU)
    rate = len(points) * ITERATIONS / seconds
    return Finding(
        difference=relative(objectives[:1], objectives[1:]),
        allowed=0.01,
        rates={"points_times_iterations_per_second": rate, "cpu_rate": by_cpu, "ratio_to_cpu": rate / by_cpu},
    )
