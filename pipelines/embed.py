"""``wordless embed``: recordings -> feature vectors, in files that other programs read."""

import os
from dataclasses import dataclass
from pathlib import Path

from pipelines.commandline.command import command
from pipelines.commandline.outputs import require_kind, require_space
from pipelines.jobs.places import rejected_list
from pipelines.store.run_folder import part_of, run_of
from pipelines.store.work_folder import require_new
from wordless.audio.recordings.annotations.annotation import AnnotationConfig, AnnotationKind
from wordless.audio.recordings.annotations.finding import kind_of
from wordless.audio.recordings.recording_paths import EXTENSIONS, recordings_at
from wordless.base.configuration import build
from wordless.base.devices import Device
from wordless.base.errors import InputError
from wordless.base.ranges import require

WRITTEN = (".npz", ".parquet", ".safetensors")
TABLES = (".tsv", ".txt", ".csv", ".jsonl", ".json", ".ndjson")
ALL = "all"  # layer: every candidate


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
    def annotated(self) -> AnnotationConfig:
        """Options of annotations."""
        return AnnotationConfig(kind=self.annotations, tier=self.tier)

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
        return rejected_list(self.output)


def embed(config: dict[str, object]) -> None:
    """Compute the vectors of all recordings; files that cannot be read are set aside."""
    settings = build(EmbedConfig, config, name="")
    part_of(settings.model, "lm")
    run = run_of(settings.model)
    require_new(settings.output)
    require_space(settings.output.parent, "output=PATH")
    if settings.is_table and not os.path.lexists(settings.input):
        problem = f"input={settings.input} does not exist"
        raise InputError(f"{problem}; name a recording, a folder or a table of recordings")
    if not settings.is_table and settings.root is not None:
        raise InputError(f"root={settings.root}, but input={settings.input} is no table that lists recordings")
    recordings = None if settings.is_table else recordings_at(settings.input, settings.annotated)
    from pipelines.jobs.embed import embed_recordings  # seconds of imports, which a mistake need not wait for

    embed_recordings(settings, run, recordings)


main = command("embed", embed, paths=frozenset({"model", "input", "output", "root"}), texts=frozenset({"tier"}))

if __name__ == "__main__":
    main()
