"""The GPT of a run as a backbone: it reads the codes of a recording, and a state has read all codes up to its own.

Time steps of several streams have one state, the mean over their codes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from lm.backbones.backbone import WEIGHTS_OPTION, Backbone, BackboneNetwork, BackboneReading, FrontEnd
from lm.gpt import GPT, GPTConfig, create_gpt
from lm.model import LanguageModel
from lm.probing.vectors import Frames
from lm.tokens import Vocabulary
from tokenizer.codes import CodesFormat
from tokenizer.tokenizer import load_tokenizer
from wordless.base.arrays import Array, FloatArray


class GptNetwork(BackboneNetwork):
    """A GPT that gives the normalised states of its last layer."""

    def __init__(self, gpt: GPT) -> None:
        super().__init__()
        self.gpt = gpt

    def forward(self, inputs: Tensor, lengths: Tensor) -> Frames:
        """Map codes ``(batch, time, streams)`` to states ``(batch, time, model_dim)``; attention is causal."""
        return self._over_streams(self.gpt.decoded(self.gpt.vocabulary.sequences(inputs))[:, 1:], inputs), lengths

    def states(self, inputs: Tensor, lengths: Tensor) -> dict[str, Frames]:
        found = self.gpt.states(self.gpt.vocabulary.sequences(inputs))
        return {name: (self._over_streams(each[:, 1:], inputs), lengths) for name, each in found.items()}

    @property
    def stack(self) -> Sequence[nn.Module]:
        transformer = self.gpt.transformer
        return [transformer.decoder_frontend, *transformer.decoder.layers]

    def _over_streams(self, states: Tensor, codes: Tensor) -> Tensor:
        """Average states of codes ``(..., time * streams, dim)`` over the codes of a time step ``(..., time, dim)``."""
        if self.gpt.by_step:
            return states
        return states.reshape(*states.shape[:-2], -1, codes.shape[2], states.shape[-1]).mean(-2)


def _encode(blocks: Iterable[FloatArray], *, folder: Path, device: str, side_streams: bool) -> Array:
    """Convert blocks of samples to codes ``(time, streams)`` by the tokenizer in a folder."""
    return load_tokenizer(folder, device).encode_own(blocks, side_streams=side_streams).values


@dataclass(frozen=True, kw_only=True)
class GptBackbone(Backbone):
    """A GPT and the codebook that it reads."""

    gpt: GPTConfig
    codes: CodesFormat

    name: ClassVar[str] = "gpt"
    title: ClassVar[str] = "GPT over codes"
    parts: ClassVar[tuple[str, ...]] = ("tokenizer",)

    @property
    def reading(self) -> BackboneReading:
        """A state for each time step of the codes; a window is the GPT's context."""
        return BackboneReading(
            sample_rate=self.codes.sample_rate,
            dim=self.gpt.model_dim,
            samples_per_state=self.codes.samples_per_code,
            window=(self.gpt.context - 1) // self.gpt.positions_per_step(self.codes.streams),
            least_samples=self.codes.samples_per_code,
            input_type="int32",
            input_width=(self.codes.streams,),
            key=self.codes.codebook,
        )

    def num_inputs(self, num_samples: int) -> int:
        return self.codes.steps(num_samples)

    def create(self, *, seed: int, weights: Path | None = None, option: str = WEIGHTS_OPTION) -> GptNetwork:
        gpt = create_gpt(self.gpt, Vocabulary.of(self.codes), seed=seed)
        if weights is not None:
            gpt.load_state_dict(LanguageModel.from_pretrained(weights).gpt.state_dict())
        return GptNetwork(gpt)

    def front_end(self, folder: Path, *, device: str) -> FrontEnd:
        return partial(_encode, folder=folder / "tokenizer", device=device, side_streams=bool(self.codes.side_streams))


def replace_codes(
    inputs: Tensor, lengths: Tensor, generator: torch.Generator, *, share: float, largest: int
) -> tuple[Tensor, Tensor]:
    """Replace a share of codes ``(batch, time, streams)`` by random ones, as the GPT's own training does."""
    others = torch.randint(largest + 1, inputs.shape, generator=generator)
    return torch.where(
        torch.rand(inputs.shape, generator=generator, dtype=torch.float32) < share, others, inputs
    ), lengths
