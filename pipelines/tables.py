"""``wordless score`` and ``wordless predict``: a line for each recording, and a table of all."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import ClassVar

from pipelines.commandline.outputs import prepare_output, require_table
from pipelines.settings.inputs import InputOptions, RateOptions, require_writable_folder
from pipelines.store.run_folder import is_finetuned, part_of
from wordless.audio.recordings.corpus import recordings_at
from wordless.audio.recordings.folders import expand_home
from wordless.audio.recordings.manifest import Clips
from wordless.base.errors import InputError
from wordless.base.hub import fetch, hub_address, is_on_hub
from wordless.base.options import REQUIRED, option


@dataclass(frozen=True, kw_only=True)
class TableOptions(InputOptions):
    """Options of commands that print a line for each recording."""

    suffixes: ClassVar[tuple[str, ...]] = (".tsv", ".json", ".parquet")  # of the table

    input: str = option(REQUIRED, "a recording, a folder of recordings, or several such as [a.wav,b.wav,folder]")
    output: Path | None = option(None, "also writes a table: a .tsv, .json or .parquet file; null: no table")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output is not None:
            require_table(self.output, *self.suffixes)

    def recordings(self) -> tuple[Clips, ...]:
        """Find the recordings of each named place, and their annotated parts; ``[a.wav,b.wav]`` names several.

        The command line passes the option as one text, because a path may hold a comma or a space. The brackets are no
        part of a path, unless such a path exists.
        """
        whole = self.input.strip()
        several = whole.startswith("[") and whole.endswith("]") and not os.path.lexists(whole)
        names = [name.strip().strip("\"'") for name in whole[1:-1].split(",")] if several else [self.input]
        if not all(names):
            raise InputError(f"input={self.input} names no recording; write input=a.wav or input=[a.wav,b.wav]")
        found = tuple(recordings_at(expand_home(name, "input"), self) for name in names)
        if self.output is not None:
            for place in found:
                require_writable_folder(place, self.output)
        return found


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(TableOptions):
    """Options of ``wordless score``.

    example: wordless score model=runs/x input=recordings output=scores.tsv
    """

    suffixes = (*TableOptions.suffixes, ".txt")

    output: Path | None = option(
        None,
        "also writes a table: a .tsv, .json or .parquet file, or a .txt file as ZeroSpeech 2021 reads it; null: no "
        "table. Its column log_probability_per_second compares recordings over tokenizers",
    )


@dataclass(frozen=True, kw_only=True)
class PredictConfig(TableOptions, RateOptions):
    """Options of ``wordless predict``.

    example: wordless predict model=runs/x/finetuned/labels input=recordings output=table.tsv
    """

    model: Path = option(REQUIRED, "folder that wordless finetune wrote, or hf://user/name")

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "it is no fine-tuned model: name a folder of wordless finetune, such as one in finetuned/ of a run"
        self.refuse_if(not is_on_hub(self.model) and not is_finetuned(self.model), "model", rule)


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
    """Find the recordings and the models."""
    tokenizer, model = part_of(settings.model, "tokenizer"), part_of(settings.model, "lm")
    recordings = settings.recordings()
    if settings.output is not None:
        if settings.output.suffix.lower() == ".txt":
            _require_submittable([each.name for place in recordings for each in place.clips], settings.output)
        prepare_output(settings.output)
    return settings, recordings, tokenizer, model


def predict(settings: PredictConfig) -> tuple[PredictConfig, Sequence[Clips]]:
    """Find the recordings and the model."""
    recordings = settings.recordings()
    if address := hub_address(settings.model):
        settings = replace(settings, model=fetch(address, "finetuned", ""))
    if settings.output is not None:
        prepare_output(settings.output)
    return settings, recordings
