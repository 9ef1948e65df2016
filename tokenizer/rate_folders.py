"""Saved models of several rates: a folder with a folder for each, ``rate_1``, the coarsest, to ``rate_N``."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tokenizer.codes import CodesFormat
from wordless.base.files import read_object, write_aside
from wordless.base.messages import InputError
from wordless.base.saved_models import CARD, CONFIG, rate_folder, whole

M = TypeVar("M")


@dataclass(frozen=True, kw_only=True)
class SavedRates:
    """The content of ``config.json``."""

    rates: int  # number of them
    codes: CodesFormat  # of all rates together


def save_rates(folder: Path, saves: Sequence[Callable[[Path], None]], codes_format: CodesFormat, *, card: str) -> None:
    """Write a folder for each rate by its model's ``save_pretrained``, a model card and, last, ``config.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    for number, save in enumerate(saves, 1):
        save(rate_folder(folder, number))
    write_aside(folder / CARD, card)
    write_aside(folder / CONFIG, json.dumps({"rates": len(saves), "codes": codes_format.as_dict()}, indent=1) + "\n")


def load_rates(
    folder: Path, name: str, from_folder: Callable[[Path], M], format_of: Callable[[Sequence[M]], CodesFormat]
) -> list[M]:
    """Load the ``name`` of each rate, coarse to fine; refuse models of other codes than ``config.json`` names."""
    with whole(folder, f"{name} of several rates", remedy="copy it again from its run"):
        saved = read_object(SavedRates, folder / CONFIG)
        if saved.rates != len(saved.codes.rates):
            raise InputError(f"{CONFIG} counts {saved.rates} rates, and its codes have {len(saved.codes.rates)}")
    models = [from_folder(rate_folder(folder, number)) for number in range(1, saved.rates + 1)]
    if (found := format_of(models)) != saved.codes:
        raise InputError(
            f"{folder} names codebook {saved.codes.codebook}, and its models belong to codebook {found.codebook}: the "
            "files do not belong together; copy the whole folder again from the run that made it"
        )
    return models
