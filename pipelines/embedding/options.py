"""Options of ``wordless embed``."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from audio.recordings.annotations.annotation import AnnotationConfig, AnnotationKind
from audio.recordings.annotations.finding import kind_of
from audio.recordings.corpus import CorpusConfig, Found, find_recordings
from audio.recordings.description import Description, Span
from audio.recordings.recording_paths import EXTENSIONS, Passage, recordings_at
from audio.recordings.splits import SplitConfig
from foundation.devices import Device
from foundation.errors import InputError
from foundation.ranges import require
from pipelines.commandline.outputs import require_kind

WRITTEN = (".npz", ".parquet", ".safetensors")
TABLES = (".tsv", ".txt", ".csv", ".jsonl", ".json", ".ndjson")
ALL = "all"  # layer: every candidate
WHOLE = SplitConfig(validation_fraction=0, test_fraction=0)  # no clip is held out
# Options of a corpus -> those of this command, in messages about the tables that both read.
OWN_OPTIONS = {"corpus.table": "input", **{f"corpus.{name}": name for name in ("root", "annotations", "tier")}}


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Options of ``wordless embed``."""

    model: Path  # folder of a run
    input: Path  # a recording, a folder of them, or a table that lists them
    annotations: AnnotationKind = "auto"  # of other tools beside the recordings: each part has a row
    tier: str | None = None  # of the annotations
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
        """Whether the input is a table that lists recordings, or a file of annotations."""
        suffix = self.input.suffix.lower()
        if suffix.removeprefix(".") in EXTENSIONS or self.input.is_dir():
            return False
        return suffix in TABLES or (self.annotations != "none" and kind_of(self.input) is not None)

    @property
    def work(self) -> Path:
        """The folder of what is computed on the way; a killed command continues with it."""
        return self.output.with_name(f"{self.output.name}.partial")

    @property
    def rejected(self) -> Path:
        """The list of files that were set aside."""
        return self.output.with_name(f"{self.output.name}.rejected.tsv")

    @property
    def corpus(self) -> CorpusConfig:
        """The recordings as a corpus without labels and splits."""
        if not self.is_table:
            return CorpusConfig(root=str(self.input), labels="none", annotations="none", split=WHOLE)
        return CorpusConfig(
            root=None if self.root is None else str(self.root),
            table=str(self.input),
            labels="none",
            annotations=self.annotations,
            tier=self.tier,
            missing="list",
            split=WHOLE,
        )

    def recordings(self, say: Callable[[str], None]) -> Found:
        """Find the recordings and their annotated parts; ``say`` gets sentences about annotations.

        Raises:
            InputError: the input is not there or holds no recordings, or an option has no effect on it.
        """
        if self.is_table:
            if not os.path.lexists(self.input):
                problem = f"input={self.input} does not exist"
                raise InputError(f"{problem}; name a recording, a folder or a table of recordings")
            try:
                return find_recordings(self.corpus, option="input", say=say)
            except InputError as error:
                raise InputError(_with_own_options(str(error))) from error
        if self.root is not None:
            raise InputError(f"root={self.root}, but input={self.input} is no table that lists recordings")
        found = recordings_at(self.input, AnnotationConfig(kind=self.annotations, tier=self.tier))
        for notice in found.notices:
            say(notice)
        described: dict[str, tuple[Description, ...]] = {}
        for passage in found.passages:
            described[passage.path] = (*described.get(passage.path, ()), Description(span=_span_of(passage)))
        return found.root, described, found.rejected


def _span_of(passage: Passage) -> Span | None:
    """Return the span of an annotated part, which may be the whole recording; None: no annotation names a part."""
    if passage.span is not None:
        return Span(start=passage.span[0], end=passage.span[1])
    return None if passage.sample_rate is None else Span(start=0, end=None)


def _with_own_options(message: str) -> str:
    """Name the options of this command where a message names those of a corpus."""
    names = "|".join(map(re.escape, OWN_OPTIONS))
    return re.sub(rf"\b({names})\b(?!\.)", lambda found: OWN_OPTIONS[found.group()], message)
