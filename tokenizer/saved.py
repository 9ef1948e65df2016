"""Folders of saved models: a tokenizer's model card, and ``rate_1``, the coarsest, to ``rate_N`` of several rates."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tokenizer.codes import CodesFormat
from wordless.base.errors import InputError
from wordless.base.files import write_aside
from wordless.base.saved_models import CARD, CONFIG, model_card, rate_folder, whole
from wordless.base.values import read_object

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


_USE = """
import wordless

tokenizer = wordless.Tokenizer.from_pretrained("this/folder")
codes = tokenizer.encode(samples, sample_rate)  # mono or stereo, float or int16
"""


def tokenizer_card(codes_format: CodesFormat, facts: Mapping[str, object]) -> str:
    """Write Markdown about a tokenizer: its codes at each rate, coarse to fine, and further ``facts``."""
    rates, about = dict[str, object](), f"A recording becomes {codes_format.bits_per_second:.0f} bits per second."
    for number, each in enumerate(codes_format.formats, 1):
        of = f"{each.spectral_streams} stream(s) of {each.codebook_size} codes"
        of += "".join(f" and one of {own.levels} for the {own.name}, which is not counted" for own in each.beside)
        of += f", {each.bits_per_second:.0f} bits per second"
        steps = f"{each.codes_per_second:g} time steps per second"
        rates[f"`rate_{number}`" if codes_format.rates else "codes"] = f"{steps}, {of}; codebook `{each.codebook}`"
    note = "Each folder of a rate holds a tokenizer, which also works alone." if codes_format.rates else ""
    title, tags = "Tokenizer of sound", "tokenizer, discrete-units"
    return model_card(title, about, {**rates, **facts}, _USE, tags=tags, note=note)
