"""``wordless runs`` and ``wordless store``: what runs and their stores hold, and the deletion of what nobody uses."""

import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.commandline.run_folders import LATEST
from pipelines.pages.runs_table import HEADS, is_run, run_rows
from pipelines.store.claims import hold, is_held
from pipelines.store.run_parts import FINETUNED, JOB, RESULTS
from pipelines.store.store import ENTRY, SYNTHESISED, TIMINGS, UNPACKED, StoreOptions, faults
from wordless.base.files import COPY, MARK, delete_folder, folder_size, remove, take_lock
from wordless.base.messages import InputError, counted, escape
from wordless.base.options import option
from wordless.base.progress import print_table

_KEY = re.compile("[0-9a-f]{16}")  # the name of an artifact's folder
DELETED = ".deleted"  # an artifact whose deletion has begun
_PARTS = ("", ".partial", ".checkpoints", ".damaged", DELETED, COPY)
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, kw_only=True)
class RunsConfig(StoreOptions):
    """Options of ``wordless runs``.

    examples: wordless runs
              wordless runs --delete wake
              wordless runs --prune 30
    """

    root: Path = option(Path("runs"), "folder that holds the folders of runs")
    delete: str | None = option(None, "name of a run whose folder is deleted; --delete NAME means the same")
    prune: int | None = option(
        None,
        "deletes the artifacts of the store that nobody has used for so many days; --prune DAYS means the same",
        least=0,
    )
    ask: bool = option(True, "false: deletes without a question; --yes means the same")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.delete is not None and (Path(self.delete).name != self.delete or self.delete in (LATEST, "..")):
            rule = f"it is no run below root={self.root}; wordless runs lists the runs"
            raise InputError(option="delete", value=self.delete, rule=rule)
        rule = "prune deletes something else: call them one by one"
        self.refuse_if(self.delete is not None and self.prune is not None, "delete", rule)


def runs(settings: RunsConfig) -> None:
    """Print a row for each run, or delete what the options name."""
    if settings.prune is not None:
        return prune(settings.store.root, settings.prune, question=settings.ask)
    if settings.delete is not None:
        return delete_run(settings.root, settings.delete, question=settings.ask)
    rows = run_rows(settings.root)
    print_table(HEADS, [row.cells for row in rows])
    total = sum(row.size for row in rows)
    sweeps = sum(row.is_sweep for row in rows)
    also = f", {counted(sweeps, 'sweep')}" if sweeps else ""
    print(f"{counted(len(rows) - sweeps, 'run')}{also}, {total / 1e6:,.1f} MB without the store", flush=True)
    problems = [row.problem for row in rows if row.problem]
    if problems:
        several = f" (and {counted(len(problems) - 1, 'other run')} cannot be read)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{several}")


def delete_run(root: Path, name: str, *, question: bool) -> None:
    """Delete the folder of a run after a question; its artifacts stay in the store."""
    folder = root / name
    if not is_run(folder):
        problem = "is not the folder of a run" if folder.exists() else "does not exist"
        raise InputError(f"delete={name}: {folder} {problem}; wordless runs lists the runs")
    with hold(folder, option="delete", remedy="wait for it, or end it first"):
        jobs = [job.parent for job in folder.glob(f"{FINETUNED}/**/{JOB}")]
        if training := [job for job in jobs if is_held(job, lock=JOB)]:
            raise InputError(f"delete={name}: wordless finetune is writing {training[0]}; wait for it, or end it first")
        if question:
            models = f" and {counted(len(jobs), 'fine-tuned model')}" if jobs else ""
            ask(f"delete {folder}{models}, {folder_size(folder) / 1e6:,.1f} MB?")
        delete_folder(folder, folder.with_name(f".{name}.deleted"), first=RESULTS)
    if (latest := root / LATEST).is_symlink() and not latest.exists():
        latest.unlink()
    print(f"deleted {folder}; wordless runs --prune DAYS deletes artifacts of the store that no run uses")


def prune(root: Path, days: int, *, question: bool) -> None:
    """Delete the artifacts of a store that nobody has used for so many days, after a list with sizes and a question."""
    if not root.is_dir():
        raise InputError(f"store.root={root} is no folder; name the store of your runs, such as store.root=store")
    artifacts = stored_artifacts(root)
    unused = [artifact for artifact in artifacts if is_unused(artifact, days=days)]

    def amount(of: Sequence[Path]) -> tuple[str, str]:
        return counted(len(of), "artifact", "artifacts"), f"{sum(artifacts[artifact] for artifact in of) / 1e6:,.1f} MB"

    for stage in sorted({artifact.parent.name for artifact in unused}):
        count, size = amount([artifact for artifact in unused if artifact.parent.name == stage])
        print(f"{stage:<28} {count:>12} {size:>14}")
    count, size = amount(unused)
    print(f"{len(unused)} of {amount([*artifacts])[0]} not used for {counted(days, 'day')}, {size}", flush=True)
    if unused and question:
        ask(f"delete {count}, {size}, of {root}?")
    if unused:
        with unused_store(root):
            count, size = amount([artifact for artifact in unused if delete_unused(artifact, days=days)])
        print(f"deleted {count}, {size}")


