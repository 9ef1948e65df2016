"""Training data of autoencoder and codebook, the tokenizer that they give, and the health of its codebook.

The data are statistics of all frames, and a bounded, seeded sample of patches. With a trained autoencoder or decoder
they give a tokenizer: codebooks ordered by loudness, and their gain. FAISS clusters the bottlenecks. It is imported by
those who cluster alone, because autoencoders are trained on machines that lack it. The health of a codebook is its
usage, the fidelity of reconstruction, how far small changes of the sound move the frequencies of codes, and a warning
of a collapse.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, tee
from pathlib import Path
from typing import Protocol, TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from tokenizer.codes import Codes
from tokenizer.tokenizer import MOST_GAIN, Autoencoder, SpeechLayerConfig, StateDecoder, Tokenizer, to_patches
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.recordings.inspection import require_finite
from wordless.audio.recordings.manifest import Clip
from wordless.audio.spectrogram import LogMel, follow_level, frames_stream, log_mel_stream, mel_power
from wordless.audio.views import View
from wordless.base.arrays import FloatArray, IndexArray, allocate
from wordless.base.coverage import Passages
from wordless.base.devices import Batch
from wordless.base.messages import InputError
from wordless.base.pools import Pool, in_order
from wordless.base.threads import one_thread

WHOLE_BYTES = 2**20  # of log-mel that a worker may send back: that of a clip of 40 s by default


class Reservoir:
    """A uniform sample of at most ``capacity`` rows of a stream of unknown length (Vitter 1985, algorithm R)."""

    def __init__(self, capacity: int, width: int, seed: int) -> None:
        self.rows: FloatArray = np.zeros((capacity, width), dtype=np.float32)
        self.seen, self._random = 0, np.random.default_rng(seed)

    def add(self, rows: FloatArray) -> None:
        """Offer rows ``(n, ...)`` of ``width`` values, in order; only those that are kept are copied."""
        room = max(len(self.rows) - self.seen, 0)
        first, late = rows[:room], rows[room:]
        self.rows[self.seen : self.seen + len(first)] = first.reshape(len(first), self.rows.shape[1])
        if len(late):
            # Row n replaces one of the kept rows with probability capacity / n, so all rows are kept equally often.
            place = self._random.integers(0, self.seen + room + np.arange(len(late)) + 1)
            kept = place < len(self.rows)
            self.rows[place[kept]] = late[kept].reshape(int(kept.sum()), self.rows.shape[1])
        self.seen += len(rows)

    @property
    def sample(self) -> FloatArray:
        """Return the rows kept so far, ``(n, width)``."""
        return self.rows[: min(self.seen, len(self.rows))]


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameSample:
    """Statistics of every frame, and a sample of short runs of frames."""

    mean: Tensor  # (mels,) of log-mel
    std: Tensor  # (mels,)
    columns: Tensor  # (n, frames, mels) log-mel; a column is a run of frames as long as a patch
    seen: int  # number of columns the sample was drawn from
    states: Tensor | None = None  # (n, width) of another network, for the same time as the columns


class OpenVectors(Protocol):
    """A loaded model that gives vectors over time; `VectorSource.open` returns one."""

    @property
    def width(self) -> int:
        """Dimensions of a vector."""

    @property
    def stride(self) -> int:
        """Samples from one vector to the next."""

    def read_clips(
        self, root: Path, clips: Sequence[Clip], audio: SpectrogramConfig, *, progress: Callable[[int], None]
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Give log-mel ``(time, mels)`` and vectors ``(time, width)`` of clips below ``root``, for `draw_sample`."""

    @property
    def constructor(self) -> Callable[..., Tokenizer]:
        """What takes the arguments of `Tokenizer`, for codes that are the nearest centroids of these vectors."""


class VectorSource(Protocol):
    """What k-means clusters in the place of an autoencoder's bottlenecks, such as a layer of a speech model.

    `tokenizer.speech_layer.ChosenLayer` is one: it is passed in, so that no stage of the codebook loads a speech model.
    """

    @property
    def width(self) -> int:
        """Dimensions of a vector."""

    @property
    def config(self) -> SpeechLayerConfig:
        """What the tokenizer's config says of the vectors."""

    def open(self, device: str = "cpu") -> OpenVectors:
        """Load the model."""


