"""What generates: one WaveNet, several engines for its steps, and the choice among them."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor

from vocoder.sampling import Sampling
from vocoder.stepper import TorchStreams
from vocoder.wavenet import WaveNet

Engine = Literal["torch"]
EngineChoice = Literal["auto", "torch"]
TORCH_WIDTH = 8  # clips side by side


class Streams(Protocol):
    """Clips side by side in one engine, which keeps their past from call to call."""

    def advance(self, conditions: Tensor, given: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
        """Go on by some frames.

        Args:
            conditions: ``(clips, frames, layers, gates)`` on the model's device.
            given: levels that sound whatever the model says, -1 where it is to draw, ``(clips, samples)`` int64.
            draws: uniform numbers in [0, 1), ``(clips, samples)`` float32.
            sampling: how levels are drawn.

        Returns:
            Levels ``(clips, samples)`` int64 on the CPU.
        """

    def score(self, conditions: Tensor, given: Tensor) -> Tensor:
        """Logits ``(clips, samples, levels)`` on the CPU along levels that are all given; goes on as `advance` does."""

    def state(self) -> Any:
        """What `restore` goes back to."""

    def restore(self, state: Any) -> None:
        """Go back to where `state` was called."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The engine to be used."""

    engine: Engine
    notice: str | None = None  # what to tell whoever wished for another


def choose_engine(wanted: EngineChoice, device: str) -> Chosen:
    """The engine to use on a type of device, ``cpu`` or ``cuda``."""
    return Chosen(engine="torch")


def create_streams(model: WaveNet, clips: int, engine: Engine) -> Streams:
    """Clips before their first sample."""
    return TorchStreams(model, clips)


def width(engine: Engine) -> int:
    """Clips that an engine takes side by side at most."""
    return TORCH_WIDTH
