"""The reader of all layers of a backbone, fine-tuned or not, as vectors for probes.

Any process loads the network, reads recordings piece by piece, and pools the states of each layer over time, so that
memory does not grow with the length of a recording. A network does not see the previous piece.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import cast

import torch
from torch.nn.utils.rnn import pad_sequence

from lm.backbones.backbone import Backbone, BackboneNetwork, Pieces
from lm.finetuned import FineTunedModel
from lm.heads import ClassificationTask, ClipHead
from lm.probing.vectors import POOLINGS, Pooling, StatesOfBatch, pool_states
from wordless.audio.recordings.inspection import require_finite_samples
from wordless.audio.views import View
from wordless.base.arrays import FloatArray
from wordless.base.devices import copy_to, exact


@dataclass(frozen=True, kw_only=True)
class LayerReader:
    """A network that any process can create or load, and the recordings of which it pools all layers."""

    backbone: Backbone
    trained: Path | None = None  # folder of a model that was trained on labels
    weights: Path | None = None  # pre-trained ones otherwise; None: random ones
    seed: int = 0  # of random weights
    root: Path = Path()  # of the recordings
    statistics: Path = Path()  # folder with mean and deviation of log-mel, for the backbones that read it
    device: str
    poolings: tuple[Pooling, ...] = POOLINGS

    @torch.inference_mode()
    @exact
    def __call__(self, views: Sequence[View]) -> list[dict[str, FloatArray]]:
        """Compute each layer's states of views under each pooling, ``layer_1:mean`` and so on."""
        network = loaded(self)
        read = [self.backbone.pieces(view, self.root, network, self.statistics) for view in views]
        found = pool_states(states_of(network, read, device=self.device), [each.steps for each in read], self.poolings)
        for view, own in zip(views, found, strict=True):
            for vector in own.values():
                require_finite_samples(vector, view.clip, "states of a network")
        return found


def states_of(network: BackboneNetwork, read: Sequence[Pieces], *, device: str) -> Iterator[StatesOfBatch]:
    """Give the states of the first pieces of all views, which share a batch, then those of their second pieces."""
    for pieces in zip_longest(*(each.pieces for each in read)):
        present = {number: piece for number, piece in enumerate(pieces) if piece is not None}
        lengths = torch.tensor([*map(len, present.values())])  # on the host, where it is used
        batch = copy_to(pad_sequence([*present.values()], batch_first=True), torch.device(device))
        yield [(number, 0) for number in present], network.states(batch, lengths)


@lru_cache(maxsize=1)
def loaded(reader: LayerReader) -> BackboneNetwork:
    """Create or load the network of a reader on its device, in evaluation mode, once in each process."""
    if reader.trained is not None:
        return FineTunedModel.from_pretrained(
            reader.trained, backbone=type(reader.backbone), device=reader.device
        ).network.backbone
    return reader.backbone.create(seed=reader.seed, weights=reader.weights).eval().to(reader.device)


def head_scores(folder: Path, pooled: Mapping[str, FloatArray], backbone: type[Backbone]) -> FloatArray:
    """Compute class probabilities ``(clips, classes)`` with a head, from the pooled states of the last layer."""
    model, last = FineTunedModel.from_pretrained(folder, backbone=backbone), [*pooled][-1].rpartition(":")[0]
    head, task = cast(ClipHead, model.network.head), cast(ClassificationTask, model.task)
    with torch.inference_mode():
        return task.scores(head.of_pooled(torch.from_numpy(pooled[f"{last}:{head.pooling}"])))
