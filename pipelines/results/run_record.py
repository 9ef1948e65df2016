"""The content of a run folder for the report: ``results.json``, sounds and pictures."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

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
    """Read the results of a run; unprintable characters in names are escaped.

    Raises:
        InputError: the file is missing, or has another form.
    """
    path = folder / RESULTS
    if not path.is_file():
        raise InputError(f"{path} is missing; give the folder of a run, as wordless run printed it")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}); write it again: repeat the run's command") from error
    if not isinstance(content, dict) or not isinstance(content.get("figures"), list):
        raise InputError(f'{path} holds no list of "figures"; write it again: repeat the run\'s command')
    try:
        figures = Figures(read_record(list[Figure], escape_values(content.pop("figures")), "figures"))
        results: Results = read_record(Results, escape_values(content))
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}; write it again: repeat the run's command") from error
    results["figures"] = figures
    if "comparison" in results:
        results["comparison"] = replace(results["comparison"], figures=figures.where(stage="probe"))
    return results


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


def read_record(kind: Any, value: object, place: str = "") -> Any:
    """Build a value of a type from plain values. Keys that a record does not have are those of a later version.

    A record is a ``TypedDict``, or a dataclass, whose fields without a default are required.

    Raises:
        InputError: a value has another type, or a record lacks a key; the message names the place.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if is_typeddict(kind) or is_dataclass(kind):
        return _record(kind, value, place)
    if origin is list:
        return [
            read_record(parts[0], item, f"{place}[{number}]")
            for number, item in enumerate(_of_type(list, value, place))
        ]
    if origin in (dict, Mapping):
        return {
            key: read_record(parts[1], item, f"{place}.{key}") for key, item in _of_type(dict, value, place).items()
        }
    if origin in (Union, UnionType):  # a type or None; other unions and Literal are not supported
        part = next(part for part in parts if part is not NoneType)
        return None if value is None else read_record(part, value, place)
    if not (kind in (Any, object) or type(value) is kind or (kind is float and type(value) is int)):
        raise InputError(f"{place} is {written(value)}, {kind_of(value)}; it must be {describe_type(kind)}")
    return value


def _record(kind: Any, value: object, place: str) -> Any:
    values = _of_type(dict, value, place)
    required = (
        kind.__required_keys__
        if is_typeddict(kind)
        else {each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}
    )
    if missing := sorted(required - values.keys()):
        raise InputError(f"{place} has no {missing[0]!r}")
    types = get_type_hints(kind)
    found = {
        key: read_record(part, values[key], f"{place}.{key}" if place else key)
        for key, part in types.items()
        if key in values
    }
    return kind(**found)


def _of_type(kind: type[Any], value: object, place: str) -> Any:
    if not isinstance(value, kind):
        what = "a list" if kind is list else "an object"
        raise InputError(f"{place or 'the file'} is {kind_of(value)}; it must be {what}")
    return value
