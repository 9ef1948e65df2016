"""What a body is: a network that gives states over time, and the reading of sound that it needs.

::

    sound --front end--> inputs (time, ...) --network--> states (time, dim) --head--> outputs

Each body has one file in `lm.finetuning.bodies`, with a description (`Body`), which ``config.json`` of a fine-tuned
model holds, and its options on the command line (`BodyOptions`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from torch import Tensor, nn

from lm.baselines.clip_batches import MakeView
from lm.finetuning.reading import Reading
from lm.pooling import FloatArray
from wordless.base.arrays import Array
from wordless.base.errors import InputError
from wordless.base.text import counted

FrozenLayers = int | Literal["inputs", "all"]
RunPart = Literal["tokenizer", "lm", "wav2vec2", "audio_transformer"]
RANDOM, RUN = "none", "run"  # values of body.weights: random weights, or those of the run


class BodyNetwork(nn.Module, ABC):
    """The network of a body."""

    @abstractmethod
    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Map inputs ``(batch, time, ...)``, at most a window, of lengths ``(batch,)`` to ``(batch, states, dim)``."""

    @abstractmethod
    def layer_states(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Compute the states of each layer ``(layers, batch, states, dim)`` for probes, without gradients."""

    @property
    @abstractmethod
    def layers(self) -> Sequence[nn.Module]:
        """The parts that can be frozen, from the inputs on: what embeds the inputs, then each layer."""

    @property
    def tied(self) -> Sequence[str]:
        """Names of weights that are one tensor; a file of weights holds one of them."""
        return ()


class FrontEnd(Protocol):
    """The conversion of sound to inputs; any process can receive a copy."""

    def __call__(self, blocks: Iterable[FloatArray]) -> Array:
        """Convert blocks of samples at the body's rate to the inputs ``(time, ...)`` of a recording."""


class Body(Protocol):
    """The description of a body: its architecture and its front end, without weights; a dataclass of plain values."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    name: ClassVar[str]
    # Of the training's recipe: with no layer or all frozen, and with some frozen. Raise both if the weights change.
    training_versions: ClassVar[tuple[int, int]]
    parts: ClassVar[tuple[str, ...]]  # sub-folders of a model folder that the front end reads

    @property
    def reading(self) -> Reading: ...

    @property
    def dim(self) -> int:
        """Width of a state."""

    @property
    def parameters(self) -> int:
        """Number of weights."""

    @property
    def input_type(self) -> np.dtype[np.generic]:
        """Type of the stored inputs."""

    @property
    def input_width(self) -> tuple[int, ...]:
        """Shape of one input."""

    @property
    def least_samples(self) -> int:
        """Samples of the shortest recording that is read."""

    @property
    def front_end_key(self) -> str:
        """Fingerprint of what decides the inputs of a recording."""

    def num_inputs(self, num_samples: int) -> int:
        """Count the inputs of a recording of ``num_samples`` samples at the body's rate."""

    def create(self, *, seed: int, weights: Path | None = None) -> BodyNetwork:
        """Create the network with the weights of a folder, or with random ones that follow from the seed."""

    def front_end(self, folder: Path, *, device: str) -> FrontEnd:
        """Create the front end, which reads the `parts` of a model folder."""


class BodyOptions(Protocol):
    """Options of a body on the command line, beside those that all bodies have; a dataclass.

    ``weights`` is `RANDOM`, or names pre-trained weights.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def needs(self, weights: str) -> tuple[RunPart, ...]:
        """Name the parts of a run that `open` reads."""

    def open(self, run: Mapping[str, Path], *, weights: str) -> "Source":
        """Describe the body with the parts of a run that it `needs`."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A body, and where its front end and its weights lie."""

    body: Body
    folder: Path  # that holds the parts of the front end
    weights: Path | None  # folder of the pre-trained weights; None: random weights
    fingerprint: str  # of the weights; empty where they are random
    change: MakeView  # of the inputs of training clips
    learned_labels: bool = False  # whether the weights learned labels of the recordings that they were trained on

    @property
    def untrained(self) -> "Source":
        """The same body with random weights."""
        return replace(self, weights=None, fingerprint="", learned_labels=False)

    def create(self, *, seed: int) -> BodyNetwork:
        """Create the network."""
        return self.body.create(seed=seed, weights=self.weights)


def freeze(network: BodyNetwork, count: FrozenLayers) -> None:
    """Keep the weights of the first ``count`` layers, and of what embeds their inputs; 0 freezes nothing.

    ``inputs`` freezes what embeds the inputs alone.

    Raises:
        InputError: there are fewer layers.
    """
    layers = len(network.layers) - 1
    if count == "all":
        network.requires_grad_(False)
    elif count == "inputs":
        network.layers[0].requires_grad_(False)
    elif count > layers:
        raise InputError(
            f"body.frozen_layers is {count}, and the body has {counted(layers, 'layer')}; choose 0 to {layers}, or all"
        )
    elif count:
        for layer in network.layers[: 1 + count]:
            layer.requires_grad_(False)


def require_frozen_layers(count: FrozenLayers) -> None:
    """Refuse a negative number of layers."""
    if isinstance(count, int) and count < 0:
        raise InputError(f"body.frozen_layers is {count}; choose 0 (none), inputs, a number of layers, or all")
