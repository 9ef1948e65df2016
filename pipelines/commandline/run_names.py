"""Names of runs: ``name=wake`` writes the folder ``runs/wake``, and the same command resumes there.

Hydra writes the words of a command into the folder of its run or sweep. A command with other words is refused, because
it would overwrite the results of the first one.
"""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import yaml

from foundation.errors import InputError
from pipelines.commandline.claims import NOTES

LATEST: Final = "latest"  # a link beside run folders to the run that finished last
WORDS: Final = Path(".hydra/overrides.yaml")  # in the folder of a run
SWEEP_WORDS: Final = Path("multirun.yaml")  # in the folder of a sweep
NAME = re.compile(r"\w[\w.+-]{0,99}")
# Options that say where and how fast a run computes, and not what; the same run may have other values of them.
ELSEWHERE = frozenset(
    {"name", "store.root", "device", "workers", "parallel", "engine.name", "engine.address", "tracking"}
)

Mode = Literal["run", "sweep"]


def require_name(name: str, *, option: str) -> None:
    """Refuse a name that cannot be the name of a folder beside other runs."""
    if not NAME.fullmatch(name) or name == LATEST:
        problem = "is the link to the run that finished last" if name == LATEST else "is not the name of a run"
        rule = "a name has at most 100 letters, digits, _, ., + and -, and begins with a letter, a digit or _"
        raise InputError(f"{option}={name} {problem}; {rule}, such as {option}=wake")


def require_same_run(folder: Path, words: Iterable[str], mode: Mode) -> None:
    """Refuse a folder that holds a run of other options, or something that is no run."""
    name = folder.name
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"name={name}: {folder} exists and is no folder; choose another name")
    if not folder.exists():
        return
    remedy = f"choose another name, or delete it: wordless runs --delete {name}"
    if all(path.name in NOTES for path in folder.iterdir()):  # of a run that failed before it wrote anything
        return
    before = read_words(folder, mode)
    if before is None:
        raise InputError(f"name={name}: {folder} holds something that is no {mode}; choose another name")
    old, new = (frozenset(word for word in each if option_of(word) not in ELSEWHERE) for each in (before, words))
    if old != new:
        differences = [
            *(f"with {word}" for word in sorted(new - old)),
            *(f"without {word}" for word in sorted(old - new)),
        ]
        problem = f"{folder} holds a {mode} of another command; this one is {', '.join(differences)}"
        raise InputError(f"name={name}: {problem}: repeat the first command to resume it, {remedy}")


def read_words(folder: Path, mode: Mode = "run") -> list[str] | None:
    """Return the options of the command that wrote a folder, as they were typed; None without a readable record."""
    with suppress(OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        content = yaml.safe_load((folder / (WORDS if mode == "run" else SWEEP_WORDS)).read_text(encoding="utf-8"))
        if mode == "sweep":
            content = content["hydra"]["overrides"]["task"] if isinstance(content, dict) else None
        if isinstance(content, list):
            return [str(word) for word in content]
    return None


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


def relink_latest(root: Path) -> None:
    """Remove the link ``latest`` of a folder of runs if it leads nowhere any more."""
    link = root / LATEST
    if link.is_symlink() and not link.exists():
        link.unlink()
