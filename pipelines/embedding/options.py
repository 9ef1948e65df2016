"""Options of ``wordless embed``."""

import os
from dataclasses import dataclass
from pathlib import Path

from audio.recordings.recording_paths import recordings_at
from foundation.devices import Device
from foundation.errors import InputError
from foundation.ranges import require
from pipelines.commandline.outputs import require_kind

WRITTEN = (".npz", ".parquet", ".safetensors")
TABLES = (".tsv", ".txt", ".csv", ".jsonl", ".json", ".ndjson")
ALL = "all"  # layer: every candidate


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Options of ``wordless embed``."""

    model: Path  # folder of a run
    input: Path  # a recording, a folder of them, or a table that lists them
    output: Path
    root: Path | None  # folder of the recordings of a table; None: the folder of the table, or the one that it names
    method: str  # of the comparison, as far as tokenizer and language model compute it
    layer: str | None  # of a network, or "all"; None: what the run's probe reads, else the last
    pooling: str | None  # over time; None: what the run's probe reads, else the mean
    device: Device
    workers: int  # processes; 0: as many as cores if there is enough work

    def __post_init__(self) -> None:
        require(self.workers >= 0, "workers", self.workers, "choose 0 (as many as fit) or a number of processes")
        possible = "a file ending in .npz, .parquet or .safetensors"
        require_kind(self.output, WRITTEN, possible=possible)
        require(self.output.suffix in WRITTEN, "output", self.output, f"name {possible}")

    @property
    def is_table(self) -> bool:
        """Whether the input is a table that lists recordings."""
        return self.input.suffix.lower() in TABLES and not self.input.is_dir()

    @property
    def work(self) -> Path:
        """The folder of what is computed on the way; a killed command continues with it."""
        return self.output.with_name(f"{self.output.name}.partial")

    @property
    def rejected(self) -> Path:
        """The list of files that were set aside."""
        return self.output.with_name(f"{self.output.name}.rejected.tsv")

    def require_input(self) -> None:
        """Refuse an input that is not there or holds no recordings, and a root beside anything but a table."""
        if not self.is_table:
            recordings_at(self.input)
            if self.root is not None:
                raise InputError(f"root={self.root}, but input={self.input} is no table that lists recordings")
        elif not os.path.lexists(self.input):
            raise InputError(f"input={self.input} does not exist; name a recording, a folder or a table of recordings")
