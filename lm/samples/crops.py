"""Batches of crops: the same targets for every model, and as much of the past as the model reads.

::

    clip       [silence silence][s0 s1 s2 ...                                    ]
    previous             [ history      ][ one sample earlier  ]
    targets                              [ samples of the crop ]

Before a clip there is silence, as in generation. So clips that are shorter than a model's past are not left out. Behind
the end of a clip nothing is counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from lm.samples.options import SampleCropsConfig
from vocoder.wavenet.mu_law import encode, silence
from wordless.base.devices import copy_to
from wordless.base.errors import InputError

NOT_COUNTED = -100  # target that the loss ignores
PIECE = 1 << 20  # samples of long clips that are read together


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleClips:
    """Sound of clips, one after the other in one array, which may be a `numpy.memmap`.

    Clip ``i`` has the samples ``offsets[i]:offsets[i + 1]``.
    """

    samples: npt.NDArray[np.int16]  # (samples,)
    offsets: npt.NDArray[np.int64]  # (clips + 1,)

    def levels(self, clip: int, start: int, stop: int) -> Tensor:
        """Return mu-law levels of samples of a clip; ``start`` may lie before the clip, where there is silence."""
        begin, end = (int(offset) for offset in self.offsets[clip : clip + 2])
        first, last = max(begin + start, begin), min(begin + stop, end)
        sound = torch.from_numpy(self.samples[first:last].astype(np.float32) / 32_768)
        return pad(encode(sound), (max(-start, 0), 0), value=silence())

    def pieces(self) -> Iterator[Tensor]:
        """Yield the levels of all clips piece by piece; each piece begins with the level before its first sample."""
        for clip, length in enumerate(np.diff(self.offsets)):
            for start in range(0, int(length), PIECE):
                yield self.levels(clip, start - 1, start + PIECE)


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleBatch:
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
    """Batches of random crops; the chance of a clip is proportional to its length.

    Targets depend on the clips, the options and the step alone, so models with other histories see the same targets.
    """

    def __init__(self, clips: SampleClips, config: SampleCropsConfig, *, history: int) -> None:
        if not len(clips.samples):
            raise InputError("there is no sound to predict: a split of the corpus has no clips; widen corpus.split")
        self.clips, self.config, self.history = clips, config, history

    def batch(self, step: int, part: int = 0, parts: int = 1) -> SampleBatch:
        """Return share ``part`` of ``parts`` of the batch of ``step``; ``parts`` must divide the batch size."""
        if self.config.batch_size % parts:
            raise InputError(
                f"next_sample.crops.batch_size is {self.config.batch_size}; processes times accumulation steps are "
                f"{parts}, which must divide it"
            )
        share = self.config.batch_size // parts
        return self._collate([self._draw(step, example) for example in range(part * share, (part + 1) * share)])

    def batches(self, count: int) -> Iterator[SampleBatch]:
        """Yield the batches of the first steps."""
        for step in range(count):
            yield self.batch(step)

    def _draw(self, step: int, example: int) -> Tensor:
        """Draw a crop: levels ``(history + 1 + time,)``, the last ``time`` of which are targets."""
        rng = np.random.default_rng([self.config.seed, step, example])
        offsets = self.clips.offsets
        clip = int(np.searchsorted(offsets[1:], rng.integers(offsets[-1]), side="right"))
        length = int(offsets[clip + 1] - offsets[clip])
        start = int(rng.integers(max(length - self.config.samples, 0) + 1))
        return self.clips.levels(clip, start - self.history - 1, start + self.config.samples)

    def _collate(self, crops: list[Tensor]) -> SampleBatch:
        longest = max(map(len, crops))
        previous = [pad(crop[:-1], (0, longest - len(crop)), value=silence()) for crop in crops]
        targets = [pad(crop[self.history + 1 :], (0, longest - len(crop)), value=NOT_COUNTED) for crop in crops]
        counted = sum(len(crop) - self.history - 1 for crop in crops)
        return SampleBatch(previous=torch.stack(previous), targets=torch.stack(targets), counted=counted)


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
