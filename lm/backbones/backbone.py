"""What a backbone is: a network that gives states over time, and the reading of sound that it needs.

::

    sound --front end--> inputs (time, ...) --network--> states (time, dim) --head--> outputs

Each backbone has one file in `lm.backbones`, with a description (`Backbone`), which ``config.json`` of a fine-tuned
model holds. Its options on the command line stand in `pipelines/backbones`. Heads read the states of the last layer.
Probes read those of all layers (`lm.finetuned`).

State ``s`` reads the inputs ``[s * inputs_per_state, (s + 1) * inputs_per_state + shared_inputs)``::

    inputs   |<- inputs_per_state ->|<- inputs_per_state ->|<- shared_inputs ->|
    state 0  [---------------------------------------------]                        shared_inputs: also of state 1
    state 1                         [------------------------------------------]

An input is a code, a frame or a sample. Windows overlap by half, as those of the language model (`lm.tokens`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lm.probing.vectors import Frames, VectorConfig
from wordless.audio.views import View
from wordless.audio.waveform import equal_blocks, in_16_bits
from wordless.base.arrays import Array, FloatArray
from wordless.base.saved_models import WEIGHTS

WEIGHTS_OPTION = "backbone.weights"  # names the folder of a backbone's weights in messages
# inputs of clips (batch, time, ...), their lengths (batch,), and a generator of all random choices -> a view of each
MakeView = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class BackboneReading:
    """How a backbone reads sound, and how wide its states are."""

    sample_rate: int  # Hz
    dim: int  # width of a state
    samples_per_state: int
    window: int  # states that are read at once
    inputs_per_state: int = 1
    shared_inputs: int = 0  # by two neighbouring states
    rounded_up: bool = True  # whether an incomplete last state is read, too; its inputs are padded
    least_samples: int  # of the shortest recording that is read
    input_type: str = "int16"  # of the stored inputs, as NumPy names it
    input_width: tuple[int, ...] = ()  # shape of one input
    key: str  # fingerprint of what decides the inputs of a recording

    @property
    def states_per_second(self) -> float:
        return self.sample_rate / self.samples_per_state

    @property
    def inputs_per_second(self) -> float:
        return self.inputs_per_state * self.states_per_second

    def num_states(self, num_inputs: int) -> int:
        own = num_inputs - self.shared_inputs
        return max(-(-own // self.inputs_per_state) if self.rounded_up else own // self.inputs_per_state, 1)

    def num_inputs(self, states: int) -> int:
        """Count the inputs that ``states`` neighbouring states read."""
        return states * self.inputs_per_state + self.shared_inputs

    def states_of(self, lengths: Tensor) -> Tensor:
        """Count the states of each clip of a batch, from its inputs ``(batch,)``."""
        return torch.tensor([self.num_states(length) for length in lengths.tolist()], device=lengths.device)


class BackboneNetwork(nn.Module, ABC):
    """The network of a backbone."""

    # Inputs for each state of each layer; only `Backbone.pieces` and `LogMelBackbone.pieces` read them.
    hops: tuple[int, ...]

    @abstractmethod
    def forward(self, inputs: Tensor, lengths: Tensor) -> Frames:
        """Map inputs ``(batch, time, ...)`` of lengths ``(batch,)``, at most a window, to the states for a head."""

    @abstractmethod
    def states(self, inputs: Tensor, lengths: Tensor) -> dict[str, Frames]:
        """Compute the states of each layer for probes, ``layer_1`` and so on, from inputs of `prepare`."""

    @property
    @abstractmethod
    def stack(self) -> Sequence[nn.Module]:
        """The parts that can be frozen, from the inputs on: what embeds the inputs, then each layer."""

    def prepare(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Convert the inputs of `forward` to those of `states`."""
        return inputs

    @torch.no_grad()
    def layer_states(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Compute the states of all layers at the rate of the last one ``(layers, batch, states, dim)``."""
        found = self.states(self.prepare(inputs, lengths), lengths)
        return torch.stack([states for states, _ in found.values()])


def load_part(network: nn.Module, folder: Path, prefix: str) -> None:
    """Load the weights of a network from a model that it is a part of: those whose names have the prefix."""
    found = load_file(folder / WEIGHTS)
    network.load_state_dict({name.removeprefix(prefix): found[name] for name in found if name.startswith(prefix)})


# Blocks of samples at the backbone's rate -> the inputs (time, ...) of a recording. Any process can receive a copy.
FrontEnd = Callable[[Iterable[FloatArray]], Array]


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """What a network reads of a view."""

    steps: Sequence[int]  # states of each layer
    pieces: Iterable[Tensor]  # inputs (time, ...) of `BackboneNetwork.states`, which do not see each other


@dataclass(frozen=True, kw_only=True)
class Backbone(ABC):
    """The description of a backbone: its architecture and its front end, without weights; plain values alone."""

    name: ClassVar[str]
    title: ClassVar[str]  # in model cards
    parts: ClassVar[tuple[str, ...]] = ()  # sub-folders of a model folder that the front end reads

    @property
    @abstractmethod
    def reading(self) -> BackboneReading:
        """How the backbone reads sound."""

    def num_inputs(self, num_samples: int) -> int:
        """Count the inputs of a recording of ``num_samples`` samples at its rate; by default an input each."""
        return num_samples

    @abstractmethod
    def create(self, *, seed: int, weights: Path | None = None, option: str = WEIGHTS_OPTION) -> BackboneNetwork:
        """Create the network with the weights of a folder, which ``option`` names in messages, or with random ones."""

    def front_end(self, folder: Path, *, device: str) -> FrontEnd:
        """Return the front end, which reads the `parts` of a model folder; by default the samples are the inputs."""
        return _samples

    def pieces(self, view: View, root: Path, network: BackboneNetwork, statistics: Path) -> Pieces:
        """Return what probes read of a view below ``root``: by default samples, a window at a time."""
        reading = self.reading
        blocks = equal_blocks(view.blocks(root, reading.sample_rate), reading.num_inputs(reading.window))
        steps = [-(-view.num_samples(reading.sample_rate) // hop) for hop in network.hops]
        return Pieces(steps=steps, pieces=map(torch.from_numpy, blocks))

    def groups(self, views: Sequence[View]) -> list[list[View]]:
        """Divide views into groups of neighbours, each of which is computed at once: by default those of one clip."""
        return [[*group] for _, group in groupby(views, attrgetter("clip.name"))]

    def candidates(self, pooled: Mapping[str, FloatArray], vectors: VectorConfig) -> dict[str, FloatArray]:
        """Select the candidates of probes from the pooled states of all layers."""
        return vectors.select(pooled, layer="layer", together="all_layers")


def _samples(blocks: Iterable[FloatArray]) -> Array:
    return np.concatenate([np.zeros(0, np.int16), *map(in_16_bits, blocks)])


@dataclass(frozen=True, kw_only=True)
class BackboneSource:
    """A backbone, and where its front end and its weights lie."""

    backbone: Backbone
    folder: Path = Path()  # that holds the parts of the front end
    weights: Path | None  # folder of the pre-trained weights; None: random weights
    fingerprint: str  # of the weights; empty where they are random
    option: str = WEIGHTS_OPTION  # names the folder of the weights in messages
    change: MakeView  # of the inputs of training clips
    changes_on_device: bool = False  # whether `change` computes on a GPU
    learned_labels: bool = False  # whether the weights learned labels of the recordings that they were trained on

    @property
    def untrained(self) -> "BackboneSource":
        """The same backbone with random weights."""
        return replace(self, weights=None, fingerprint="", learned_labels=False)

    def create(self, *, seed: int) -> BackboneNetwork:
        return self.backbone.create(seed=seed, weights=self.weights, option=self.option)