@dataclass(frozen=True, kw_only=True)
class LogMelReader:
    """Reads the log-mel of clips below ``root``, or of a view of each clip."""

    root: Path
    audio: SpectrogramConfig
    views: Callable[[Clip], View] = View
    whole_bytes: int = WHOLE_BYTES  # longer clips are not sent from process to process
    beside_absolute: bool = False  # whether the log-mel as loud as recorded follows that at the reference level

    def pieces(self, clip: Clip) -> Iterator[Tensor]:
        """Give the log-mel ``(time, mels)`` of a clip, or both ``(time, 2 * mels)``, as `log_mel_stream` does."""
        view, log_mel = self.views(clip), _log_mel(self.audio)
        blocks = view.blocks(self.root, self.audio.sample_rate)
        pieces = log_mel_stream(log_mel, blocks, dynamic_range=view.change.dynamic_range)
        if self.beside_absolute:
            frames, absolute = tee(frames_stream(log_mel, blocks, frames=1000))
            both = zip(follow_level(frames, self.audio), absolute, strict=True)
            pieces = (torch.cat([levelled, own], dim=1) for (levelled, _), own in both)
        for piece in pieces:
            require_finite(piece.numpy(), clip, "log-mel frames")
            yield piece

    def __call__(self, clip: Clip) -> list[FloatArray] | None:
        """Return all pieces of a clip; None if they are more than ``whole_bytes``."""
        frames = clip.seconds * self.audio.sample_rate / self.audio.hop_length
        if 4 * frames * self.audio.n_mels > self.whole_bytes:
            return None
        return [piece.numpy() for piece in self.pieces(clip)]


@lru_cache(maxsize=1)
def _log_mel(audio: SpectrogramConfig) -> LogMel:
    return LogMel(audio)


def read_log_mel(
    reader: LogMelReader, clips: Sequence[Clip], pool: Pool, *, progress: Callable[[int], None]
) -> Iterator[Tensor]:
    """Read the log-mel ``(time, mels)`` of clips in order: the pool reads short ones, this process long ones."""
    for done, (clip, whole) in enumerate(zip(clips, in_order(reader, clips, pool, large=True), strict=True), 1):
        yield from reader.pieces(clip) if whole is None else map(torch.tensor, whole)
        progress(done)


def draw_sample(
    recordings: Iterable[tuple[Tensor, Tensor | None]],
    *,
    frames: int,
    n_mels: int,
    capacity: int,
    seed: int,
    width: int = 0,
) -> FrameSample:
    """Compute statistics and draw a seeded sample of columns, in one pass and bounded memory.

    ``recordings`` are log-mel ``(time, mels)``, in a fixed order, each with None, or with the states ``(steps, width)``
    of another network. Without states, columns begin at every frame; else at those of a state::

        log-mel   [  f0  ][  f1  ][  f2  ][  f3  ]  f4
        columns   [      c0      ][      c2      ]               2 frames for each column
                          [      c1      ][      c3      ]       without states alone
        states    [      s0      ][      s1      ]               a rest belongs to none
    """
    reservoir = Reservoir(capacity, width + frames * n_mels, seed)
    total, squares, count = np.zeros(n_mels), np.zeros(n_mels), 0
    for spectrogram, states in recordings:
        values = spectrogram.numpy().astype(np.float64)  # float32 would round the variance of hours of frames away
        total += values.sum(0)
        squares += (values**2).sum(0)
        count += len(values)
        if states is not None:
            columns = spectrogram[: len(states) * frames].reshape(len(states), frames * n_mels)
            reservoir.add(torch.cat([states, columns], dim=1).numpy())
        elif len(spectrogram) >= frames:
            reservoir.add(spectrogram.unfold(0, frames, 1).transpose(1, 2).numpy())  # (T, M) -> (T', F, M)
    mean = total / max(count, 1)
    # A constant band (above the recordings' own bandwidth) must not be amplified to noise.
    std = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 1e-2))
    drawn = torch.from_numpy(reservoir.sample)
    return FrameSample(
        mean=torch.from_numpy(mean).float(),
        std=torch.from_numpy(std).float(),
        columns=drawn[:, width:].reshape(-1, frames, n_mels),
        seen=reservoir.seen,
        states=drawn[:, :width].contiguous() if width else None,
    )


