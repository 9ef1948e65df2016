"""Batches of crops, scores of models on them, and baselines without a network.

All models have the same targets, and as much of the past as each of them reads.

::

    clip       [silence silence][s0 s1 s2 ...                                    ]
    previous             [ history      ][ one sample earlier  ]
    targets                              [ samples of the crop ]

Before a clip there is silence, as in generation. So clips that are shorter than a model's past are not left out. Behind
the end of a clip nothing is counted.

The baselines are the last level again, and frequencies of levels and of pairs of levels. Each is a table of
log-probabilities of the next level given the last one, called like a network.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from lm.samples.sample_network_options import SampleCropsConfig
from vocoder.crops import NOT_COUNTED, SampleClips, share_of
from vocoder.vocoder_options import LEVELS
from vocoder.wavenet import silence
from wordless.base.machine import Batch, copy_to
from wordless.base.messages import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleBatch(Batch):
    """Crops, padded to the longest."""

    previous: Tensor  # (batch, history + time) int64, levels delayed by one sample
    targets: Tensor  # (batch, time) int64, levels; NOT_COUNTED behind the end of a clip
    counted: int  # number of targets inside their clips; known on the host, which saves a query to the GPU

    def to(self, device: torch.device) -> "SampleBatch":
        if device.type == "cpu":
            return self
        previous, targets = (copy_to(each.to(torch.int16), device).long() for each in (self.previous, self.targets))
        return replace(self, previous=previous, targets=targets)


class SampleCrops:
    """Random crops, by the lengths of clips; models with other histories see the same targets at the same step."""

    def __init__(self, clips: SampleClips, config: SampleCropsConfig, *, history: int) -> None:
        if not len(clips.samples):
            raise InputError("there is no sound to predict: a split of the corpus has no clips; widen corpus.split")
        self.clips, self.config, self.history = clips, config, history

    def batch(self, step: int, part: int = 0, parts: int = 1) -> SampleBatch:
        """Return share ``part`` of ``parts`` of the batch of ``step``; ``parts`` must divide the batch size."""
        examples = share_of(self.config.batch_size, part, parts, option="next_sample.crops.batch_size")
        crops = [self._draw(step, example) for example in examples]
        longest = max(map(len, crops))
        previous = [pad(crop[:-1], (0, longest - len(crop)), value=silence()) for crop in crops]
        targets = [pad(crop[self.history + 1 :], (0, longest - len(crop)), value=NOT_COUNTED) for crop in crops]
        counted = sum(len(crop) - self.history - 1 for crop in crops)
        return SampleBatch(previous=torch.stack(previous), targets=torch.stack(targets), counted=counted)

    def batches(self, count: int) -> Iterator[SampleBatch]:
        return map(self.batch, range(count))

    def _draw(self, step: int, example: int) -> Tensor:
        """Draw a crop: levels ``(history + 1 + time,)``, the last ``time`` of which are targets."""
        rng = np.random.default_rng([self.config.seed, step, example])
        offsets = self.clips.offsets
        clip = int(np.searchsorted(offsets[1:], rng.integers(offsets[-1]), side="right"))
        length = int(offsets[clip + 1] - offsets[clip])
        start = int(rng.integers(max(length - self.config.samples, 0) + 1))
        return self.clips.levels(clip, start - self.history - 1, start + self.config.samples)


def loss(model: nn.Module, batch: SampleBatch) -> tuple[Tensor, int]:
    """Compute the summed cross entropy of the targets in nats, and their number."""
    logits = model(batch.previous, batch.targets.shape[1]).flatten(0, 1).float()  # (N, T, K) -> (N * T, K)
    targets = batch.targets.flatten()
    total = cross_entropy(logits, targets, ignore_index=NOT_COUNTED, reduction="sum")
    return total, batch.counted


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well a model predicts samples."""

    accuracy: float  # share of samples whose most probable level is right
    bits_per_sample: float | None  # cross entropy; None of a model without probabilities
    samples: int  # that were predicted


@torch.inference_mode()
def score(model: nn.Module, batches: Iterator[SampleBatch], device: torch.device) -> Score:
    """Measure a model in evaluation mode on batches, in full precision."""
    right, nats, count = 0, 0.0, 0
    for batch in (each.to(device) for each in batches):
        logits = model(batch.previous, batch.targets.shape[1]).flatten(0, 1).float()
        counted = batch.targets.flatten() != NOT_COUNTED
        logits, targets = logits[counted], batch.targets.flatten()[counted]
        right += int((logits.argmax(1) == targets).sum())
        nats += float(cross_entropy(logits, targets, reduction="sum"))
        count += len(targets)
    return Score(accuracy=right / count, bits_per_sample=nats / count / float(np.log(2)), samples=count)


Counts = npt.NDArray[np.int64]  # (levels before, levels after)
Baseline = Literal["repeat", "histogram", "markov"]
BASELINES: dict[Baseline, int] = {"repeat": 0, "histogram": LEVELS, "markov": LEVELS**2}  # and their parameters
SMOOTHING = 1.0  # imagined counts: of each level in the histogram, of all pairs of each level before in the chain


def count_pairs(pieces: Iterable[Tensor]) -> Counts:
    """Count pairs of neighbouring levels in pieces ``(time,)`` that overlap by one sample."""
    counts = np.zeros(LEVELS**2, np.int64)
    for levels in pieces:
        pairs = levels[:-1] * LEVELS + levels[1:]
        counts += torch.bincount(pairs, minlength=LEVELS**2).numpy()
    return counts.reshape(LEVELS, LEVELS)


class LevelTable(nn.Module):
    """A first-order Markov chain: log-probabilities ``(levels before, levels)`` that are looked up."""

    table: Tensor

    def __init__(self, table: npt.NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("table", torch.from_numpy(table.astype(np.float32)), persistent=False)

    def forward(self, previous: Tensor, last: int) -> Tensor:
        """Look up the log-probabilities of the last samples ``(batch, last, levels)``."""
        return self.table[previous[:, -last:]]


def create_baseline(kind: Baseline, counts: Counts) -> LevelTable:
    """Build a baseline from counts of pairs. The repeated level has no probabilities: its rows only point at it."""
    frequencies = counts.sum(0) + SMOOTHING
    shares = frequencies / frequencies.sum()
    match kind:
        case "repeat":
            return LevelTable(np.eye(LEVELS))
        case "histogram":
            return LevelTable(np.tile(np.log(shares), (LEVELS, 1)))
        case "markov":
            pairs = counts + SMOOTHING * shares
            return LevelTable(np.log(pairs / pairs.sum(1, keepdims=True)))
