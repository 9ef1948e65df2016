"""Options that commands share, what a command writes, and the run whose models it reads, checked before the work.

Places that a command writes to are locked meanwhile, and whole in the end. A lock is a ``flock``, which the system
releases when its process ends for any reason. ``model=hf://user/name`` names a run on the Hugging Face hub: its parts
are downloaded when a command first asks. ``tokenizer.start``, ``lm.start`` and ``vocoder.start``, the models that a run
begins with, may be such addresses, too.
"""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

from wordless.audio.waveform import EXTENSIONS
from wordless.base.devices import Device
from wordless.base.files import MARK, existing, find_object, mark, move_folder, read_object, remove, take_lock
from wordless.base.messages import InputError, OldModelError, require, written
from wordless.base.options import REQUIRED, Options, option
from wordless.base.pools import LOCAL, EngineConfig
from wordless.base.saved_models import CONFIG, ModelKind, fetch, holds_rates, hub_address, is_on_hub

MODEL = "folder of a run, or hf://user/name"


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(Options):
    device: Device = option("auto", "auto uses a GPU if there is one")


@dataclass(frozen=True, kw_only=True)
class ModelOptions(DeviceOptions):
    model: Path = option(REQUIRED, MODEL)


@dataclass(frozen=True, kw_only=True)
class RateOptions(Options):
    upsample: bool = option(
        False, "true: recordings may have a lower sample rate than the model; it then reads bands that are empty"
    )


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(Options):
    workers: int = option(
        0, "processes that read recordings; 0: all cores if there is enough to do. No result depends on it", least=0
    )


@dataclass(frozen=True, kw_only=True)
class EngineOptions(WorkerOptions):
    engine: EngineConfig = option(LOCAL, "what reads and encodes: processes of this machine, or a Ray cluster")


REMEDY = "choose another output=..., or delete it"
OTHERS = (  # suffixes of files beside those of sounds
    "npz npy pt pth bin ckpt pkl pickle h5 hdf5 mat onnx safetensors parquet arrow feather csv tsv json jsonl ndjson "
    "txt km xlsx yaml yml html md pdf png svg jpg jpeg zip tar gz tgz bz2 xz zst 7z"
)
# An output with any other suffix, such as "codes.v2", is taken for a folder.
FILES = frozenset(f".{suffix}" for suffix in (*EXTENSIONS, *OTHERS.split()))


def require_kind(output: Path, written: Collection[str], *, possible: str) -> None:
    """Refuse an output whose suffix names a kind of file that the command does not write.

    ``written`` lists the suffixes that it writes, such as ".wav"; ``possible`` says what the user can name instead.
    """
    suffix = output.suffix.lower()
    if suffix in FILES and suffix not in written:
        raise InputError(f"output={output} looks like a {suffix} file, which is not written here; name {possible}")


def require_new(output: Path) -> None:
    if output.exists():
        raise InputError(f"output={output} exists already; {REMEDY}")


def require_table(output: Path, *suffixes: str) -> None:
    """Refuse an output whose suffix is not one of ``suffixes``."""
    rule = f"name a file ending in {', '.join(suffixes[:-1])} or {suffixes[-1]}"
    require(output.suffix.lower() in suffixes, "output", output, rule)


def prepare_output(output: Path, *beside: Path) -> None:
    """Refuse an output that exists, or a file ``beside`` it that is written, too; create the folder above them."""
    for path in (output, *beside):
        require_new(path)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"output={output} lies below a file; name another place: output=PATH") from error


RUN_LOCK = ".lock"
SWEEP_LOCK = ".sweep.lock"
PROGRESS = ".progress.json"  # of a run, while it computes
# Files in the folder of a run or a sweep that are no results.
NOTES = frozenset({MARK, RUN_LOCK, SWEEP_LOCK, PROGRESS, ".progress.lock", ".hydra", "multirun.yaml", "log.txt"})

# Globals, because Hydra creates its callbacks itself and passes them nothing: locks, and folders without a result yet,
# each with the folders above it that were created with it.
_HELD, _NEW = ExitStack(), dict[Path, list[Path]]()
CLAIMED: list[Path] = []  # folders of runs and sweeps, until `claims` ends


MOST_TRIES = 100  # of other runs that are refused at the same moment


@contextmanager
def claims() -> Iterator[None]:
    """Release all claims when the block ends, and remove the folders that they created if these hold no result."""
    try:
        with _HELD:
            yield
    finally:
        for folder, above in _NEW.items():
            with suppress(OSError):  # other runs are there
                if all(path.name in NOTES for path in folder.iterdir()):
                    remove(folder)
                    for parent in above:
                        parent.rmdir()
        _NEW.clear()
        CLAIMED.clear()


def keep_claimed() -> None:
    """Keep the claimed folders also without a result, because work has begun that belongs to them."""
    _NEW.clear()


def claim(wanted: Path, *, option: str, lock: str, new: bool) -> Path:
    """Lock a folder until `claims` ends, and return it. A missing folder is created.

    With ``new``, an existing folder is left alone, and the first free one of ``wanted_2``, ``wanted_3``, ... is
    taken, by one process of all machines. ``option`` names the folder on the command line.
    """
    made, *above = [new or not wanted.exists(), *(parent for parent in wanted.parents if not parent.exists())]
    try:
        folder = make_new(wanted) if new else wanted
        mark(folder)
    except FileNotFoundError as error:
        there = existing(str(wanted))
        rule = f"no folder can be created in {there}: go to another one (cd), or name another: {option}=..."
        raise InputError(option=option, value=wanted, rule=rule) from error
    CLAIMED.append(folder)
    _NEW.update({folder: above} if made else {})
    _HELD.enter_context(hold(folder, option=option, lock=lock))
    return folder


