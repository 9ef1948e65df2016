"""The wrapper around Hydra that all commands share: it quotes paths first, prints help, and prints errors in one line.

Exit codes: 0 done; 1 a bug (with its traceback); 2 something that the user can correct (one line); 130 interrupted;
141 the reader of the output has closed it.
"""

import errno
import os
import shutil
import signal
import sys
import textwrap
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from ctypes import CDLL
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import hydra
from hydra import initialize_config_module, version
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from pipelines.commandline.broken_library import broken_library
from pipelines.commandline.command_words import prepare, quote
from pipelines.commandline.composed_config import NO_FOLDER, explain, plain_config, register, resolved
from pipelines.commandline.option_index import HYDRA, Index, group_by_section, index, written_value
from pipelines.store.claims import CLAIMED, claims
from wordless.base.devices import NO_DEVICE
from wordless.base.files import (
    NO_LOCKS,
    NO_PERMISSION,
    NO_SPACE,
    WRITE_ERRORS,
    causes,
    existing,
    is_full,
    os_number,
    require_current_folder,
)
from wordless.base.messages import InputError, escape, suggestion
from wordless.base.options import build, leaves
from wordless.base.processes import end_with_parent, is_started_by_another, is_under_torchrun, rank

_Task = Callable[[dict[str, object]], None]
FULL_ERROR = "HYDRA_FULL_ERROR"  # Hydra's own variable: "1" asks for tracebacks
SECONDS_TO_BE_ENDED = 5.0  # torchrun looks after its processes ten times a second


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command: its options and its work."""

    name: str
    purpose: str
    options: type  # the dataclass of its options
    run: Callable[[Any], object]  # checks the options and does the work
    takes_config: bool = False  # whether `run` gets the composed config: some values follow from others or the machine
    synonyms: tuple[str, ...] = ()  # words that people try for the command
    folders: Mapping[str, object] = field(default_factory=lambda: NO_FOLDER)  # of Hydra: the folder of a run, callbacks


def command(own: Command, task: _Task) -> None:
    """Compose the options of a command by the words of ``sys.argv``, and pass the config to ``task``."""
    open_streams()
    name, known = own.name, index(own.options)
    register(name, own.options, own.folders)
    full = os.environ.get(FULL_ERROR) == "1"  # before Hydra is told to raise

    def job(config: DictConfig) -> None:
        if is_started_by_another():
            end_with_parent()
        with mendable(name, known, config, full=full):  # Hydra would log the exception in its own way
            if Path.cwd() != here:  # by hydra.job.chdir=true: paths of options are those of the folder of the call
                os.chdir(here)
            task(resolved(config))

    job.__module__ = f"pipelines.{name}"  # Hydra names the job after it
    with (
        claims(),
        mendable(name, known, None, full=full),
        hydra_that_raises(),
        # All ranks but 0 have a temporary run folder; otherwise each rank would create its own.
        TemporaryDirectory() if rank() else nullcontext() as folder,
    ):
        try:
            here = require_current_folder()
            if request := help_request(sys.argv[1:]):
                print(command_help(own, *request), flush=True)
                return
            elsewhere = [f"hydra.{mode}.dir={folder}" for mode in ("run", "sweep")] if folder else []
            arguments = prepare([*sys.argv[1:], *elsewhere], known)
            version.setbase("1.3")
            _run_hydra(arguments, get_args_parser(), job, config_path="pkg://conf", config_name=name)
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error, known) from error
        sys.stdout.flush()


def start(own: Command) -> None:
    """Run a command with the words of ``sys.argv``."""
    # Pages are drawn to files. A notebook hands on the backend of its own display, which this installation may lack.
    os.environ["MPLBACKEND"] = "agg"
    command(own, partial(perform, own))


def compose(own: Command, overrides: Sequence[str] = (), *, return_hydra_config: bool = False) -> DictConfig:
    """Compose the config of a command; Hydra must be initialised with the package ``conf``."""
    register(own.name, own.options, own.folders)
    return hydra.compose(own.name, overrides=list(overrides), return_hydra_config=return_hydra_config)


def perform(own: Command, config: dict[str, object]) -> None:
    """Do the work of a command with a composed config."""
    if config.get("device") == "cuda":
        require_driver()
    own.run(config if own.takes_config else build(own.options, config, name=""))


def open_streams() -> None:
    """Open the null device for each standard stream that the caller closed, as ``>&-`` does.

    Otherwise the next file would get the number of the closed stream, and a decoder's messages.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


