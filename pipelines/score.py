"""``wordless score``: the log-probability of recordings under a finished run's GPT."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipelines.commandline.outputs import prepare_output, require_table
from pipelines.settings.inputs import SEVERAL, InputOptions, recordings_of, require_writable_folders
from pipelines.store.run_folder import part_of
from wordless.audio.recordings.manifest import Clips
from wordless.base.errors import InputError
from wordless.base.options import REQUIRED, option


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(InputOptions):
    """Options of ``wordless score``.

    example: wordless score model=runs/x input=recordings output=scores.tsv
    """

    input: str = option(REQUIRED, SEVERAL)
    output: Path | None = option(
        None,
        "also writes a table: a .tsv, .json or .parquet file, or a .txt file as ZeroSpeech 2021 reads it; null: no "
        "table. Its column log_probability_per_second compares recordings over tokenizers",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output is not None:
            require_table(self.output, ".tsv", ".json", ".parquet", ".txt")


def submitted_name(path: str) -> str:
    """Return a recording's name as ZeroSpeech 2021 writes it, without folder and suffix.

    A line of ``lexical/dev.txt`` is ``aAaONTsOqWs -2.031``.
    """
    return PurePosixPath(path).stem


def _require_submittable(paths: Sequence[str], output: Path) -> None:
    """Refuse names with spaces, and equal names of several recordings, which a line of ``output`` could not tell."""
    counts = Counter(map(submitted_name, paths))
    for name, count in counts.items():
        if count > 1 or len(name.split()) != 1:
            problem = f"is the name of {count} recordings" if count > 1 else "holds a space"
            raise InputError(
                f"output={output}: {name!r} {problem}, and a line has a name without folder, suffix and spaces, and a "
                "score; rename recordings, or write a .tsv file"
            )


def score(settings: ScoreConfig) -> tuple[ScoreConfig, Sequence[Clips], Path, Path]:
    """Print a line for each recording; files that cannot be read are set aside."""
    tokenizer, model = part_of(settings.model, "tokenizer"), part_of(settings.model, "lm")
    recordings = recordings_of(settings.input, settings.annotated)
    if settings.output is not None:
        require_writable_folders(recordings, settings.output)
        if settings.output.suffix.lower() == ".txt":
            _require_submittable([each.name for place in recordings for each in place.clips], settings.output)
        prepare_output(settings.output)
    return settings, recordings, tokenizer, model
