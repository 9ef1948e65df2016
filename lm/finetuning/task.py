"""What a head is: a module over the states of a body, and what its outputs mean.

Each head has one file in `lm.finetuning.heads`, with its options on the command line (`HeadOptions`) and its task
(`Task`), which ``config.json`` of a fine-tuned model holds. Outputs of a clip are an array ``(steps, width)``; a head
that reads a clip as a whole gives one step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

from lm.finetuning.figures import Figure, FigureConfig, Groups
from lm.pooling import FloatArray
from lm.probing.config import ProbeConfig
from lm.probing.task import BoolArray
from lm.sequences import IndexArray
from wordless.audio.recordings.description import LabelType

Row = Mapping[str, str | float]  # columns of a table of predictions


class Task(Protocol):
    """What a head predicts, made from the labels of training clips: a dataclass of plain values."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def summary(self) -> str:
        """What is predicted, in a few words."""

    def create(self, dim: int, *, states_per_second: float) -> nn.Module:
        """Create the module ``(states (batch, time, dim), lengths (batch,)) -> (outputs, their lengths)``."""

    def targets(self, labels: Sequence[str]) -> Tensor:
        """Convert labels to targets ``(clips, ...)``."""

    def loss(self, outputs: Tensor, lengths: Tensor, targets: Tensor, *, training: bool) -> tuple[Tensor, int]:
        """Sum the loss of outputs ``(batch, steps, width)`` over the items of a batch; also return their number."""

    def strata(self, labels: Sequence[str]) -> BoolArray:
        """Return classes ``(clips, classes)`` of which each share of the labels has some of each."""

    def fits(self, label: str, states: int, *, states_per_second: float) -> bool:
        """Return whether a clip of so many states has room for its label."""

    def rows(self, outputs: Sequence[FloatArray]) -> list[Row]:
        """Convert the outputs of clips to rows of a table; the first column is the prediction."""

    def figures(
        self,
        outputs: Sequence[FloatArray],
        labels: Sequence[str],
        config: FigureConfig,
        groups: Groups | None = None,
    ) -> tuple[Figure, ...]:
        """Measure the outputs for clips with these labels; the first figure is the one that is compared.

        With ``groups``, whole groups of clips are resampled.
        """

    def constant(self, labels: Sequence[str]) -> FloatArray:
        """Return the outputs ``(steps, width)`` that answer every clip alike: the best answer without its sound."""


@runtime_checkable
class PooledTask(Task, Protocol):
    """A task that a linear probe of pooled states can solve: its head gives one step for a clip."""

    def probe(
        self,
        candidates: Mapping[str, FloatArray],
        labels: Sequence[str],
        rows: Mapping[str, IndexArray],
        config: ProbeConfig,
        *,
        threads: int,
    ) -> "Probed":
        """Fit linear probes of pooled states ``(clips, dim)`` on the rows of train; validation chooses among them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Probed:
    """The outputs of the chosen probe for test clips, in the form of a head's outputs."""

    outputs: list[FloatArray]
    chosen: str  # layer and pooling


class HeadOptions(Protocol):
    """Options of a head on the command line."""

    label_type: ClassVar[LabelType]
    reads_whole_clips: ClassVar[bool]  # the label is wrong for a part of the clip

    def require(self, labels: Sequence[str]) -> None:
        """Refuse labels that the head cannot learn, before any recording is decoded."""

    def task(self, train: Sequence[str], held_out: Sequence[str]) -> Task:
        """Make the task from the labels of the training clips; refuse those of others if they cannot be predicted."""
