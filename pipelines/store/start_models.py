"""Models that trainings of a run begin with: ``tokenizer.start``, ``lm.start`` and ``vocoder.start``.

Each names the folder of a run, or ``hf://user/name`` of the Hugging Face hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pipelines.store.run_parts import from_hub
from wordless.base.files import find_object, read_object
from wordless.base.messages import InputError, written
from wordless.base.saved_models import CONFIG, ModelKind, hub_address

T = TypeVar("T")
LM, TOKENS, VOICE = "lm.start", "tokenizer.start", "vocoder.start"  # options that name models to begin with


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


def read_start(saved: type[T], folder: Path, option: str, start: str) -> T:
    with undamaged(option, start, folder):
        return read_object(saved, folder / CONFIG)


@contextmanager
def undamaged(option: str, start: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        state = f"{folder} is damaged or of another version: {error}"
        raise InputError(f"{option}={start}: {state}; copy it again from its run, or name another one") from error


def differences(values: Mapping[str, tuple[object, object]]) -> tuple[str, str]:
    """Write the options whose two values differ, with the first values and with the second."""
    other = {name: pair for name, pair in values.items() if pair[0] != pair[1]}
    own, theirs = ([f"{name}={written(pair[at])}" for name, pair in other.items()] for at in (0, 1))
    return ", ".join(own), " ".join(theirs)


def require_equal(option: str, start: str, values: Mapping[str, tuple[object, object]]) -> None:
    own, theirs = differences(values)
    if own:
        raise InputError(f"{option}={start} was made with other options than this run, which has {own}: add {theirs}")
