"""``wordless runs``: a table of runs with their options and key figures."""

from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from pipelines.commandline.option_index import HYDRA
from pipelines.commandline.run_folders import ELSEWHERE, OVERRIDES_FILE, option_of, options_of_runs, read_words
from pipelines.pages.phrasing import full_name, number, percent
from pipelines.results.run_record import Results, read_results, value_of
from pipelines.store.claims import RUN_LOCK, is_held
from pipelines.store.run_parts import RESULTS, RUNS
from pipelines.store.stored_features import GPT_METHOD
from vocoder.kinds import WAVENET
from wordless.base.messages import InputError, escape_line
from wordless.base.options import Options, option
from wordless.base.progress import print_table

KEY_COLUMNS = ("LM perplexity", "LM bit/s", "GPT, probe", "its strongest rival", "WaveNet, label accuracy")


@dataclass(frozen=True, kw_only=True)
class RunsConfig(Options):
    """Options of ``wordless runs``.

    examples: wordless runs
              wordless runs root=multirun/sizes
    """

    root: Path = option(Path(RUNS), "folder that holds the folders of runs, such as that of a sweep")


def runs(settings: RunsConfig) -> None:
    """Print a row for each run, the newest first. Results that cannot be read are refused after the table."""
    settings.refuse_if(not settings.root.is_dir(), "root", "it is no folder: name that of your runs, such as root=runs")
    rows, problems = list[list[str]](), list[str]()
    for folder in filter(is_run, settings.root.iterdir()):
        running, results = is_held(folder), None
        state = "running" if running else "unfinished"
        date = datetime.fromtimestamp(folder.stat().st_mtime, timezone.utc).isoformat()
        try:
            if (folder / RESULTS).exists():
                results = read_results(folder)
                state, date = "running" if running else "", results.get("provenance", {}).get("date", date)
        except (InputError, OSError) as error:
            state, problems = "damaged", [*problems, str(error)]
        when = date.replace("T", " ")[:16] + (f" ({state})" if state else "")
        corpus = results.get("corpus", {}).get("name", "") if results else ""
        figures = key_cells(results) if results else ["–"] * len(KEY_COLUMNS)
        rows.append([escape_line(folder.name), when, corpus or "–", differing_options(folder) or "–", *figures])
    rows.sort(key=lambda cells: (cells[1], cells[0]), reverse=True)
    print_table(["run", "date (UTC)", "corpus", "options", *KEY_COLUMNS], rows)
    if problems:
        raise InputError(problems[0])


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run; the link to the run that finished last is none."""
    marks = (RESULTS, OVERRIDES_FILE, RUN_LOCK)
    return not folder.is_symlink() and folder.is_dir() and any((folder / mark).is_file() for mark in marks)


def key_cells(results: Results) -> list[str]:
    """Return the texts below `KEY_COLUMNS`."""
    of, comparison = partial(value_of, results["figures"]), results.get("comparison")
    rival = next(iter(comparison.rivals(GPT_METHOD)), None) if comparison else None
    return [
        number(of("lm", "perplexity")),
        number(of("lm", "bits_per_second")),
        percent(comparison.value(GPT_METHOD) if comparison else None),
        f"{percent(rival.value)} {full_name(str(rival.of))}" if rival else "–",
        percent(of("vocoder", "label_accuracy", WAVENET.key)),
    ]


def differing_options(folder: Path) -> str:
    """Return the options of a run that are not at their default, but Hydra's and those of `ELSEWHERE`."""
    known = options_of_runs()
    defaults = {name: option.value for name, option in known.options.items()}
    defaults |= {name: group.chosen for name, group in known.groups.items()}
    return " ".join(
        escape_line(word)
        for word in read_words(folder) or []
        if (name := option_of(word)) not in ELSEWHERE
        and not name.startswith(f"{HYDRA}.")
        and word.partition("=")[2] != defaults.get(name)
    )
