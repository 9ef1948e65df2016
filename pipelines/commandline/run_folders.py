"""The folder of a run or a sweep: name, claim before Hydra writes into it, log, and the records of the jobs of a sweep.

``name=wake`` writes the folder ``runs/wake``. The same command resumes there, and one whose options have other values
is refused. A sweep can grow: a command with other values of an option that the sweep is over adds jobs to it. Each job
has a small file of its own in the folder of the sweep, which all launchers share.
"""

import json
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import chain, count, product
from pathlib import Path
from typing import Any, Final, Literal, cast

import yaml
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write

from pipelines.commandline.command import mendable, os_problem
from pipelines.commandline.command_words import command_line, parse_values, quote, spell
from pipelines.commandline.option_index import Index, index
from pipelines.settings.run_settings import RunSettings
from pipelines.store.claims import NOTES, RUN_LOCK, SWEEP_LOCK, claim, is_held
from pipelines.store.run_parts import RESULTS
from wordless.base.files import find_object, write_aside
from wordless.base.messages import InputError, read_json_escaped
from wordless.base.processes import rank
from wordless.base.progress import append_line

LATEST: Final = "latest"  # a link beside run folders to the run that finished last
RECORD: Final = ".hydra"  # folder of Hydra's record of a command, in the folder of its run
OVERRIDES_FILE: Final = Path(RECORD, "overrides.yaml")
SWEEP_WORDS: Final = Path("multirun.yaml")  # in the folder of a sweep
JOBS: Final = ".jobs"  # folder of the records of a sweep's jobs, in the folder of the sweep
_NAME = re.compile(r"\w[\w.+-]{0,99}")
# Options that say where and how fast a run computes, or what it may replace, and not what it computes; the same run may
# have other values of them.
ELSEWHERE = frozenset(
    {"name", "replace", "store.root", "device", "workers", "parallel", "engine.name", "engine.address", "tensorboard"}
    | {"checkpoint_minutes"}
)

Mode = Literal["run", "sweep"]


def require_name(name: str) -> None:
    """Refuse a name that cannot be the name of a folder beside other runs."""
    if not _NAME.fullmatch(name) or name == LATEST:
        problem = "is the link to the run that finished last" if name == LATEST else "is not the name of a run"
        rule = "a name has at most 100 letters, digits, _, ., + and -, and begins with a letter, a digit or _"
        raise InputError(f"name={name} {problem}; {rule}, such as name=wake")


def options_of_runs() -> Index:
    """Return the options of ``wordless run``, whose words stand in the folders of runs."""
    return index(RunSettings)


def require_same_run(folder: Path, words: Iterable[str], mode: Mode) -> None:
    """Refuse a folder that holds a run of other options, or something that is no run."""
    name = folder.name
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"name={name}: {folder} exists and is no folder; choose another name")
    if not folder.exists() or all(path.name in NOTES for path in folder.iterdir()):  # of a run that wrote no result
        return
    before = read_words(folder, mode)
    if before is None:
        raise InputError(f"name={name}: {folder} holds something that is no {mode}; choose another name")
    old, new = ({key: dict.fromkeys(each) for key, each in parse_values([*own]).items()} for own in (before, words))
    if mode == "sweep":  # Hydra's record has the last command alone
        for path in (folder / JOBS).glob("*.json"):
            overrides = (find_object(path) or {}).get("overrides")
            for option, value in overrides.items() if isinstance(overrides, dict) else ():
                old.setdefault(option, {})[str(value)] = None
    swept = {option for option in old.keys() & new.keys() if len(old[option]) > 1 or len(new[option]) > 1}
    compared = sorted({*old, *new} - ELSEWHERE - (swept if mode == "sweep" else set()))
    if differing := [option for option in compared if old.get(option) != new.get(option)]:
        told = list[str]()
        for option in differing:
            was, now = (f"{option}={','.join(of[option])}" if option in of else "" for of in (old, new))
            told.append(f"with {now} instead of {was}" if was and now else f"with {now}" if now else f"without {was}")
        more = ", give it other values of the options that it is over" if mode == "sweep" else ""
        for part, model in (("lm", "language model"), ("vocoder", "vocoder")):
            if mode == "run" and f"{part}.fit.steps" in differing:
                more = f", train its {model} further under another name ({part}.start={folder})"
        raise InputError(
            f"name={name}: {folder} holds a {mode} of another command; this one is {', '.join(told)}: repeat the first "
            f"command to resume it{more}, choose another name, or delete it: rm -r {folder}"
        )


