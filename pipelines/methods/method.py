"""The description of a method of the comparison. Each file of this folder describes one method, or a family.

These files are read before any option is checked, so they import nothing slow: functions import what they need.
Pictures of what a method has learned are plain values in ``results.json``, which the report draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from pipelines.store.store import Entry

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


class TitledRecord(TypedDict):
    """A title and a text."""

    title: str
    caption: str


class PictureRecord(TitledRecord, total=False):
    """An image, or a gallery of lines, with its text."""

    image: ImageRecord
    panels: list[LineRecord]


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


@dataclass(frozen=True, kw_only=True)
class Method(Row):
    """Everything about a method of the comparison."""

    # makes features.safetensors with keys ``method[/layer]:pooling``, for the probes
    features: Callable[[Study], Entry]
    input: str | None = None  # name of the method whose vectors are the input of this network; None: it has no such
    reads: Literal["", "lm", "rates"] = ""  # language models of the run that make its features: one, or those of rates
    # whether a network and its head learn the training labels; its entry of features then holds class scores, too, and
    # it has no learning curve
    learns_labels: bool = False
    training: str = ""  # the group of options of its own training, which has `batches` and `fit`; "": it has none
    loss: str = "nats per clip"  # title of the curve of this training, with the unit
    # seconds of the shortest recording that it can read; shorter ones are set aside for all methods
    shortest: Callable[[RunSettings], float] = lambda settings: 0.0
    # pictures of what the trained model has learned, from the entry of its training
    pictures: Callable[[Entry], list[PictureRecord]] | None = None
    require_options: Callable[[RunSettings], None] = lambda settings: None  # refuses options before anything is read
    require_clips: Callable[[Clips], None] = lambda manifest: None  # refuses clips before anything is trained

    @property
    def head(self) -> Row | None:
        """The row of the classifier that was trained with the representation."""
        if not self.learns_labels:
            return None
        return Row(
            name=f"{self.name}_head",
            kind=self.kind,
            title=f"{self.title}, own head",
            untrained=self.untrained,
            line=Line(marker=self.line.marker, filled=not self.line.filled),
            places=("groups",),
        )


def describe_frame_method(row: Row, frames: Callable[[SpectrogramConfig], Frames]) -> Method:
    """Describe a method that pools frames over each clip and needs no training.

    ``frames`` returns the function that computes them, with its options for the run's front end: samples
    ``(num_samples,)`` of a whole clip at the front end's sample rate -> frames ``(time, dims)``.
    """

    def pooled(study: Study) -> Entry:
        from pipelines.stages.features import frame_features

        return frame_features(study, frames(study.audio), method=row.name)

    return Method(**vars(row), features=pooled)