def ask(question: str) -> None:
    """Ask a question on the terminal, and end the command unless the answer is yes."""
    print(f"{escape(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().lower()
    if answer not in ("y", "yes"):
        raise InputError("nothing was deleted; answer y, or add --yes")


def stored_artifacts(root: Path) -> dict[Path, int]:
    """Return the folder of each artifact of a store, finished or begun, and its bytes with those of checkpoints."""
    found = {path.with_suffix("") for path in root.glob("*/*") if _KEY.fullmatch(path.stem) and path.suffix in _PARTS}
    return {artifact: sum(map(folder_size, _parts_of(artifact))) for artifact in sorted(found)}


def is_unused(artifact: Path, *, days: int) -> bool:
    """Return whether `Store.find` gave an artifact, or a killed run wrote it, for the last time so many days ago."""
    times = [0.0]
    for path in (artifact / TIMINGS, *(part for part in _parts_of(artifact) if part != artifact)):
        with suppress(OSError):
            times.append(path.stat().st_mtime)
    return time.time() - max(times) > days * SECONDS_PER_DAY


@contextmanager
def unused_store(root: Path) -> Iterator[None]:
    """Keep commands from using the store until the block ends; one that uses it reads artifacts that it has found."""
    with (root / MARK).open("a") as marked:
        if not take_lock(marked, wait=False):
            rule = "another command is using it, and reads artifacts that it has found: wait for it, or end it first"
            raise InputError(option="store.root", value=root, rule=rule)
        yield


def delete_unused(artifact: Path, *, days: int) -> bool:
    """Delete an artifact, and return whether it is gone; one that was used meanwhile, or is being made, stays."""
    with artifact.with_suffix(".lock").open("w") as file:
        if not take_lock(file, wait=False) or not is_unused(artifact, days=days):
            return False
        if artifact.exists():
            delete_folder(artifact, artifact.with_suffix(DELETED), first=ENTRY)
        for part in _parts_of(artifact):
            remove(part)
    return True


def _parts_of(artifact: Path) -> list[Path]:
    """List the folders of an artifact: the artifact itself, its partial folder, and its checkpoints."""
    return [path for suffix in _PARTS if (path := artifact.with_suffix(suffix)).is_dir()]


@dataclass(frozen=True, kw_only=True)
class ListingConfig(StoreOptions):
    """Options of ``wordless store``.

    example: wordless store
    """


def store(settings: ListingConfig) -> None:
    """Print a line for each artifact and each fault, and the sum of their sizes; refuse a store with faults."""
    root = settings.store.root
    if not root.is_dir():
        raise InputError(f"store.root={root} is no folder; name the store of a run, such as store.root=store")
    found_folders = (folder for folder in root.glob("*/*") if folder.is_dir())
    folders = sorted(each for each in found_folders if (each / ENTRY).exists() or _KEY.fullmatch(each.name))
    damaged, total = [], 0
    for folder in folders:
        size = folder_size(folder)
        found = list(faults(folder))
        print(f"{folder.parent.name:<22} {folder.name}  {size / 1e6:>10,.1f} MB  {'damaged' if found else 'whole'}")
        print("".join(f"  {escape(fault)}\n" for fault in found), end="")
        damaged += [folder] if found else []
        total += size
    print(f"{len(folders)} artifacts, {total / 1e6:,.1f} MB, {len(damaged)} damaged", flush=True)
    kept = (folder for kind in (SYNTHESISED, UNPACKED) for folder in (root / kind).glob("*/") if folder.is_dir())
    for folder in (recordings := sorted(kept)):
        print(f"{folder.parent.name:<22} {folder.name}  {folder_size(folder) / 1e6:,.1f} MB of recordings")
    if recordings:  # the store does not record which runs use them
        note = "folders of recordings may be deleted while no command runs: a run that needs them makes them again"
        print(note, flush=True)
    if damaged:
        several = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        remedy = "delete each damaged artifact, and the command that made it makes it again"
        state = "changed since it was written, or is of an earlier version of Wordless"
        raise InputError(f"{damaged[0]}{several} {state}; {remedy}")