@contextmanager
def mendable(name: str, known: Index, config: DictConfig | None, *, full: bool) -> Iterator[None]:
    """Turn errors that the user can correct into one line and exit code 2, and let bugs pass."""
    try:
        yield
    except KeyboardInterrupt:
        leave(name, "interrupted; nothing finished is lost, and the same command resumes", code=130, everywhere=False)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        raise SystemExit(128 + signal.SIGPIPE) from None
    except Exception as error:
        values = (config and OmegaConf.select(config, each) for each in known.options if each in known.verbatim)
        folders = [*(value for value in values if isinstance(value, str) and value), ".", *map(str, CLAIMED)]
        places = [option for option in ("output", "store.root", "hydra.run.dir") if option in known.options]
        problem = error if isinstance(error, InputError) else broken_library(error)
        problem = problem or os_problem(error, folders, places)
        if problem is None:
            await_torchrun()
            raise
        if full:
            traceback.print_exc()
        # Each machine reports its own problems, such as a full disk. All other errors are the same on every rank.
        leave(name, str(problem), code=2, everywhere=not isinstance(error, InputError))


def leave(name: str, message: str, *, code: int, everywhere: bool) -> NoReturn:
    """Print one line on stderr and exit with ``code``: on rank 0, or with ``everywhere`` once on each machine."""
    if rank("LOCAL_RANK" if everywhere else "RANK") == 0 or await_torchrun():
        print(f"wordless {name}: {escape(' '.join(message.split()))}", file=sys.stderr, flush=True)
    raise SystemExit(code)


def await_torchrun() -> bool:
    """Wait for torchrun to end this process, and return whether torchrun started it and let it live.

    If one process ends with an error, the others lose their connection to it, and their own errors explain nothing.
    """
    if not is_under_torchrun():
        return False
    time.sleep(SECONDS_TO_BE_ENDED)
    return True


REMEDIES = {  # error of the system -> what to do
    errno.EFBIG: "raise the limit of this shell (ulimit -f)",
    errno.EIO: "check the disk",
    **dict.fromkeys(NO_PERMISSION, "give yourself access"),
    **dict.fromkeys(NO_LOCKS, "mount its file system with locks"),
}


def os_problem(error: Exception, folders: Iterable[str], options: Sequence[str] = ()) -> InputError | None:
    """Explain a full disk, a missing permission or a missing file with its remedy; return None for all other errors.

    If a full disk is reported without a path, the one of the ``folders`` with the least space is named. Any error
    counts as caused by a full disk while one of the ``folders`` is full. ``options`` choose another place to write to.
    """
    code, places = os_number(error), [existing(folder) for folder in folders]
    names = (getattr(each, "filename", None) for each in causes(error))
    path = next((os.fsdecode(name) for name in names if isinstance(name, str | bytes | os.PathLike)), None)
    elsewhere = f", or choose another place ({', '.join(f'{option}=...' for option in options)})" if options else ""
    if code in NO_SPACE or (not code and any(map(is_full, places))):
        place = (path if code else None) or min(places, key=lambda each: shutil.disk_usage(each).free)
        remedy = f"free some space{elsewhere}: nothing finished is lost, and the same command resumes"
        return InputError(f"{place}: the disk is full; {remedy}")
    if path is None and code in WRITE_ERRORS:  # of a library that does not name the file
        path = "a file that this command writes"
    if not code or path is None or not isinstance(error, OSError):
        return None
    remedy = f"{REMEDIES[code]}{elsewhere}" if code in REMEDIES else "check the path"
    return InputError(f"{path}: {os.strerror(code)}; {remedy}")


@contextmanager
def hydra_that_raises() -> Iterator[None]:
    """Make Hydra raise its errors; without this variable it prints them and exits with code 1."""
    before = os.environ.get(FULL_ERROR, "0")
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    finally:
        os.environ[FULL_ERROR] = before


_ALL = "all"  # the topic of every option
WIDEST = 120  # columns of a page
LONGEST_NAME, LONGEST_VALUE = 34, 24  # columns; longer ones have their explanation on the next line
MANY = 6  # choices of a group, which are then counted, not named

FOOTER = """\
An option is written name=value; -m runs one job for each of several values: name=1,2,3. Paths need no quotes beyond the
shell's own. --cfg job prints the values chosen, --hydra-help Hydra's own switches."""


def help_request(words: Sequence[str]) -> tuple[str, list[str]] | None:
    """Find the topic of ``--help``, ``--help lm`` or ``--help=lm``, and the other words; None without ``--help``.

    The topic is a group, an option, `_ALL`, or "" for the overview.
    """
    for place, word in enumerate(words):
        switch, _, topic = word.partition("=")
        if switch in ("--help", "-h"):
            others = [*words[:place], *words[place + 1 :]]
            if not topic and place < len(others) and "=" not in others[place] and others[place][:1] not in ("-", "~"):
                topic = others.pop(place)
            return topic, others
    return None


