"""Options of heads and of their figures, without PyTorch: an option is refused before it is imported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from lm.bodies.options import HeadConfig
from lm.options import Means
from wordless.audio.recordings.description import LabelType
from wordless.audio.recordings.manifest import number_of
from wordless.base.errors import InputError
from wordless.base.options import Options, option
from wordless.base.seeds import MAX_SEED
from wordless.base.text import counted

if TYPE_CHECKING:
    from lm.heads.head import Task


@dataclass(frozen=True, kw_only=True)
class FigureConfig(Options):
    """Options of the figures."""

    resamples: int = option(
        1000,
        "number of bootstrap samples of the test clips, or of their groups where there are 20 or more",
        least=10,
        most=1_000_000,
    )
    confidence: float = option(0.95, "confidence level of all intervals", above=0, below=1)
    seed: int = option(0, "seed of the bootstrap samples", least=0, most=MAX_SEED)


@dataclass(frozen=True, kw_only=True)
class HeadOptions(Options, ABC):
    """Options of a head."""

    name: ClassVar[str]  # in the table of heads
    label_type: ClassVar[LabelType]
    reads_whole_clips: ClassVar[bool] = False  # the label is wrong for a part of the clip

    @abstractmethod
    def require(self, labels: Sequence[str]) -> None:
        """Refuse labels that the head cannot learn, before any recording is decoded."""

    @abstractmethod
    def task(self, train: Sequence[str], held_out: Sequence[str]) -> Task:
        """Make the task from the labels of the training clips; refuse those of others if they cannot be predicted."""


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions(HeadConfig, HeadOptions):
    """One class for each clip, or several."""

    name = "classification"
    label_type = "class"

    label_separator: str | None = option(
        None, 'separates several labels of one clip, such as ";" in "dog;rain"; null: each clip has one label'
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_separator == "":
            rule = "give what stands between labels, or null for one label"
            raise InputError(option="label_separator", value="", rule=rule)

    def names(self, label: str) -> tuple[str, ...]:
        """Return the classes of a label."""
        if self.label_separator is None:
            return (label,)
        return tuple(name for part in label.split(self.label_separator) if (name := part.strip()))

    def require(self, labels: Sequence[str]) -> None:
        """Refuse fewer than two classes."""
        classes = {name for label in labels for name in self.names(label)}
        if len(classes) < 2:
            found = f"all {counted(len(labels), 'clip')} with a label have {min(classes)!r}" if classes else "none"
            raise InputError(
                f"head=classification needs at least 2 classes, and {found}: put each class into its own sub-folder, "
                "or name the labels in corpus.pattern or corpus.table"
            )

    def task(self, train: Sequence[str], held_out: Sequence[str]) -> Task:
        """Make the task: its classes are those of the training clips, and held-out clips may have no others."""
        from lm.heads.classification import ClassificationTask

        self.require(train)
        classes = {name for label in train for name in self.names(label)}
        if lost := sorted({name for label in held_out for name in self.names(label)} - classes):
            raise InputError(
                f"{counted(len(lost), 'class has', 'classes have')} no training clip ({', '.join(lost[:5])}); change "
                "corpus.split so that each has any, or leave these classes out"
            )
        return ClassificationTask(options=self, classes=tuple(sorted(classes)))


@dataclass(frozen=True, kw_only=True)
class RegressionOptions(HeadOptions):
    """A number for each clip (corpus.label_type=number)."""

    name = "regression"
    label_type = "number"

    pooling: Means = option("mean", "pooling of the states over time")
    dropout: float = option(0.1, "dropout before the linear layer", least=0, below=1)

    def require(self, labels: Sequence[str]) -> None:
        """Refuse labels that are no finite numbers, and numbers that are all equal."""
        numbers = {label: number_of(label) for label in labels}
        for label, number in numbers.items():
            if number is None:
                problem = f"a label is {label!r:.40}, and head=regression learns finite numbers"
                raise InputError(f"{problem}; write one such as 3.5, or leave the recording unlabelled")
        if len({*numbers.values()}) < 2:
            found = f"all labels are {labels[0]}" if labels else "no recording has a label"
            raise InputError(
                f"head=regression needs at least 2 different numbers, and {found}: name them in a column label of "
                "corpus.table"
            )

    def task(self, train: Sequence[str], held_out: Sequence[str]) -> Task:
        """Make the task: numbers are normalised with mean and standard deviation of the training clips."""
        from lm.heads.regression import RegressionTask

        for label in (*train, *held_out):
            if number_of(label) is None:
                raise InputError(f"a label is {label!r:.40}, and head=regression learns finite numbers")
        return RegressionTask.of(self, train)


def require_decoder() -> None:
    """Refuse a beam search if its library is not installed."""
    if find_spec("flashlight") is None:
        raise InputError(
            "head.beam_size asks for a beam search, and flashlight-text is not installed; pip install "
            "'wordless[ctc]', or decode greedily: head.beam_size=0"
        )


@dataclass(frozen=True, kw_only=True)
class SequenceOptions(HeadOptions):
    """The text of each clip, character by character (corpus.label_type=text)."""

    name = "sequence"
    label_type = "text"
    reads_whole_clips = True

    lower_case: bool = option(True, "whether capital letters are read as small ones")
    dropout: float = option(0.1, "dropout before the linear layer", least=0, below=1)
    least_steps_per_second: float = option(
        50.0,
        "least steps of the outputs per second; a body with fewer states gives several steps for each",
        above=0,
        most=10_000,
    )
    beam_size: int = option(
        0,
        "number of hypotheses of a beam search beside the greedy decoding (needs the extra ctc); 0: no beam search",
        least=0,
    )

    def text(self, label: str) -> str:
        """Return the text that is learned: single spaces, and small letters unless capitals are kept."""
        text = " ".join(label.split())
        return text.lower() if self.lower_case else text

    def require(self, labels: Sequence[str]) -> None:
        """Refuse texts without letters, such as numbers, and a beam search without its library."""
        without = [label for label in labels if not any(character.isalpha() for character in label)]
        if without or not labels:
            found = f"{len(without)} labels have none, such as {without[0]!r:.40}" if without else "there is no label"
            raise InputError(
                f"head=sequence spells texts by their letters, and {found}; write what is said, or give names: "
                "corpus.label_names={'7': seven}"
            )
        if self.beam_size:
            require_decoder()

    def task(self, train: Sequence[str], held_out: Sequence[str]) -> Task:
        """Make the task: its characters are those of the training texts."""
        from lm.heads.sequence import SequenceTask

        self.require(train)
        characters = {character for label in train for character in self.text(label)}
        return SequenceTask(options=self, characters=tuple(sorted(characters)))


HEAD_OPTIONS: dict[str, type[HeadOptions]] = {
    each.name: each for each in (ClassificationOptions, RegressionOptions, SequenceOptions)
}
