"""Folders of saved models: a tokenizer's model card, and ``rate_1``, the coarsest, to ``rate_N`` of several rates."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from tokenizer.codes import CodesFormat
from wordless.base.errors import InputError
from wordless.base.files import write_aside
from wordless.base.saved_models import CARD, CONFIG, rate_folder, whole
from wordless.base.values import read_object


class Savable(Protocol):
    """A model of one rate."""

    def save_pretrained(self, folder: Path) -> None: ...


M = TypeVar("M")


@dataclass(frozen=True, kw_only=True)
class SavedRates:
    """The content of ``config.json``."""

    rates: int  # number of them
    codes: CodesFormat  # of all rates together


def save_rates(folder: Path, models: Sequence[Savable], codes_format: CodesFormat, *, card: str) -> None:
    """Write a folder for each rate's model, a model card and, last, ``config.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    for number, model in enumerate(models, 1):
        model.save_pretrained(rate_folder(folder, number))
    write_aside(folder / CARD, card)
    write_aside(folder / CONFIG, json.dumps({"rates": len(models), "codes": codes_format.as_dict()}, indent=1) + "\n")


def load_rates(
    folder: Path, name: str, from_folder: Callable[[Path], M], format_of: Callable[[Sequence[M]], CodesFormat]
) -> list[M]:
    """Load the model of each rate, coarse to fine; ``name`` names these models in a refusal.

    Raises:
        InputError: a file is damaged, or the models are of other codes than ``config.json`` names.
    """
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


# Only for codes of a speech model, or with several levels, so that other cards do not change.
SPEECH_LAYER = "| source of the codes | layer {layer.layer} of {layer.model}, a copy of which is in `speech_model` |\n"
LEVELS = "| residual levels of each band, coarse to fine | {config.levels} |\n"
MODEL_CARD = """---
library_name: wordless
tags: [audio, tokenizer, discrete-units]
---
# A tokenizer of sound

{format.codebook_size} codes, {format.streams} stream(s), {format.codes_per_second:g} time steps per second at \
{format.sample_rate} Hz: {format.bits_per_second:.0f} bits per second.

```python
import wordless

tokenizer = wordless.Tokenizer.from_pretrained("this/folder")
codes = tokenizer.encode(samples, sample_rate)  # mono or stereo, float or int16
```

| | |
|---|---|
| window, hop | {config.audio.window_length}, {config.audio.hop_length} samples |
| mel bands | {config.audio.n_mels} |
| patch | {config.patch.frames} frames of {config.height} mel bands |
| bottleneck | {config.autoencoder.bottleneck} |
| make-up gain of sound of the codes | {gain:g} dB |
{speech_layer}{levels}| fingerprint of front end and autoencoder | {format.tokenizer} |
| fingerprint of the codebook | {format.codebook} |
"""

_RATES_CARD = """---
library_name: wordless
tags: [audio, tokenizer, discrete-units]
---
# A tokenizer of sound at {count} rates

A recording becomes codes at each of these rates, coarse to fine: {bits:.0f} bits per second together. The same number
means another sound at each rate. The folders `rate_1` to `rate_{count}` hold a tokenizer each, which also works alone.

| rate | codes per second | codes | bits per second | fingerprint of the codebook |
|---|---|---|---|---|
{rows}

```python
import wordless

tokenizer = wordless.Tokenizer.from_pretrained("this/folder")
codes = tokenizer.encode(samples, sample_rate)  # mono or stereo, float or int16
coarse, *finer = codes.by_rate
```
"""


def rates_card(codes_format: CodesFormat) -> str:
    """Write Markdown about a tokenizer of several rates."""
    formats = codes_format.formats
    rows = [
        f"| {number} | {own.codes_per_second:g} x {own.streams} | {own.codebook_size} | {own.bits_per_second:.0f} "
        f"| {own.codebook} |"
        for number, own in enumerate(formats, 1)
    ]
    return _RATES_CARD.format(count=len(formats), bits=codes_format.bits_per_second, rows="\n".join(rows))
