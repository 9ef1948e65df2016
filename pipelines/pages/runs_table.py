"""The table of ``wordless runs``: runs and sweeps beside each other, with key figures."""

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Final, Literal

from pipelines.commandline.option_index import HYDRA
from pipelines.commandline.run_folders import ELSEWHERE, JOBS, OVERRIDES_FILE, option_of, options_of_runs, read_words
from pipelines.pages.phrasing import full_name, number, percent
from pipelines.results.run_record import Results, read_results, value_of
from pipelines.store.claims import RUN_LOCK, SWEEP_LOCK, is_held
from pipelines.store.run_parts import RESULTS
from pipelines.store.stored_features import GPT_METHOD
from vocoder.kinds import WAVENET
from wordless.base.files import find_object, folder_size
from wordless.base.messages import InputError, counted, escape_line

RUNS: Final = "runs"  # folder in which commands put the folders of runs
SWEEPS: Final = "multirun"  # folder beside it, for sweeps
_State = Literal["finished", "running", "unfinished", "damaged"]

KEY_COLUMNS = ("LM perplexity", "LM bit/s", "GPT, probe", "its strongest rival", "WaveNet, label accuracy")
HEADS = ("run", "date (UTC)", "corpus", "options", *KEY_COLUMNS, "MB")


def key_cells(results: Results) -> tuple[str, ...]:
    of, comparison = partial(value_of, results["figures"]), results.get("comparison")
    rival = next(iter(comparison.rivals(GPT_METHOD)), None) if comparison else None
    return (
        number(of("lm", "perplexity")),
        number(of("lm", "bits_per_second")),
        percent(comparison.value(GPT_METHOD) if comparison else None),
        f"{percent(rival.value)} {full_name(str(rival.of))}" if rival else "–",
        percent(of("vocoder", "label_accuracy", WAVENET.key)),
    )


@dataclass(frozen=True, kw_only=True)
class RunRow:
    folder: Path
    state: _State
    date: str  # UTC, ISO 8601: of the results, or of the beginning
    corpus: str = ""
    options: str = ""  # as they were typed, without those at their default
    figures: tuple[str, ...] = ("–",) * len(KEY_COLUMNS)
    size: int = 0  # bytes
    problem: str | None = None  # why the results cannot be read
    is_sweep: bool = False

    @property
    def cells(self) -> list[str]:
        """The texts below `HEADS`."""
        name = f"{self.folder.parent.name}/{self.folder.name}" if self.is_sweep else self.folder.name
        date = self.date.replace("T", " ")[:16] + ("" if self.state == "finished" else f" ({self.state})")
        size = f"{self.size / 1e6:,.1f}"
        return [escape_line(name), date, self.corpus or "–", self.options or "–", *self.figures, size]


def run_rows(root: Path) -> list[RunRow]:
    """List the runs directly below a folder and the sweeps in the folder ``multirun`` beside it, newest first."""
    if not root.is_dir():
        raise InputError(f"root={root} is no folder; name the folder of your runs, such as root=runs")
    rows = [run_row(each, running=is_held(each)) for each in root.iterdir() if is_run(each)]
    rows += [sweep_row(records.parent) for records in root.absolute().with_name(SWEEPS).glob(f"*/{JOBS}")]
    return sorted(rows, key=lambda row: (row.date, row.folder.name), reverse=True)


def is_run(folder: Path) -> bool:
    marks = (RESULTS, str(OVERRIDES_FILE), RUN_LOCK)
    hidden = folder.name.startswith(".") or folder.is_symlink()
    return not hidden and folder.is_dir() and any((folder / mark).is_file() for mark in marks)


def run_row(folder: Path, *, running: bool) -> RunRow:
    """Read one run folder; a damaged one has its problem in the row."""
    row = RunRow(folder=folder, state="running" if running else "unfinished", date="")
    try:
        options = differing_options(read_words(folder) or [])
        row = replace(row, date=_begun(folder), size=folder_size(folder), options=options)
        if not (folder / RESULTS).exists():
            return row
        results = read_results(folder)
        return replace(
            row,
            state="running" if running else "finished",
            date=results.get("provenance", {}).get("date", row.date),
            corpus=results.get("corpus", {}).get("name", ""),
            figures=key_cells(results),
        )
    except InputError as error:
        return replace(row, state="damaged", problem=str(error))
    except OSError as error:
        return replace(row, state="damaged", problem=f"{error.filename or folder} cannot be read: {error.strerror}")


def sweep_row(folder: Path) -> RunRow:
    """Read the folder of a sweep: its options, and how many of its jobs are finished."""
    states = [(find_object(path) or {}).get("state") for path in (folder / JOBS).glob("*.json")]
    done = states.count("finished")
    state: _State = "running" if is_held(folder, lock=SWEEP_LOCK) else "unfinished"
    return RunRow(
        folder=folder,
        state="finished" if done == len(states) else state,
        date=_begun(folder),
        corpus=f"a sweep: {done} of {counted(len(states), 'job')}",
        options=differing_options(read_words(folder, "sweep") or []),
        size=folder_size(folder),
        is_sweep=True,
    )


def _begun(folder: Path) -> str:
    return datetime.fromtimestamp(folder.stat().st_mtime, timezone.utc).isoformat()


def differing_options(words: list[str]) -> str:
    """Return the options of a command that are not at their default, but Hydra's and those of `ELSEWHERE`."""
    known = options_of_runs()
    defaults = {name: option.value for name, option in known.options.items()}
    defaults |= {name: group.chosen for name, group in known.groups.items()}
    return " ".join(
        escape_line(word)
        for word in words
        if (name := option_of(word)) not in ELSEWHERE
        and not name.startswith(f"{HYDRA}.")
        and word.partition("=")[2] != defaults.get(name)
    )
