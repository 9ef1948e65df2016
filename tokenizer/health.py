"""The health of a codebook.

It is the usage of its codes, the fidelity of reconstruction, how far small changes of the sound move the frequencies of
codes, and a warning of a collapse.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch

from tokenizer.codes import Codes
from tokenizer.tokenizer import Tokenizer
from wordless.base.arrays import FloatArray, IndexArray


def perplexity(counts: IndexArray) -> float:
    """Compute 2 to the entropy: the size of a uniformly used codebook with the entropy of counts ``(codes,)``."""
    return float(2.0 ** entropy(counts))


def entropy(counts: IndexArray) -> float:
    """Compute the entropy of the codes' distribution in bits, from counts ``(codes,)``."""
    total = int(counts.sum())
    shares = [count / total for count in counts.tolist() if count]
    return float(-sum(share * np.log2(share) for share in shares))


def measure_health(
    tokenizer: Tokenizer, codes: Iterable[Codes], clips: Callable[[], Iterable[FloatArray]], *, seed: int
) -> dict[str, object]:
    """Measure what ``health.json`` holds: usage on ``codes``; the rest on ``clips()``, called twice."""
    counts = frequencies_of_codes(codes, len(tokenizer.centroids))
    used = int((counts > 0).sum())
    return {
        "counts": counts.tolist(),
        "perplexity": perplexity(counts),
        "used_codes": used,
        "dead_codes": len(counts) - used,
        "bits_per_second": entropy(counts) * tokenizer.format.codes_per_second * tokenizer.config.bands,
        **measure_fidelity(tokenizer, clips()),
        "total_variation": measure_variation(tokenizer, clips(), seed=seed),
        "verdict": collapse(counts),
    }


def frequencies_of_codes(codes: Iterable[Codes], size: int) -> IndexArray:
    """Count each code over all bands ``(size,)``."""
    counts: IndexArray = np.zeros(size, dtype=np.int64)
    for clip in codes:
        counts += clip.counts.sum(0)
    return counts


@torch.inference_mode()
def measure_fidelity(tokenizer: Tokenizer, clips: Iterable[FloatArray]) -> dict[str, float]:
    """Measure the squared error of normalised log-mel of clips ``(samples,)`` through bottleneck and codes."""
    device = tokenizer.centroids.device
    plain, quantised = torch.zeros(2, dtype=torch.float64, device=device)  # one query to a GPU for all clips
    values = 0
    for samples in clips:
        if len(samples) < tokenizer.config.samples_per_code:  # the front end needs a whole hop
            continue
        spectrogram, bottlenecks = tokenizer.signals_of(samples)
        target = spectrogram[:, : spectrogram.shape[1] // tokenizer.patch_frames * tokenizer.patch_frames]
        plain += (tokenizer.decode_bottlenecks(bottlenecks) - target).square().sum().double()
        quantised += (tokenizer.decode_codes(tokenizer.nearest(bottlenecks)) - target).square().sum().double()
        values += target.numel()
    return {"reconstruction_mse": float(plain) / max(values, 1), "quantised_mse": float(quantised) / max(values, 1)}


def measure_variation(
    tokenizer: Tokenizer,
    clips: Iterable[FloatArray],
    *,
    seed: int,
    noise_snr_db: float = 30.0,
    gain_db: float = -6.0,
    shift_seconds: float = 0.002,
) -> dict[str, list[float]]:
    """Measure how far noise, another gain and a shift of clips ``(samples,)`` move the frequencies of codes, by band.

    The measure is the total variation between the frequencies in all changed and in all unchanged clips: half the sum
    of the absolute differences, 0 if they are equal and 1 if no code is in both. A bag of codes reads only frequencies,
    and a code may change to one that means the same. So the share of equal codes does not show whether a bag is robust.
    """
    random, gain = np.random.default_rng(seed), np.float32(10 ** (gain_db / 20))
    delay = round(shift_seconds * tokenizer.config.audio.sample_rate)
    counts = np.zeros((4, tokenizer.config.bands, len(tokenizer.centroids)))
    for samples in clips:
        level = float(np.sqrt(np.mean(samples**2))) * 10 ** (-noise_snr_db / 20)
        noisy = samples + random.normal(0, level, len(samples)).astype(np.float32)
        late = np.pad(samples, (delay, 0))[: len(samples)]
        # not `encode`, which refuses samples beyond `LOUDEST`: the gain may lift a loud clip above it
        for number, each in enumerate((samples, noisy, samples * gain, late)):
            counts[number] += tokenizer.encode_own([each], side_streams=False).counts
    shares = counts / np.maximum(counts.sum(-1, keepdims=True), 1)
    found = np.abs(shares[1:] - shares[:1]).sum(-1) / 2  # (changes, bands)
    return dict(zip(("noise", "gain", "shift"), found.tolist(), strict=True))


def collapse(counts: IndexArray, *, least: float = 0.2) -> str | None:
    """Describe the collapse of a codebook whose perplexity is below a share, ``least``, of its codes."""
    used, size = perplexity(counts), len(counts)
    if used >= least * size:
        return None
    return (
        f"the codebook has collapsed: perplexity {used:.1f} of {size} codes on validation clips, less than {least:g} "
        "of them; try fewer codes, more varied recordings, or longer training of the autoencoder"
    )
