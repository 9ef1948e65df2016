"""A method of the comparison; the interface of backbones, which have methods; and plain values of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, TypedDict

from wordless.base.options import Options


class LineRecord(TypedDict):
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
    title: str
    caption: str


class PictureRecord(TitledRecord, total=False):
    """An image, or a gallery of lines."""

    image: ImageRecord
    panels: list[LineRecord]


FeaturesOf = Literal[
    "bag", "states", "untrained_states", "log_mel", "bottleneck", "frames",
    "network", "simclr", "speech_model", "denoising",
]  # fmt: skip
# "own": vectors that the user brings. Charts order and colour methods by kind.
_Kind = Literal["signal", "codes", "denoising", "self_supervised", "supervised", "untrained", "own"]
# Parts of a report that show a few methods only.
Place = Literal["learning curves", "groups"]
FEW: tuple[Place, ...] = ("learning curves", "groups")
CURVES: tuple[Place, ...] = ("learning curves",)


WINDOW = "the code of the sound around, unchanged"  # a target, of a length that the options say
OVER_CODES = "over codes"  # in titles of networks


@dataclass(frozen=True, kw_only=True)
class Line:
    """Style of a method in charts; shape and dashes distinguish methods of one colour."""

    marker: str = "o"  # of matplotlib
    filled: bool = True
    dashes: str = "-"


@dataclass(frozen=True, kw_only=True)
class Method:
    name: str  # in options, keys and results.json
    # What makes its vectors, by a word of `pipelines.chain.method_vectors`. None, of a backbone's method: its network,
    # untrained or trained on labels; of other rows: nothing, the user brings them or the row is the head of a method.
    features: FeaturesOf | None = None
    # whether the folder of a run keeps its network under the name of the method, and new sound gets vectors by it
    of_sound: bool = False
    backbone: str = ""  # the group of options of the backbone whose method it is, from their table; "": of none
    kind: _Kind
    title: str  # in tables, charts and sentences
    untrained: str = ""  # of a trained network: the row of the same network with random weights
    line: Line = Line()
    places: tuple[Place, ...] = ()  # charts of few methods that show it
    sound: str = ""  # what it reads of a clip, where neither `reads_codes` nor `input` says so
    input: str | None = None  # name of the method whose vectors are the input of this network; None: it has no such
    reads_codes: bool = False  # whether the nearest code of each patch is all that it reads of a clip
    reads: Literal["", "lm", "rates"] = ""  # language models of the run that make its features: one, or those of rates
    rate: int = 0  # number, from 1, of one of `tokenizer.rates` whose codes it reads; 0: those of the run
    # whether a network and its head learn the training labels; its features then hold class scores, too, and
    # it has no learning curve
    learns_labels: bool = False
    training: str = ""  # the group of options of its own training, which has `batches` and `fit`; "": it has none
    loss: str = "nats per clip"  # title of the curve of this training, with the unit
    target: str = ""  # what the network learns to predict
    file: Path | None = None  # of the features that the user brings
    parts: tuple[Method, ...] = ()  # whose features stand side by side in this row

    @property
    def singles(self) -> tuple[Method, ...]:
        """The methods whose features this row has: those that stand side by side, or itself."""
        return self.parts or (self,)

    @property
    def reads_input(self) -> str:
        """What the network, or the bag, reads of a clip, in words."""
        if self.parts:
            return "; ".join(dict.fromkeys(part.reads_input for part in self.parts))
        of_sound = self.title if self.kind == "signal" else "log-mel" if self.input == "log_mel" else "–"
        return self.sound or ("codes" if self.reads_codes else of_sound)

    @property
    def learns(self) -> str:
        """What the network has learned to predict, in words."""
        alone = {"untrained": "nothing: random weights", "own": "–"}.get(self.kind, "nothing: no network")
        return self.target or ("labels" if self.learns_labels else alone)

    @cached_property
    def head(self) -> Method | None:
        """The row of the classifier that was trained with the representation."""
        if not self.learns_labels or self.parts:
            return None
        return Method(
            name=f"{self.name}_head",
            kind=self.kind,
            title=f"{self.title}, own head",
            untrained=self.untrained,
            line=Line(marker=self.line.marker, filled=not self.line.filled),
            places=("groups",),
            input=self.input,
            sound=self.sound,
            target=self.learns,
        )


def untrained(
    of: str,
    title: str,
    *,
    marker: str,
    filled: bool = False,
    reads: str | None = None,
    sound: str = "",
    reads_codes: bool = False,
    features: FeaturesOf | None = None,
) -> Method:
    """Describe the network of a method with random weights; the trained row names it as its `Method.untrained`."""
    return Method(
        name=f"random_{of}",
        kind="untrained",
        title=f"{title}, untrained",
        features=features,
        line=Line(marker=marker, filled=filled, dashes=":"),
        input=reads,
        sound=sound,
        reads_codes=reads_codes,
    )


class BackboneSettings(Options):
    """The options of a backbone in a run, and its methods, whose features `Method.features` makes."""

    methods: ClassVar[tuple[Method, ...]]
    parts: ClassVar[tuple[str, ...]] = ()  # stages whose models the folder of a run keeps, under their names

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folder of weights that the user names, if there is one."""
        return ()

    def pretrained(self, method: Method) -> str:
        """Name the network that is trained without labels for a method; "": none is."""
        return method.title if method.training and not method.learns_labels else ""

    def pictures(self, folder: Path, sample_rate: int, *, title: str) -> list[PictureRecord]:
        """Draw what the network in a folder, trained for the method ``title``, has learned."""
        return []

    def least_seconds(self, method: Method, sample_rate: int) -> float:
        """Return the length of the shortest recording that a method reads."""
        return 0.0

    def require_weights(self, sample_rate: int) -> None:
        """Refuse pre-trained weights that cannot be read, or that are of another size or sample rate."""