def read_words(folder: Path, mode: Mode = "run") -> list[str] | None:
    """Return the options of the command that wrote a folder, as they were typed; None without a readable record."""
    with suppress(OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        content = yaml.safe_load(
            (folder / (OVERRIDES_FILE if mode == "run" else SWEEP_WORDS)).read_text(encoding="utf-8")
        )
        if mode == "sweep":
            content = sweep_words(content["hydra"])
        if isinstance(content, list):
            return [*map(str, content)]
    return None


def sweep_words(hydra: Mapping[str, Any]) -> list[str]:
    """Return the options of a sweep: those of its experiment, then those of the command line."""
    params = (hydra.get("sweeper") or {}).get("params") or {}
    return [*(f"{name}={value}" for name, value in params.items()), *hydra["overrides"]["task"]]


def option_of(word: str) -> str:
    """Return the name of an option: ``lm.fit.steps`` of ``+lm.fit.steps=5``."""
    return word.partition("=")[0].lstrip("+~")


def link_latest(folder: Path) -> None:
    """Let the link ``latest`` beside a run folder lead to it. The old link is replaced at once, or stays."""
    link, beside = folder.with_name(LATEST), folder.with_name(f".{LATEST}.{os.getpid()}")
    if link.exists() and not link.is_symlink():  # not ours
        return
    with suppress(OSError):  # a file system without links
        beside.unlink(missing_ok=True)
        beside.symlink_to(folder.name)
        beside.replace(link)


CLOCK = "${now:"


class ClaimedFolder(Callback):
    """Gives each run and each sweep a folder that no other one writes at the same time.

    A folder that is named after the time is always a new one. With ``name=`` it is new, or one that the same command
    began, or that of a sweep that grows. Any other folder is used as it is.

    Hydra records the command in the folder before the work begins. In the folder of a finished run this is done at the
    end instead, because the command may be refused.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        with ending_the_command(config):
            _claim_folder(config, "run", RUN_LOCK)
            _set_own_options(config)
            if (Path(config.hydra.run.dir) / RESULTS).is_file():
                with read_write(config):
                    config.hydra.output_subdir = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        with ending_the_command(config):
            renamed, words = _claim_folder(config, "sweep", SWEEP_LOCK), _set_own_options(config)
            with read_write(config):  # for the jobs of the sweep
                words += [f"hydra.sweep.dir={quote(renamed)}"] if renamed else []
                config.hydra.overrides.hydra.extend(words)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        done, hydra = job_return.status is JobStatus.COMPLETED, job_return.hydra_cfg
        if not done or hydra is None or config.hydra.output_subdir is not None or rank():
            return
        with ending_the_command(config):
            with read_write(hydra.hydra):
                OmegaConf.update(hydra, "hydra.output_subdir", RECORD)
            record = {"config": job_return.cfg, "hydra": hydra, "overrides": job_return.overrides}
            for name, content in record.items():
                path = Path(config.hydra.runtime.output_dir, RECORD, f"{name}.yaml")
                path.parent.mkdir(exist_ok=True)
                write_aside(path, OmegaConf.to_yaml(content))


def _set_own_options(config: DictConfig) -> list[str]:
    """Set options of Hydra that a run depends on; say which other values are not followed, and return the options.

    Paths of options are relative to the folder in which the command was called, and a run is recognised by its record.
    """
    words = list[str]()
    own: tuple[tuple[str, object, str], ...] = (
        ("hydra.job.chdir", False, "the command stays in the folder in which it was called"),
        ("hydra.output_subdir", RECORD, f"a run is recognised by its folder {RECORD}"),
    )
    for option, value, why in own:
        given = OmegaConf.select(config, option)
        if given != value and (given or value):  # null is Hydra's false
            words.append(f"{option}={spell(value)}")
            if rank() == 0:
                print(f"notice    {option}={spell(given)} is not followed: {why}", file=sys.stderr, flush=True)
            with read_write(config):
                OmegaConf.update(config, option, value)
    return words


@contextmanager
def ending_the_command(config: DictConfig) -> Iterator[None]:
    """End the command on an error: Hydra turns all errors of a callback but ``SystemExit`` into warnings."""
    try:
        with mendable("run", options_of_runs(), config, full=False):
            yield
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None


def _claim_folder(config: DictConfig, mode: Mode, lock: str) -> str:
    """Claim the folder of the run or the sweep, and return the option's new value if the folder got another name."""
    written = str(OmegaConf.to_container(config.hydra[mode], resolve=False)["dir"])  # type: ignore[index,call-overload]  # a mapping
    wanted, name = Path(config.hydra[mode].dir), OmegaConf.select(config, "name")
    if name is not None and rank() == 0:
        require_name(str(name))
        if CLOCK not in written:
            raise InputError(f"name={name} and hydra.{mode}.dir={wanted} both name the folder; leave one of them out")
        wanted = wanted.with_name(str(name))  # beside folders that are named after the time
        if is_held(wanted):
            raise InputError(f"name={name}: another run is writing {wanted}; wait for it, or choose another name")
        require_same_run(wanted, sweep_words(config.hydra) if mode == "sweep" else config.hydra.overrides.task, mode)
        renamed = str(claim(wanted, option="name", lock=lock, new=False))
    else:
        claimed = claim(wanted, option=f"hydra.{mode}.dir", lock=lock, new=CLOCK in written)
        if claimed == wanted:
            return ""
        renamed = written + claimed.name.removeprefix(wanted.name)
    with read_write(config):
        config.hydra[mode].dir = renamed
    return renamed


LOG: Final = "log.txt"


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Append the command to the log of a run folder, and the error if one ends the block. Rank 0 alone writes."""
    if rank():
        yield
        return
    log = folder / LOG
    append_line(log, f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}  {command_line('run')}")
    try:
        yield
    except KeyboardInterrupt:
        append_line(log, "interrupted")
        raise
    except Exception as error:
        problem = error if isinstance(error, InputError) else os_problem(error, [str(folder), "."])
        append_line(log, f"wordless run: {problem}" if problem else traceback.format_exc().rstrip())
        raise


_MOST_CHARACTERS = 100  # of the name of a job's folder
_State = Literal["unfinished", "finished", "failed"]


@dataclass(frozen=True, kw_only=True)
class Job:
    number: int
    overrides: dict[str, str]  # option -> value, each in one spelling
    folder: str  # of the run, relative to the sweep's
    name: str = ""  # the options that are swept, for people: layers=4; empty if there are none
    state: _State = "unfinished"  # also after the process was killed
    reason: str | None = None  # of a failure, in one line
    bug: bool = False  # not an error that the user can correct


def options(words: list[str]) -> dict[str, str]:
    """Parse the override words of one job to option -> value, each in one spelling."""
    return {name: ",".join(values) for name, values in parse_values(words).items()}


def plan(words: Sequence[str], before: Sequence[Job]) -> list[Job]:
    """List the jobs of the command ``words``, in Hydra's order.

    A job with the options of one of the jobs ``before`` has its number and folder. Options that do not decide results,
    such as ``workers``, are no part of a job, unless the command sweeps over them.
    """
    values = parse_values(words)
    own = [option for option, each in values.items() if len(each) > 1 or option not in ELSEWHERE]
    combinations = [dict(zip(own, each, strict=True)) for each in product(*(values[option] for option in own))]
    swept = varied([*(job.overrides for job in before), *combinations])
    known, taken = list(before), {job.folder for job in before}
    numbers, planned = count(max((job.number for job in before), default=-1) + 1), []
    for overrides in combinations:
        job = next((job for job in known if job.overrides == overrides), None)
        if job is None:
            number, name = next(numbers), ", ".join(_named(overrides, swept))
            wanted = re.sub(r"[^\w.+=,@-]", "_", name.replace(", ", ",") or str(number))[:_MOST_CHARACTERS]
            others = (f"{wanted}_{another}" for another in count(2))
            folder = next(each for each in chain([wanted], others) if each not in taken)
            job = Job(number=number, overrides=overrides, folder=folder, name=name)
            taken.add(folder)
        else:
            known.remove(job)  # a value that is given twice is two jobs
        planned.append(job)
    return planned


def varied(jobs: Sequence[dict[str, str]]) -> list[str]:
    """List the options that differ between jobs."""
    names = dict.fromkeys(name for job in jobs for name in job)
    return [name for name in names if len({job.get(name) for job in jobs}) > 1]


def _named(overrides: dict[str, str], swept: Sequence[str]) -> Iterable[str]:
    """Give the swept options, each with as much of the end of its name as tells it from the others."""
    for option in (each for each in swept if each in overrides):
        parts = option.split(".")
        ends = (".".join(parts[-length:]) for length in range(1, len(parts) + 1))
        alike = ((end, sum(f".{each}".endswith(f".{end}") for each in swept)) for end in ends)
        yield f"{next(end for end, count in alike if count == 1 or end == option)}={overrides[option]}"


def note(sweep: Path, job: Job) -> None:
    path = _record(sweep, job.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, json.dumps(asdict(job)))


def conclude(sweep: Path, folder: Path, *, reason: str | None = None, bug: bool = False) -> Job:
    """Record the end of the job whose run is in a folder."""
    job = next(job for job in read_jobs(sweep) if job.folder == relative(folder, sweep))
    note(sweep, replace(job, state="failed" if reason else "finished", reason=reason, bug=bug))
    return job


def forget(sweep: Path, jobs: Iterable[Job] | None = None) -> None:
    """Remove the records of an earlier sweep in the same folder, or of some of its jobs; their runs stay."""
    for path in (sweep / JOBS).glob("*.json") if jobs is None else (_record(sweep, job.number) for job in jobs):
        path.unlink(missing_ok=True)


def _record(sweep: Path, number: int) -> Path:
    return sweep / JOBS / f"{number}.json"


def read_jobs(sweep: Path) -> list[Job]:
    records = (cast(Any, read_json_escaped(path.read_bytes())) for path in (sweep / JOBS).glob("*.json"))
    return sorted((Job(**record) for record in records), key=lambda job: job.number)


def relative(folder: Path, sweep: Path) -> str:
    """Return a run's path relative to the sweep's folder: both can be moved together."""
    return Path(os.path.relpath(folder.absolute(), sweep.absolute())).as_posix()
