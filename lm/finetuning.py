"""Options of the heads of ``wordless finetune``."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from typing import ClassVar, Literal

from lm.probing.probe_options import LabelOptions, label_names
from lm.probing.vectors import Means
from wordless.audio.recordings.corpus_config import LabelType
from wordless.audio.recordings.manifest import number_of
from wordless.base.messages import InputError, counted
from wordless.base.options import Options, option

FrozenLayers = int | Literal["inputs", "all"]


@dataclass(frozen=True, kw_only=True)
class HeadConfig(Options):
    """Options of the classification head."""

    pooling: Means = "thirds"  # pooling of the last frames over time
    dropout: float = option(0.3, "dropout before the classifier", least=0, below=1)
    label_smoothing: float = 0.1  # share of the target that is spread evenly over all classes


@dataclass(frozen=True, kw_only=True)
class HeadOptions(Options, ABC):
    """Options of a head."""

    name: ClassVar[str]  # in the table of heads
    label_type: ClassVar[LabelType]
    reads_whole_clips: ClassVar[bool] = False  # the label is wrong for a part of the clip

    @abstractmethod
    def require(self, labels: Sequence[str]) -> None:
        """Refuse labels that the head cannot learn, before any recording is decoded."""

    def least_states(self, label: str, states_per_second: float) -> int:
        """Count the states that a clip needs for its label."""
        return 1


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions(HeadConfig, LabelOptions, HeadOptions):
    """One class for each clip, or several."""

    name = "classification"
    label_type = "class"

    def names(self, label: str) -> tuple[str, ...]:
        return label_names(label, self.label_separator)

    def require(self, labels: Sequence[str]) -> None:
        classes = {name for label in labels for name in self.names(label)}
        if len(classes) < 2:
            found = f"all {counted(len(labels), 'clip')} with a label have {min(classes)!r}" if classes else "none"
            raise InputError(
                f"head=classification needs at least 2 classes, and {found}: put each class into its own sub-folder, "
                "or name the labels in corpus.pattern or corpus.table"
            )


@dataclass(frozen=True, kw_only=True)
class RegressionOptions(HeadOptions):
    """A number for each clip (corpus.label_type=number)."""

    name = "regression"
    label_type = "number"

    pooling: Means = option("mean", "pooling of the states over time")
    dropout: float = 0.1  # dropout before the linear layer

    def require(self, labels: Sequence[str]) -> None:
        require_numbers(labels)
        if len({*map(number_of, labels)}) < 2:
            found = f"all labels are {labels[0]}" if labels else "no recording has a label"
            raise InputError(
                f"head=regression needs at least 2 different numbers, and {found}: name them in a column label of "
                "corpus.table"
            )


def require_numbers(labels: Sequence[str]) -> None:
    """Refuse labels that are no finite numbers."""
    for label in labels:
        if number_of(label) is None:
            problem = f"a label is {label!r:.40}, and head=regression learns finite numbers"
            raise InputError(f"{problem}; write one such as 3.5, or leave the recording unlabelled")


def require_decoder(*, otherwise: str = "") -> None:
    """Refuse a beam search if its library is not installed; ``otherwise`` is a remedy beside its installation."""
    if find_spec("flashlight") is None:
        problem = "head.beam_size asks for a beam search, and flashlight-text is not installed"
        raise InputError(problem, remedy=f"pip install 'wordless[ctc]'{otherwise}")


@dataclass(frozen=True, kw_only=True)
class SequenceOptions(HeadOptions):
    """The text of each clip, character by character (corpus.label_type=text)."""

    name = "sequence"
    label_type = "text"
    reads_whole_clips = True

    dropout: float = 0.1  # dropout before the linear layer
    # least steps of the outputs per second; a backbone with fewer states gives several steps for each
    least_steps_per_second: float = 50.0
    beam_size: int = option(
        0,
        "number of hypotheses of a beam search beside the greedy decoding (needs the extra ctc); 0: no beam search",
        least=0,
    )

    def text(self, label: str) -> str:
        """Return the text that is learned: single spaces, and small letters."""
        return " ".join(label.split()).lower()

    def steps_per_state(self, states_per_second: float) -> int:
        return math.ceil(self.least_steps_per_second / states_per_second)

    def least_states(self, label: str, states_per_second: float) -> int:
        """Count the states that a text needs: by CTC a step for each character, and one between two that are equal."""
        text = self.text(label)
        steps = len(text) + sum(one == other for one, other in pairwise(text))
        return -(-steps // self.steps_per_state(states_per_second))

    def require(self, labels: Sequence[str]) -> None:
        without = [label for label in labels if not any(character.isalpha() for character in label)]
        if without or not labels:
            found = f"{len(without)} labels have none, such as {without[0]!r:.40}" if without else "there is no label"
            raise InputError(
                f"head=sequence spells texts by their letters, and {found}; write what is said, or give names: "
                "corpus.label_names={'7': seven}"
            )
        if self.beam_size:
            require_decoder(otherwise=", or decode greedily: head.beam_size=0")


HEAD_OPTIONS: dict[str, type[HeadOptions]] = {
    each.name: each for each in (ClassificationOptions, RegressionOptions, SequenceOptions)
}
