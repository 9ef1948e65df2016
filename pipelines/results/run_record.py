"""The content of a run folder for the report: ``results.json``, sounds and pictures."""

import json
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, TypedDict, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from pipelines.results.comparison import Comparison
from pipelines.results.figures import Figure, Figures
from wordless.base.errors import InputError, written
from wordless.base.text import escape_values
from wordless.base.values import describe_type, kind_of
from wordless.training.options import TrainingRecord

RESULTS = "results.json"
RESAMPLES = "resamples.safetensors"  # resampled test figures of each method, which pair the runs of a sweep
PICTURES = "listening/pictures.safetensors"
CODE_SOUNDS = "code_sounds"  # folder of the sounds of codes
SAMPLE_SOUNDS = "next_sample_sounds"  # folder of the sounds of language models of samples

Pictures = dict[str, npt.NDArray[np.float32 | np.int32]]
Resamples = dict[str, npt.NDArray[np.float32]]


R = TypeVar("R")
Section = dict[str, Any]  # a part of results.json that a stage describes for the report; the comments tell its content


class _CorpusRecord(TypedDict, total=False):
    recordings: int  # that the clips are segments of
    notices: list[str]  # about the division of the clips
    trimmed_seconds: float  # of silent ends; 0 if nothing was trimmed


class CorpusRecord(_CorpusRecord):
    """The corpus of the run."""

    name: str
    clips: dict[str, int]  # by split
    seconds: dict[str, float]  # by split
    rejected: list[Section]  # path and reason of each file that was set aside; segments of it that were left out
    labels: dict[str, int]  # clips of each
    groups: dict[str, int]


class Provenance(TypedDict):
    """The provenance of a run's results."""

    version: str  # of Wordless
    commit: str | None  # of the checkout; followed by "+changes" where tracked files differ from it
    date: str  # when the results were written: UTC, ISO 8601
    command: str
    machine: Section  # cpu: model; cores: that the run could use; memory: bytes
    system: str  # operating system and kernel
    python: str
    device: str
    threads: int  # of PyTorch, in each process
    ranks: int  # processes that trained together
    parameters: dict[str, int]  # of each trained model, by stage
    libraries: dict[str, str]  # versions
    config: dict[str, object]  # every option with its value


class Results(TypedDict, total=False):
    """``results.json``; only ``figures`` is always there. Sections hold what is no figure."""

    figures: Figures
    corpus: CorpusRecord
    curves: dict[str, TrainingRecord]
    codebook: Section  # counts of each code; stability by change of the sound; verdict: of a collapse; kmeans
    codes: Section  # what each code stands for: share, mean spectrum, nearest patches, and labels against chance
    comparison: Comparison  # of the methods that were probed
    listening: Section  # clips with their sounds; what the language model said; the judge and its warning
    zerospeech: Section  # pairs and phones of the tests of the language model, with an example
    next_sample: Section  # protocol, trainings and sounds of language models of samples
    rates: Section  # protocol and sounds of codes at several rates beside a flat GPT
    stages: list[Section]  # name, key and costs of each stage, and whether it was reused
    command: str
    versions: dict[str, str]
    provenance: Provenance


def count_codes(results: Results) -> int | None:
    """Count the codes of a run's codebook, or of those of its folds and seeds, which have one size."""
    if "codebook" in results:
        return len(results["codebook"]["counts"])
    found = [results["figures"].value("tokenizer", name) for name in ("used_codes", "dead_codes")]
    known = [value for value in found if value is not None]
    return round(sum(known)) if len(known) == len(found) else None


def recorded_options(results: Results) -> dict[str, Any]:
    """Return every option of a run with its value; none if its results do not say what made them."""
    return results["provenance"]["config"] if "provenance" in results else {}


def read_results(folder: Path) -> Results:
    """Read the results of a run; unprintable characters in names are escaped. Keys of a later version are left out.

    Raises:
        InputError: the file is missing, or has another form.
    """
    path, remedy = folder / RESULTS, "write it again: repeat the run's command"
    if not path.is_file():
        raise InputError(f"{path} is missing; give the folder of a run, as wordless run printed it")
    try:
        content = escape_values(json.loads(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}); {remedy}") from error
    if not isinstance(content, dict) or not isinstance(content.get("figures"), list):
        raise InputError(f'{path} holds no list of "figures"; {remedy}')
    known = {name: value for name, value in content.items() if name in Results.__annotations__}
    for name, value in known.items():
        wanted = {"figures": list, "stages": list, "command": str}.get(name, dict)
        if not isinstance(value, wanted):
            raise InputError(f"{path} is damaged: {name} is {kind_of(value)}, not {kind_of(wanted())}; {remedy}")
    damaged = f"{path} is damaged:"
    figures = Figures(_record(Figure, row, f"{damaged} figures[{at}]") for at, row in enumerate(known["figures"]))
    if "comparison" in known:
        section = {**known["comparison"], "figures": figures.where(stage="probe")}
        known["comparison"] = _record(Comparison, section, f"{damaged} comparison")
    return cast(Results, {**known, "figures": figures})


def _record(kind: type[R], values: object, place: str) -> R:
    """Build a figure or a comparison from plain values; each must have the type of its field."""
    remedy = "write it again: repeat the run's command"
    if not isinstance(values, dict):
        raise InputError(f"{place} is {kind_of(values)}, not an object; {remedy}")
    types = _types(cast(Any, kind))
    for name, value in values.items():
        if name in types and not isinstance(value, types[name]):
            problem = f"{place}.{name} is {written(value)}, {kind_of(value)}"
            raise InputError(f"{problem}; it must be {describe_type(types[name][0])}; {remedy}")
    try:
        return kind(**{name: value for name, value in values.items() if name in types})
    except TypeError as error:  # a field is missing
        raise InputError(f"{place} lacks {str(error).rpartition(': ')[2]}; {remedy}") from error


@cache
def _types(kind: type) -> dict[str, tuple[type, ...]]:
    """Return the classes of the values of each field; whole numbers are numbers, too."""
    found: dict[str, tuple[type, ...]] = {}
    for name, hint in get_type_hints(kind).items():
        parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        classes = tuple(get_origin(part) or part for part in parts)
        found[name] = (*classes, int) if float in classes else classes
    return found


def read_resamples(folder: Path) -> Resamples:
    """Read the resampled test figures ``(resamples,)`` of each method; empty for a run without probes.

    Raises:
        InputError: the file is broken.
    """
    return _read_arrays(folder / RESAMPLES)


def read_pictures(folder: Path) -> Pictures:
    """Read spectrograms ``(time, mels)`` and codes ``(time, streams)`` by "<clip>:<kind>"; empty without pictures.

    Raises:
        InputError: the file is broken.
    """
    return _read_arrays(folder / PICTURES)


def _read_arrays(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise InputError(f"{path} cannot be read ({error}); write it again: repeat the run's command") from error


def is_cut(excerpt: Section) -> bool:
    """Whether only a part of the clip was decoded."""
    return bool(excerpt["seconds"] < excerpt["clip_seconds"])
