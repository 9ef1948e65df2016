"""Models of an earlier run that a run begins with: ``tokenizer.start``, ``lm.start`` and ``vocoder.start``.

A key has the hash of what a model begins with, not its place.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

from lm.lm_options import GPTConfig
from wordless.base.files import find_object, read_object
from wordless.base.messages import InputError, OldModelError, written
from wordless.base.model_folders import CONFIG, fetch, hub_address
from wordless.base.options import build
from wordless.base.saved_models import HASH, LANGUAGE_MODEL, ModelKind

LM, TOKENS, VOICE = "lm.start", "tokenizer.start", "vocoder.start"
T = TypeVar("T")
from_hub = cache(fetch)  # asked for several times


def start_folder(start: str, kind: ModelKind, *, option: str) -> Path:
    """Return the local folder of a model: ``start`` is this folder, that of a run with the model, or on the hub."""
    if address := hub_address(start):
        return from_hub(address, kind.part, "")
    folder = Path(start).expanduser()
    for place in (folder / kind.part, folder):
        if kind.key in (find_object(place / CONFIG) or {}):
            return place
    state = f"holds no {kind.part}/{CONFIG} of a {kind.name}" if folder.is_dir() else "is no folder"
    raise InputError(f"{option}={start} {state}; name the folder of a run that made a {kind.name}, or hf://user/name")


def gpt_hash(start: str) -> str:
    """Return the hash of the weights of ``lm.start``, as its config names it; loading checks it."""
    path = start_folder(start, LANGUAGE_MODEL, option=LM) / CONFIG
    if not isinstance(found := (find_object(path) or {}).get(HASH), str):
        raise InputError(f"{LM}={start}: {path} is damaged: {HASH} is {written(found)}; copy it again from its run")
    return found


def require_same_gpt(start: str, wanted: GPTConfig, *, codebook_size: int) -> None:
    """Refuse a language model of another architecture, or of a codebook of another size than that of the run."""
    folder = start_folder(start, LANGUAGE_MODEL, option=LM)
    content = find_object(folder / CONFIG) or {}
    gpt, codes = content.get("gpt"), content.get("codes")
    with _undamaged(LM, start, folder):
        found = build(GPTConfig, gpt if isinstance(gpt, dict) else {}, name="lm.gpt")
    values = {f"lm.gpt.{name}": (value, found.architecture[name]) for name, value in wanted.architecture.items()}
    if isinstance(codes, dict) and isinstance(size := codes.get("codebook_size"), int):
        values["tokenizer.codebook_size"] = codebook_size, size
    require_equal(LM, start, values)


def read_start(saved: type[T], folder: Path, option: str, start: str) -> T:
    with _undamaged(option, start, folder):
        return read_object(saved, folder / CONFIG)


@contextmanager
def _undamaged(option: str, start: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OldModelError as error:
        raise InputError(f"{option}={start}: {folder} is of an older version ({error}); name another one") from error
    except InputError as error:
        raise InputError(f"{option}={start}: {folder} is damaged: {error}; copy it again from its run") from error


def differences(values: Mapping[str, tuple[object, object]]) -> tuple[str, str]:
    """Write the options whose two values differ, with the first values and with the second."""
    other = {name: pair for name, pair in values.items() if pair[0] != pair[1]}
    own, theirs = ([f"{name}={written(pair[at])}" for name, pair in other.items()] for at in (0, 1))
    return ", ".join(own), " ".join(theirs)


def require_equal(option: str, start: str, values: Mapping[str, tuple[object, object]]) -> None:
    own, theirs = differences(values)
    if own:
        raise InputError(f"{option}={start} was made with other options than this run, which has {own}: add {theirs}")
