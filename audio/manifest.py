"""Manifests: which recordings there are, what is known of each, and in which split it stands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One recording of a corpus."""

    path: str  # relative to the corpus root, "/" between folders
    num_samples: int  # at its own rate
    sample_rate: int  # Hz, its own
    size: int  # bytes
    sha256: str  # of the file's bytes
    label: str | None = None  # what a probe predicts
    group: str | None = None  # speaker, instrument, site: what generalisation is asked across
    index: int | None = None  # position in a numbered series, as some data sets split by
    fold: str | None = None  # given fold
    split: Split = "train"

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.num_samples / self.sample_rate


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A corpus: its root folder and its clips, sorted by path."""

    root: Path
    clips: tuple[Clip, ...]

    def of(self, split: Split) -> tuple[Clip, ...]:
        """The clips of one split, in order of path."""
        return tuple(clip for clip in self.clips if clip.split == split)
