"""The content of a run folder for the report: ``results.json``, sounds and pictures."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
import numpy.typing as npt
from pandas import DataFrame
from safetensors import SafetensorError
from safetensors.numpy import load_file

from pipelines.extras.table import EXTRAS
from pipelines.results.comparison import Comparison
from pipelines.results.rows import read_frame, value_of
from pipelines.store.run_folder import RESULTS
from wordless.base.errors import InputError
from wordless.base.text import escape_values
from wordless.training.fit_options import TrainingRecord

RESAMPLES = "resamples.safetensors"  # resampled test figures of each method, which pair the runs of a sweep
PICTURES = "listening/pictures.safetensors"

Pictures = dict[str, npt.NDArray[np.float32 | np.int32]]
Resamples = dict[str, npt.NDArray[np.float32]]


Section = dict[str, Any]  # a part of results.json that a stage describes for the report; the comments tell its content


class Results(TypedDict, total=False):
    """``results.json``; only ``figures`` is always there. Sections, also those of extras, hold what is no figure."""

    figures: DataFrame
    corpus: Section  # name; clips and seconds by split; labels and groups with their clips; rejected files; notices
    curves: dict[str, TrainingRecord]
    codebook: Section  # counts of each code; verdict: of a collapse; kmeans
    comparison: Comparison  # of the methods that were probed
    listening: Section  # clips with their sounds; what the language model said; the judge and its warning
    stages: list[Section]  # name, key and costs of each stage, and whether it was reused
    provenance: Section  # version, commit, date (UTC), command, machine, device, threads, sizes of models, config


def section_of(results: Results, extra: str) -> Section:
    """Return the section of an extra; empty where the run does not have it."""
    return cast(Mapping[str, Section], results).get(extra, {})


def count_codes(results: Results) -> int | None:
    """Count the codes of a run's codebook or codebooks, which have one size."""
    if "codebook" in results:
        return len(results["codebook"]["counts"])
    found = [value_of(results["figures"], "tokenizer", name) for name in ("used_codes", "dead_codes")]
    known = [value for value in found if value is not None]
    return round(sum(known)) if len(known) == len(found) else None


def recorded_options(results: Results) -> dict[str, Any]:
    """Return every option of a run with its value; none if its results do not say what made them."""
    config: dict[str, Any] = results.get("provenance", {}).get("config", {})
    return config


def lost_file(number: int, kind: str) -> str:
    """Name the file in a run of a judged clip whose pitch is lost."""
    return f"listening/lost_{number}_{kind}.wav"


AGAIN = "write it again: repeat the run's command"


def read_results(folder: Path) -> Results:
    """Read the results of a run, or refuse them; unprintable characters are escaped, later keys left out."""
    path = folder / RESULTS
    if not path.is_file():
        raise InputError(f"{path} is missing; give the folder of a run, as wordless run printed it")
    try:
        content = cast(Any, escape_values(json.loads(path.read_bytes())))
        found = {name: value for name, value in content.items() if name in (*Results.__annotations__, *EXTRAS)}
        for section in (each for name, each in found.items() if name != "figures" and "resampled" in each):
            section["over"] = f"{section['resampled']}s"  # what earlier versions wrote as "clip" or "group"
        found["figures"] = figures = read_frame(content["figures"])
        if "comparison" in found:
            known = {name: value for name, value in found["comparison"].items() if name in Comparison.__annotations__}
            found["comparison"] = Comparison(**known | {"figures": figures})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        problem = f"{path} does not hold the results of a run ({type(error).__name__}: {error})"
        raise InputError(" ".join(problem.split()), remedy=AGAIN) from error
    return cast(Results, found)


def read_arrays(path: Path) -> dict[str, Any]:
    """Read arrays of a run by their names; none where there is no file, and a broken one is refused.

    `RESAMPLES` has test figures ``(resamples,)`` of each method, `PICTURES` spectrograms ``(time, mels)`` and codes
    ``(time, streams)`` by "<clip>:<kind>".
    """
    if not path.is_file():
        return {}
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise InputError(f"{path} cannot be read ({error})", remedy=AGAIN) from error
