"""A recurrent network over log-mel."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from lm.backbones.backbone import WEIGHTS_OPTION, BackboneNetwork, BackboneReading, load_part
from lm.backbones.convolutional import LogMelBackbone
from lm.probing.vectors import Frames
from wordless.audio.audio_options import SpectrogramConfig


class Recurrent(BackboneNetwork):
    """Layers over frames: ``(batch, time, mels)`` -> ``(batch, time, dim)``."""

    def __init__(self, mels: int, dim: int, layers: int) -> None:
        super().__init__()
        self.hops = (1,) * layers  # frames of log-mel for each state of each layer
        widths = [mels, *[dim] * (layers - 1)]
        self.layers = nn.ModuleList(nn.GRU(width, dim, batch_first=True) for width in widths)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Frames:
        *_, last = self.states(inputs, lengths).values()
        return last

    def states(self, inputs: Tensor, lengths: Tensor) -> dict[str, Frames]:
        found = dict[str, Frames]()
        for number, layer in enumerate(self.layers, 1):
            inputs = layer(inputs)[0]
            found[f"layer_{number}"] = inputs, lengths
        return found

    @property
    def stack(self) -> Sequence[nn.Module]:
        return [nn.Identity(), *self.layers]  # what embeds the inputs, then each layer


@dataclass(frozen=True, kw_only=True)
class RecurrentBackbone(LogMelBackbone):
    """The sizes of the network, and the log-mel that it reads."""

    audio: SpectrogramConfig
    dim: int
    layers: int

    name: ClassVar[str] = "gru"
    title: ClassVar[str] = "recurrent network"

    @property
    def reading(self) -> BackboneReading:
        return self.reading_of(hop=1, dim=self.dim)

    def create(self, *, seed: int, weights: Path | None = None, option: str = WEIGHTS_OPTION) -> Recurrent:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Recurrent(self.audio.n_mels, self.dim, self.layers)
        if weights is not None:
            load_part(network, weights, "backbone.")
        return network
