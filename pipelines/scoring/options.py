"""Options of ``wordless score``."""

import os
from dataclasses import dataclass
from pathlib import Path

from audio.recordings.recording_paths import Recordings, expand_home, recordings_at
from foundation.devices import Device
from foundation.errors import InputError
from foundation.ranges import require
from pipelines.commandline.outputs import require_kind

TABLES = (".tsv", ".json", ".parquet", ".txt")


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """Options of ``wordless score``."""

    model: Path  # folder of a run
    input: str  # a recording, a folder of them, or several in brackets: [a.wav,b.wav]
    output: Path | None  # a table; None: the lines are only printed
    device: Device
    workers: int  # processes; 0: as many as cores if there is enough work

    def __post_init__(self) -> None:
        require(self.workers >= 0, "workers", self.workers, "choose 0 (as many as fit) or a number of processes")
        if self.output is None:
            return
        possible = "a file ending in .tsv, .json, .parquet or .txt"
        require_kind(self.output, TABLES, possible=possible)
        require(self.output.suffix.lower() in TABLES, "output", self.output, f"name {possible}")

    @property
    def rejected(self) -> Path | None:
        """The list of files that were set aside; None without an output."""
        return None if self.output is None else self.output.with_name(self.output.name + ".rejected.tsv")

    def recordings(self) -> tuple[Recordings, ...]:
        """Find the recordings of each named place."""
        return tuple(recordings_at(place) for place in self._places())

    def _places(self) -> list[Path]:
        """Return the named files and folders; the brackets of several are no part of a path, unless such a path exists.

        The command line passes the option as one text, because a path may hold a comma or a space.
        """
        text = self.input.strip()
        several = text.startswith("[") and text.endswith("]") and not os.path.lexists(text)
        names = [name.strip().strip("\"'") for name in text[1:-1].split(",")] if several else [self.input]
        if not all(names):
            raise InputError(f"input={self.input} names no recording; write input=a.wav or input=[a.wav,b.wav]")
        return [expand_home(name, "input") for name in names]
