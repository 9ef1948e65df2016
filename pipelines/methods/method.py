"""The description of a method of the comparison. Each file of this folder describes one method, or a family.

These files are read before any option is checked, so they import nothing slow: functions import what they need.
Pictures of what a method has learned are plain values in ``results.json``, which the report draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict, get_args

from pipelines.store.store import Entry
from wordless.base.errors import InputError

if TYPE_CHECKING:
    from pipelines.methods.study import Study
    from pipelines.settings.run import RunSettings
    from pipelines.stages.features import Frames
    from wordless.audio.options import SpectrogramConfig
    from wordless.audio.recordings.manifest import Clips


class LineRecord(TypedDict):
    """A named line."""

    name: str
    values: list[float]  # at equal distances


class ImageRecord(TypedDict):
    """Values as colours, with lines over them."""

    columns: list[list[int]]  # each from the bottom to the top: 0 (darkest) to 255
    across: str  # label of the horizontal axis
    width: float  # in the unit of that axis
    up: str
    height: float
    lines: list[LineRecord]  # in the unit of the vertical axis


class PictureRecord(TypedDict):
    """An image with its text."""

    title: str
    caption: str
    image: ImageRecord


# "own": vectors that the user brings. Charts order and colour methods by kind.
Kind = Literal["signal", "codes", "self_supervised", "supervised", "untrained", "own"]
# Parts of a report that show a few methods only.
Place = Literal["learning curves", "groups"]


@dataclass(frozen=True, kw_only=True)
class Line:
    """Style of a method in charts; shape and dashes distinguish methods of one colour."""

    marker: str = "o"  # of matplotlib
    filled: bool = True
    dashes: str = "-"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the comparison, as results and pages name and draw it."""

    name: str  # in options, keys and results.json
    kind: Kind
    title: str  # in tables, charts and sentences
    untrained: str = ""  # of a trained network: the row of the same network with random weights
    line: Line = Line()
    places: tuple[Place, ...] = ()  # charts of few methods that show it
    explanation: str = ""  # what is probed, for the guide; "": an untrained network, or the head of a method

    def __post_init__(self) -> None:
        for given, known in (((self.kind,), get_args(Kind)), (self.places, get_args(Place))):
            if unknown := sorted({*given} - {*known}):
                raise ValueError(f"the method {self.name} has {unknown[0]!r}; choose among {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class Training:
    """The training of a method's own model, in a stage that is named after the method."""

    option: str  # the group of its options, which has `batches` and `fit`
    loss: str  # title of its training curve, with the unit


@dataclass(frozen=True, kw_only=True)
class Made:
    """The entries that a method adds to a run."""

    features: Entry  # features.safetensors with keys ``method[/layer]:pooling``, for the probes
    trained: tuple[Entry, ...] = ()  # trained models, preceded by their training data
    unlabelled: tuple[tuple[Entry, ...], ...] = ()  # training data of each source of clips without labels


@dataclass(frozen=True, kw_only=True)
class Method:
    """Everything about a method of the comparison."""

    row: Row
    # row of the classifier that was trained with the representation; the entry of features then holds class scores, too
    head: Row | None = None
    input: str | None = None  # name of the method whose vectors are the input of this network; None: it has no such
    reads_lm: bool = False  # whether its features are made by the run's language model
    reads_rates: bool = False  # whether they are made by the language models of several rates
    labels: Literal["none", "train"] = "none"  # labels used in its training; with "train" no learning curve
    features: Callable[[Study], Made]  # methods with the same function are made by one call
    training: Training | None = None
    # seconds of the shortest recording that it can read; shorter ones are set aside for all methods
    shortest: Callable[[RunSettings], float] = lambda options: 0.0
    # pictures of what the trained model has learned, from the entry of its training
    pictures: Callable[[Entry], list[PictureRecord]] | None = None
    require_options: Callable[[RunSettings], None] = lambda options: None  # refuses options before anything is read
    require_clips: Callable[[Clips], None] = lambda manifest: None  # refuses clips before anything is trained

    @property
    def name(self) -> str:
        return self.row.name


def refuse_input(name: str, options: RunSettings) -> None:
    """Refuse ``compare.input`` for a network without an input that can stand beside its layers, as others have."""
    if options.compare.input:
        raise InputError(
            f"compare.input=true puts the input of each network beside its layers, and {name} has no such candidate: "
            "choose compare.input=false, so that all methods are read in one way, or leave the method out"
        )


def describe_frame_method(row: Row, frames: Callable[[SpectrogramConfig], Frames]) -> Method:
    """Describe a method that pools frames over each clip and needs no training.

    ``frames`` returns the function that computes them, with its options for the run's front end: samples
    ``(num_samples,)`` of a whole clip at the front end's sample rate -> frames ``(time, dims)``.
    """

    def pooled(study: Study) -> Made:
        from pipelines.stages.features import frame_features

        return Made(features=frame_features(study, frames(study.audio), method=row.name))

    return Method(row=row, features=pooled)
