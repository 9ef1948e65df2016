"""What is published of a run or of a fine-tuned model: the files that models are loaded from, and no recordings.

Their other files name recordings, speakers and folders of this machine, or contain sounds.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

from pipelines.commandline.claims import is_held
from pipelines.publishing.options import Part
from pipelines.store.run_folder import is_finetuned
from wordless.base.errors import InputError
from wordless.base.files import open_regular
from wordless.base.hub import CONFIG

RESULTS = "results.json"  # is written last
CARD = "README.md"
MODEL_FILES = frozenset({CONFIG, "model.safetensors", CARD, "preprocessor_config.json"})
STAGES: tuple[Part, ...] = ("tokenizer", "lm", "vocoder")  # whose models a run keeps; a probe needs more than its stage


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What a repository gets."""

    card: str
    files: Mapping[str, Path | bytes]  # by their paths in the repository, without the card
    notices: tuple[str, ...]  # which names of the recordings they contain, and whether they contain sound

    @property
    def contents(self) -> dict[str, Path | bytes]:
        """All files, the card first."""
        return {CARD: self.card.encode(), **self.files}


def require_finished(run: Path) -> None:
    """Refuse everything but a fine-tuned model and the folder of a run that has ended and kept its models."""
    if not run.is_dir():
        state = "is a file" if run.exists() else "does not exist"
        raise InputError(f"run={run} {state}; name the folder of a run, such as run=runs/<date>_<time>")
    if is_held(run):
        raise InputError(f"run={run} is not finished: a run is writing there; wait for it")
    if is_finetuned(run):
        return
    if not (run / RESULTS).is_file():
        raise InputError(
            f"run={run} holds no {RESULTS}: it is no run, or one that did not finish; repeat its command, which resumes"
        )
    if not (run / "tokenizer" / CONFIG).is_file():
        raise InputError(
            f"run={run} holds no tokenizer/{CONFIG}; a run over folds or several seeds keeps its models in the store: "
            "call wordless run once without compare.folds and seeds"
        )


def choose_parts(run: Path, wanted: Collection[Part] | None, config: Mapping[str, Any]) -> list[Part]:
    """Return the wanted parts, or all that the run has; ``config`` are the options of the run."""
    there = [part for part in get_args(Part) if (run / part / CONFIG).is_file()]
    stages = config.get("stages") or ()
    for part in wanted if wanted is not None else (part for part in STAGES if part in stages):
        if part not in there:
            choices = f"publish the others: parts=[{','.join(there)}]"
            raise InputError(f"run={run} holds no {part}/{CONFIG}; repeat the command of the run, or {choices}")
    return there if wanted is None else [part for part in there if part in wanted]


def model_files(run: Path, parts: Iterable[str]) -> dict[str, Path]:
    """Return the files of the models by their paths in the repository."""
    from wordless.base.saved_models import INDEX, weight_files  # seconds of imports, which a refusal need not wait for

    below = [path for part in parts for path in (run / part).rglob("*")]
    shards = [shard for path in below if path.name == INDEX for shard in (path, *weight_files(path.parent))]
    found = sorted({*shards, *(path for path in below if path.name in MODEL_FILES)})
    for path in found:
        with open_regular(path):  # refuses what cannot be read, before anything is uploaded
            pass
    return {path.relative_to(run).as_posix(): path for path in found}


@contextmanager
def linked(files: Mapping[str, Path]) -> Iterator[Path]:
    """Give a folder with links to exactly these files, as somebody who downloads them has it."""
    with TemporaryDirectory(prefix="wordless_publish_") as folder:
        for name, path in files.items():
            link = Path(folder) / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.absolute())
        yield Path(folder)