def command_help(own: Command, topic: str, words: Sequence[str]) -> str:
    """Write the help of a command about a topic, with the values that command-line ``words`` give."""
    known, values = _composed(own, words)
    often: Sequence[str] = getattr(own.options, "often", ())
    if topic and topic != _ALL:
        names = [option for option in values if f"{option}.".startswith(f"{topic}.")]
        if not names and topic not in known.groups:
            parts = {part for option in values for part in accumulate(option.split("."), "{}.{}".format)}
            similar = suggestion(topic, parts | {*known.groups})
            raise InputError(f"--help {topic}: there is no such group or option; {similar}")
        return "\n".join([*_sections(names, known, values), *_choices({topic} & {*known.groups}, known), FOOTER])
    usage = f"usage: wordless {own.name} {'[group=choice ...] ' if known.groups else ''}[name=value ...]"
    begin = [f"wordless {own.name}: {own.purpose}", "", usage, ""]
    if often and topic != _ALL:
        top = [option for option in values if "." not in option]
        first = [option.partition(".")[0] for option in values if "." in option]
        groups = [name for name in dict.fromkeys([*first, *known.groups]) if name != HYDRA]
        body = ["Options of the whole command", *_rows(known, values, top), ""]
        body += ["Options used most", *_rows(known, values, often), ""]
        body += [f"Groups: wordless {own.name} --help GROUP shows the options of a group, --help {_ALL} every option"]
        chosen = {}
        for key, group in known.groups.items():
            others = [choice for choice in group.choices if choice != group.chosen]
            listed = " | ".join([group.chosen, *others])
            chosen[key] = f"{group.chosen} ({len(others)} others)" if len(others) > MANY else listed
        body += [*_rows(known, chosen, groups), ""]
    else:
        body = [*_sections(values, known, values), *_choices(known.groups, known)]
    notes = [*known.notes.splitlines(), ""] if known.notes else []
    return "\n".join([*begin, *body, *notes, FOOTER])


def _composed(own: Command, words: Sequence[str]) -> tuple[Index, dict[str, str]]:
    """Return the options of a command with the choices that were made, and the value of each option."""
    known = index(own.options)
    arguments = prepare(words, known)
    with initialize_config_module("conf", version_base="1.3"):
        folder = arguments.config_dir and f"file://{Path(arguments.config_dir).absolute()}"
        searched = [f"hydra.searchpath=[{quote(folder)}]"] if folder else []  # as --config-dir says
        config = compose(own, [*searched, *arguments.overrides], return_hydra_config=True)
    made = config.hydra.runtime.choices
    known = replace(known, groups={key: replace(group, chosen=str(made[key])) for key, group in known.groups.items()})
    for group in known.groups.values():
        if variant := group.variants.get(group.chosen):
            options, sections = known.options | variant.options, known.sections | variant.sections
            known = replace(known, options=options, sections=sections)
    of_hydra = {key: OmegaConf.select(config, key) for key in known.options if key.startswith(f"{HYDRA}.")}
    with open_dict(config):
        del config[HYDRA]
    values = {**dict(leaves(plain_config(config))), **of_hydra}
    return known, {key: written_value(value) for key, value in values.items()}


def _sections(names: Iterable[str], known: Index, values: Mapping[str, str]) -> Iterator[str]:
    """Give the options below each heading."""
    for section, within in group_by_section(names).items():
        explanation = known.sections.get(section, "")
        yield f"{section}: {explanation}" if explanation else section or "Options"
        yield from [*_rows(known, values, within), ""]


def _choices(names: Iterable[str], known: Index) -> Iterator[str]:
    """Give the choices of each group."""
    for name in names:
        group = known.groups[name]
        yield f"Choices of {name}: {group.explanation}" if group.explanation else f"Choices of {name}"
        marks = {choice: "chosen" if choice == group.chosen else "" for choice in group.choices}
        yield from [*_table((f"{name}={each}", marks[each], text) for each, text in group.choices.items()), ""]


def _rows(known: Index, values: Mapping[str, str], names: Iterable[str]) -> Iterator[str]:
    """Give the lines of a table of options or groups, with their values and explanations."""
    explained = known.sections | {name: group.explanation for name, group in known.groups.items()}
    explained |= {name: option.explanation for name, option in known.options.items()}
    return _table((name, values.get(name, ""), explained.get(name, "")) for name in names)


def _table(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Give the lines of a table of names, values and explanations, as wide as the terminal."""
    table = list(rows)
    width = min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
    first = min(max((len(name) for name, _, _ in table), default=0), LONGEST_NAME)
    second = min(max((len(value) for _, value, _ in table), default=0), LONGEST_VALUE)
    indent = 4 + first + (second + 2 if second else 0)
    for name, value, explanation in table:
        row = f"  {name:<{first}}  {value:<{second}}".rstrip()
        if len(row) + 2 > indent:
            yield row
            row = ""
        for line in textwrap.wrap(explanation, max(width - indent, 30)) or [""]:
            yield f"{row:<{indent}}{line}".rstrip()
            row = ""


def require_driver() -> None:
    """Refuse ``device=cuda`` where no driver of a GPU is installed."""
    with suppress(OSError):
        CDLL("libcuda.so.1")
        return
    if not Path("/dev/kfd").exists():  # of AMD
        rule = "no driver of a GPU is installed here"
        raise InputError(option="device", value="cuda", rule=rule, remedy=NO_DEVICE)
