"""A part of a recording with a label, as a file of another program names it, or as it is written into one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from wordless.audio.recordings.description import SPAN_FIELDS

# What the first lines of a file hold: no labelled parts, those of recordings that a column names, those below a header,
# or those of a file that lists no recordings.
Contents = Literal["others", "parts of recordings", "table", "labels"]
_TIMES = (*SPAN_FIELDS, "duration")


@dataclass(frozen=True, slots=True)
class Annotation:
    """A part of a recording, as a file names it."""

    where: str  # "file:line", of an ELAN document "file: name of the annotation"
    fields: dict[str, str]  # as `recordings.description.describe` reads them
    tier: str = ""  # tier or column of the label; "": the file has one
    recording: str | None = None  # its path or name, as the file gives it; None: the recording of the file's name
    fault: str | None = None  # why the part cannot be used
    unread: Sequence[str] = ()  # columns of the file
    clock: tuple[float, float] | None = None  # first and last second of the file, if it names them

    @property
    def problem(self) -> str | None:
        """Why the part cannot be used: its fault, or a time that is not there."""
        if self.fault is None:  # for a million parts, without a generator for each
            for name in _TIMES:
                if self.fields.get(name) == "":
                    return f"it has no {name}"
        return self.fault


@dataclass(frozen=True, kw_only=True)
class Event:
    """A part of a recording with a label, which a command found."""

    path: str  # of the recording, as the user can open it
    start: float  # seconds
    end: float
    label: str
    score: float


def one_line(text: str) -> str:
    """Return a label without line breaks, tabs and repeated spaces."""
    return " ".join(text.split())
