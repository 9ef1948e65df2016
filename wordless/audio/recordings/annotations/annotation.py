"""The values that all readers of annotations share."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["raven", "elan", "textgrid", "audacity", "kaldi", "lhotse", "rttm", "ctm", "lab"]
AnnotationKind = Literal["auto", "none", Kind]
NUMBER = r"[-+]?\d+(?:[.,]\d*)?(?:[eE][-+]?\d+)?"


@dataclass(frozen=True, kw_only=True)
class AnnotationConfig:
    """Options of the annotations of a folder."""

    kind: AnnotationKind = "auto"
    tier: str | None = None  # tier, or column of a selection table, that has the labels; None: the only one
    tier_option: str = "tier"  # the option that named the tier, for messages
    group: str | None = None  # column of a selection table that has the groups
    prefix: str = ""  # of the options' names in messages: "corpus." where they are options of the corpus


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """A part of a recording, as a file names it."""

    where: str  # "file:line"
    fields: Mapping[str, str]  # as `wordless.audio.recordings.description.describe` reads them
    recording: str | None = None  # its path or name, as the file gives it; None: the recording of the file's name
    fault: str | None = None  # why the part cannot be used


@dataclass(frozen=True, kw_only=True)
class Medium:
    """A recording that an ELAN document names."""

    urls: tuple[str, ...]  # as the document writes them
    origin: float  # seconds of the recording at which the document's time begins: media are aligned by these

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the file, without folders."""
        return tuple(PurePosixPath(url.replace("\\", "/")).name for url in self.urls)


@dataclass(frozen=True, kw_only=True)
class Tier:
    """Annotations of one kind in a file: a tier, a column of labels, or all there are."""

    name: str = ""
    annotations: Sequence[Annotation] = ()
    gaps: int = 0  # empty intervals between the annotations, which are no parts
    points: int = 0  # times without a length
    media: tuple[Medium, ...] = ()  # that the file names


def seconds(text: str) -> str:
    """Return a number with a point for the decimals; some tools write the comma of their country."""
    text = text.strip()
    return text.replace(",", ".") if re.fullmatch(NUMBER, text) else text


def one_line(text: str) -> str:
    """Return a label without line breaks, tabs and repeated spaces."""
    return " ".join(text.split())