def normalised_patches(columns: Tensor, mean: Tensor, std: Tensor, *, height: int) -> Tensor:
    """Cut columns ``(n, frames, mels)`` into patches ``(n * streams, frames * height)`` of normalised log-mel."""
    frames = columns.shape[1]
    return to_patches((columns - mean) / std, frames=frames, height=height).reshape(-1, frames * height)


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchBatch(Batch):
    """Normalised patches ``(batch, patch)`` to reconstruct."""

    patches: Tensor
    inputs: Tensor | None = None  # what the model sees instead, such as noisier patches or states; None: the patches


def reconstruction_loss(model: nn.Module, batch: PatchBatch) -> tuple[Tensor, int]:
    """Return the squared error summed over all values of the batch, and their number."""
    reconstruction = model(batch.patches if batch.inputs is None else batch.inputs)
    return nn.functional.mse_loss(reconstruction.float(), batch.patches, reduction="sum"), batch.patches.numel()


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchBatches:
    """Batches of sampled patches; the batch of a step depends on the seed and the step alone."""

    patches: Tensor  # (n, frames * height)
    batch_size: int
    seed: int
    inputs: Tensor | None = None  # patches of changed sound, row by row, to be used as input

    def passages(self, step: int) -> Passages:
        """Return the patches of a step: each is a recording of one unit."""
        rows = self._rows(step)
        return Passages(rows, np.zeros_like(rows), np.ones_like(rows))

    def _rows(self, step: int) -> IndexArray:
        return np.random.default_rng([self.seed, step]).integers(0, len(self.patches), self.batch_size)

    def batch(self, step: int, part: int, parts: int) -> PatchBatch:
        """Return part ``part`` of ``parts`` of the batch of ``step``."""
        rows = torch.from_numpy(self._rows(step)[part::parts])
        return PatchBatch(patches=self.patches[rows], inputs=None if self.inputs is None else self.inputs[rows])


BLOCK = 1 << 18  # points whose nearest centroids are found together


class KMeansReport(TypedDict):
    """Size and result of the k-means clustering: the content of ``kmeans.json``."""

    points: int  # number of clustered bottlenecks: all of them, never a silent subsample
    objective: list[float]  # mean squared distance to the nearest centroid, per iteration
    dead: int  # centroids that are the nearest of no point
    duplicates: int  # centroids equal to an earlier one
    gpu: bool


