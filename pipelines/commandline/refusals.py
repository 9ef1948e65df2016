"""Errors of Hydra, OmegaConf and the operating system as one line that names the remedy."""

import errno
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from hydra import initialize_config_module
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pipelines.commandline.composition import compose
from pipelines.commandline.options import index
from wordless.base.errors import InputError
from wordless.base.files import NO_PERMISSION, NO_SPACE, causes, existing, is_full, os_number
from wordless.base.text import suggestion
from wordless.base.values import leaves

RUN_FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")


def resolved(config: DictConfig) -> dict[str, object]:
    """Return the config as plain dictionaries, lists and values, with interpolations resolved."""
    try:
        if missing := sorted(OmegaConf.missing_keys(config)):
            raise InputError(f"{', '.join(missing)} must be given: {' '.join(f'{key}=...' for key in missing)}")
        return plain(config, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key}: {first_line(error)}; check what stands between ${{ and }}") from error


def explain(error: Exception, *, name: str, words: Sequence[str]) -> InputError:
    """Turn an error of Hydra or OmegaConf about the ``words`` of the command ``name`` into an `InputError`."""
    match error:
        case OverrideParseException():
            option = error.override.partition("=")[0] or "OPTION"
            remedy = f"in quotes, a value may hold anything: \"{option}='VALUE'\""
            return InputError(f"{error.override!r} does not parse: {first_line(error)}; {remedy}")
        case MissingConfigException():
            return missing_option(error)
        case ConfigCompositionException() if find_rejected_key(error, words):
            return unknown_option(find_rejected_key(error, words), name=name, words=words)
        case _:
            cause = first_line(error.__cause__) if error.__cause__ is not None else ""
            return InputError(f"{first_line(error)}: {cause}" if cause else first_line(error))


def missing_option(error: MissingConfigException) -> InputError:
    """Explain that a config group has no such choice."""
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    if not group:
        return InputError(f"there is no configuration {option!r}; see --help")
    chosen, _, path = str(error.missing_cfg_file).partition("/")
    if chosen == "corpus" and "/" in path:
        return InputError(f"corpus={path} is a path; name the folder of your recordings: corpus.root={path}")
    return InputError(f"{group}={option} does not exist; {suggestion(option, error.options or [])}")


def find_rejected_key(error: Exception, words: Sequence[str]) -> str:
    """Return the key that Hydra could not override, or "" for any other error."""
    quoted = first_line(error).partition("'")[2].rpartition("'")[0]
    keys = {word.partition("=")[0].lstrip("+~") for word in words}
    return quoted if quoted in keys and not isinstance(error.__cause__, TypeError) else ""


def unknown_option(key: str, *, name: str, words: Sequence[str]) -> InputError:
    """Explain that no option has this name, or that it needs no ``+``."""
    known = options(name, words, without=key)
    if key in known:
        return InputError(f"{key} is an option already; write {key}=... without + or ~")
    return InputError(f"{key} is not an option; {suggestion(key, known)}")


def options(name: str, words: Sequence[str], *, without: str) -> list[str]:
    """Return the dotted names of all options and config groups, with the groups that ``words`` choose."""
    keys = {word: word.partition("=")[0].lstrip("+") for word in words if "=" in word and not word.startswith("-")}
    groups = [word for word, key in keys.items() if "." not in key and key != without]
    with initialize_config_module("conf", version_base="1.3"):
        try:
            config = compose(name, overrides=groups, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException):
            config = compose(name, return_hydra_config=True)
    values = {key: value for key, value in plain(config).items() if key != "hydra"}
    chosen = [str(group) for group in config.hydra.runtime.choices if "/" not in str(group)]
    return [*(key for key, _ in leaves(values)), *chosen, *RUN_FOLDERS]


def plain(config: DictConfig, *, resolve: bool = False) -> dict[str, object]:
    """Return a config as dictionaries, lists and values."""
    return cast(dict[str, object], OmegaConf.to_container(config, resolve=resolve))


def first_line(error: BaseException) -> str:
    """Return the first line of a message without its full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ")


def os_problem(error: Exception, folders: Iterable[str], options: Sequence[str] = ()) -> InputError | None:
    """Explain a full disk, a missing permission or a missing file with its remedy; return None for all other errors.

    If a full disk is reported without a path, the one of the ``folders`` with the least space is named. Any error
    counts as caused by a full disk while one of the ``folders`` is full. ``options`` choose another place to write to.
    """
    code, path = os_number(error), _named(error)
    places = [existing(folder) for folder in folders]
    if code in NO_SPACE:
        return full_disk(path or min(places, key=lambda place: shutil.disk_usage(place).free), options)
    if code == errno.EFBIG:
        return InputError(f"{path or 'a file'}: it may not grow so large; raise the limit of this shell (ulimit -f)")
    if not code and (full := [place for place in places if is_full(place)]):
        return full_disk(full[0], options)
    if path is None or not isinstance(error, OSError):
        return None
    if code in NO_PERMISSION:
        return InputError(f"{path}: {os.strerror(code)}; give yourself access{_elsewhere(options)}")
    if code == errno.EIO:
        return InputError(f"{path}: the disk fails ({os.strerror(code)}); check the disk, or choose another place")
    return InputError(f"{path}: {os.strerror(code)}; check the path") if code else None


def _named(error: BaseException) -> str | None:
    """Return the file that an error or one of its causes names."""
    names = (getattr(each, "filename", None) for each in causes(error))
    return next((os.fsdecode(name) for name in names if isinstance(name, str | bytes | os.PathLike)), None)


def full_disk(path: str | Path, options: Sequence[str] = ()) -> InputError:
    """Explain that a disk is full, and what to do."""
    remedy = f"free some space{_elsewhere(options)}: nothing finished is lost, and the same command resumes"
    return InputError(f"{path}: the disk is full; {remedy}")


def _elsewhere(options: Sequence[str]) -> str:
    return f", or choose another place ({', '.join(f'{option}=...' for option in options)})" if options else ""


def options_of(command: str) -> frozenset[str]:
    """Return the dotted names of a command's options and config groups."""
    return frozenset({*index(command).options, *index(command).groups, *RUN_FOLDERS})