def make_new(wanted: Path) -> Path:
    """Create a new folder: ``wanted``, or the first free one of ``wanted_2``, ``wanted_3`` and so on."""
    folder, number, tries = wanted, 1, 0
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            folder = wanted.with_name(f"{wanted.name}_{(number := number + 1)}")
        except FileNotFoundError:  # another run was refused, and removed the parent folder that it had created
            if (tries := tries + 1) == MOST_TRIES:  # or no folder can be made there, as in /proc
                raise


@contextmanager
def hold(folder: Path, *, option: str, lock: str = RUN_LOCK, remedy: str = "") -> Iterator[None]:
    """Hold the lock of a folder during the block."""
    remedy = remedy or f"wait for it, or name another folder: {option}=..."
    with (folder / lock).open("a") as handle:
        try:
            held = take_lock(handle, wait=False)
        except OSError as error:
            problem = f"its file system keeps no locks ({error.strerror})"
            raise InputError(f"{option}={folder}: {problem}; name a folder on another one: {option}=...") from error
        if not held:
            raise InputError(f"{option}={folder}: another run is writing there; {remedy}")
        yield


def is_held(folder: Path, *, lock: str = RUN_LOCK) -> bool:
    """Return whether a command is writing a folder."""
    with suppress(OSError), (folder / lock).open("rb") as handle:  # an error: there is no lock
        return not take_lock(handle, wait=False, shared=True)
    return False


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Give an empty folder that becomes ``output`` at the end of the block; after an error nothing is left.

    Of two commands with one output, one is refused while the other writes, except where folders cannot be locked (NFS).
    What a killed command left is removed.
    """
    partial = output.with_name(f"{output.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    locked = os.open(partial, os.O_RDONLY)  # the folder itself: a file would have to be removed after the last step
    try:
        with suppress(OSError):  # the file system locks no folder
            if not take_lock(locked, wait=False):
                raise InputError(f"another command is writing output={output}; wait for it, or choose another output")
        try:
            require_new(output)  # the other command may have finished since this one began
            for path in partial.iterdir():
                remove(path)
            yield partial
            move_folder(partial, output)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    finally:
        os.close(locked)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a place to write a file that belongs to an output; one that is there must be the same, left by a kill."""
    beside = path.with_name(f"{path.name}.aside")
    try:
        yield beside
        if path.exists() and not filecmp.cmp(path, beside, shallow=False):
            require_new(path)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


T = TypeVar("T")
REPORT = "report.html"
RESULTS = "results.json"  # is written last
FINETUNED = "finetuned"  # folder of the fine-tuned models of a run
JOB, TABLE = "job.json", "figures.md"  # in the folder of a fine-tuned model: what it is made of, its figures
# folders, and the stages or methods of `wordless run` that make them
Part = Literal["tokenizer", "lm", "gpt_sound", "gpt_window", "vocoder", "wav2vec2", "audio_transformer"]

from_hub = cache(fetch)  # a command asks several times for a part, and the hub once


def is_finetuned(folder: Path) -> bool:
    """Return whether a folder is a fine-tuned model, whose config.json is written last; entries name no channel."""
    return {"body", "head", "channel"} <= {*(find_object(folder / CONFIG) or {})}


def part_of(model: Path, part: Part, *, otherwise: str = "", rates: bool = False) -> Path:
    """Return the folder of one part that a run made; ``otherwise`` is an alternative without it, for a refusal.

    Models of several rates are refused unless the command reads them (``rates``).
    """
    folder = _found_part(model, part, otherwise)
    if holds_rates(folder) and not rates:
        rule = "its codes have several rates, which only wordless run, generate and decode read"
        raise InputError(option="model", value=model, rule=rule, remedy="name a run with tokenizer.rates=null")
    return folder


def _found_part(model: Path, part: Part, otherwise: str) -> Path:
    if address := hub_address(model):
        return from_hub(address, part)
    if not model.is_dir():
        state = "is a file" if model.exists() else "does not exist"
        raise InputError(f"model={model} {state}; name the folder of a run, such as model=runs/<date>_<time>")
    if (model / part / CONFIG).is_file():
        return model / part
    if is_finetuned(model):
        raise InputError(f"model={model} is a fine-tuned model without {part}; name a run, or call wordless predict")
    if (model / CONFIG).is_file():
        raise InputError(f"model={model} is a part of a run; name the folder above: model={model.absolute().parent}")
    raise InputError(
        f"model={model} holds no {part}/config.json; {otherwise}name the folder of a run whose stages or methods "
        f"included {part}, without compare.folds and seeds, which leave models in the store"
    )


def run_of(model: Path) -> Path:
    """Return the local folder of a run with all its parts; at least a tokenizer must be there."""
    part_of(model, "tokenizer")
    address = hub_address(model)
    return model if address is None else from_hub(address, "tokenizer", whole=True)


def require_output(model: Path | None, output: Path | None, *, example: str) -> None:
    """Refuse a run on the hub without an output: results go into the folder of a run only on this machine."""
    if output is None and is_on_hub(model):
        raise InputError(f"output=null, and {hub_address(model or '')} is no folder of this machine; add {example}")


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