def fit_codebook(
    points: FloatArray, *, size: int, iterations: int, seed: int, gpus: Sequence[int] = ()
) -> tuple[FloatArray, KMeansReport]:
    """Cluster ``(n, bottleneck)`` points with k-means to centroids ``(size, bottleneck)``.

    FAISS reads a `numpy.memmap` in place, and divides points and centroids among threads, never a sum, so its bytes do
    not depend on their number. Each of several GPUs has all centroids, and a share of the points. Fewer points than
    centroids are refused.
    """
    import faiss

    if len(points) < size:
        rule = f"each code needs a patch, and the training recordings give {len(points)} patches"
        raise InputError(option="codebook_size", value=size, rule=rule, remedy="choose fewer codes or add recordings")
    gpus = [gpu for gpu in gpus if gpu < faiss.get_num_gpus()]
    kmeans = faiss.Kmeans(
        points.shape[1],
        size,
        niter=iterations,
        seed=seed % 2**31,  # FAISS keeps the seed in a signed 32-bit integer
        # By default FAISS subsamples to 256 points per centroid, and warns below 39.
        max_points_per_centroid=-(-len(points) // size),
        min_points_per_centroid=1,
    )
    if gpus:  # FAISS's own gpu option uses all GPUs, even those of other users
        kmeans.index = faiss.index_cpu_to_gpus_list(kmeans.index, gpus=gpus)
    kmeans.train(points)
    centroids: FloatArray = np.ascontiguousarray(kmeans.centroids, dtype=np.float32)
    kmeans.index.reset()
    kmeans.index.add(centroids)
    used = np.zeros(size, bool)
    for start in range(0, len(points), BLOCK):
        used[kmeans.index.search(points[start : start + BLOCK], 1)[1][:, 0]] = True
    report = KMeansReport(
        points=len(points),
        objective=[float(stats["obj"]) / len(points) for stats in kmeans.iteration_stats or ()],
        dead=size - int(used.sum()),
        duplicates=size - len(np.unique(centroids, axis=0)),
        gpu=bool(gpus),
    )
    return centroids, report


def nearest(points: FloatArray, centroids: FloatArray) -> IndexArray:
    """Find the index of each point's nearest centroid, ``(n,)``."""
    import faiss

    found: IndexArray = faiss.knn(points, centroids, 1)[1][:, 0]
    return found


TOGETHER = 8192  # patches that are encoded in one call; their number decides how products are rounded
PATCHES = 16_384  # whose power is measured
DECODED_TOGETHER = 1024  # patches that are decoded in one call
LEAST_POWER = 1e-3  # of the front end's floor: quieter patches say nothing about levels


@one_thread()
@torch.no_grad()
def by_loudness(model: Autoencoder | StateDecoder, centroids: FloatArray) -> Tensor:
    """Sort centroids ``(codes, bottleneck)`` from the quietest to the loudest, so that a strip of codes can be read."""
    codebook = torch.from_numpy(centroids)
    return codebook[model.decoder(codebook).mean(1).argsort(stable=True)]  # bottlenecks themselves have no loudness


@one_thread()
@torch.inference_mode()
def write_bottlenecks(model: Autoencoder, patches: Iterable[Tensor], path: Path, shape: tuple[int, int]) -> FloatArray:
    """Write the bottlenecks of blocks of patches ``(n, patch)`` to a ``.npy`` file of ``shape``, and map it."""
    allocate(path, np.float32, shape)
    points: FloatArray = np.lib.format.open_memmap(path, mode="r+")
    written = 0
    for part in chain.from_iterable(torch.split(block, TOGETHER) for block in patches):
        points[written : written + len(part)] = model.encoder(part).numpy()
        written += len(part)
    return points


@one_thread()
@torch.inference_mode()
def measure_gain(
    tokenizer: Tokenizer, columns: Tensor, states: Tensor | None = None, power: Tensor | None = None
) -> float:
    """Measure the make-up gain of a codebook in dB: the true power of patches over their decoded power.

    A code decodes to the mean of the logarithms of its patches, and the logarithm of a mean is larger than the mean of
    logarithms (Jensen): 3.6 dB with the default codes of the built-in corpus. Factors for each band or for each code
    were measured, too: they are not better. ``columns (n, frames, mels)`` are training patches of all bands, ``states
    (n, width)`` the vectors of their codes if no autoencoder makes these. 0 if the front end keeps no levels, or if the
    patches are silent.

    Columns at the reference level have their ``power (n,)`` as recorded, so that soft ones count for less.
    """
    audio = tokenizer.front_end
    if not audio.keeps_levels or not len(columns):
        return 0.0
    every = -(-len(columns) // PATCHES)
    columns = columns[::every]  # from all over the sample, and not its first clips
    if states is None:
        codes = tokenizer.encode_spectrogram(columns.flatten(0, 1))
    else:
        codes = tokenizer.nearest(states[::every, None])  # (n, D) -> (n, 1, D), one band
    shares, true, decoded = torch.ones(len(columns), 1), 0.0, 0.0
    if power is not None:
        heard = mel_power(columns, audio).sum((1, 2)).clamp(min=LEAST_POWER * audio.floor * columns[0].numel())
        shares = (power[::every] / heard)[:, None]
    parts = (torch.split(each, DECODED_TOGETHER) for each in (columns, codes, shares.double()))
    for own, meant, share in zip(*parts, strict=True):
        log_mel = tokenizer.denormalise(tokenizer.spectrogram(meant[None])[0])
        true += float((mel_power(own, audio).double().flatten(1) * share).sum())
        decoded += float((mel_power(log_mel, audio).double().reshape(len(own), -1) * share).sum())
    return bounded_gain(true, decoded, audio, values=columns.numel())


def bounded_gain(true: float, decoded: float, audio: SpectrogramConfig, *, values: int) -> float:
    """Return the gain in dB that brings a decoded power to the true one, both of ``values``; 0 of silent sound."""
    if min(true, decoded) < LEAST_POWER * audio.floor * values:
        return 0.0
    return round(min(max(10 * math.log10(true / decoded), -MOST_GAIN), MOST_GAIN), 2)


HEALTH_VERSION = 5  # of what `measure_health` returns, in the keys of stored entries; raise it when that changes


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
    counts = count_codes(codes, len(tokenizer.centroids))
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


def count_codes(codes: Iterable[Codes], size: int) -> IndexArray:
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
