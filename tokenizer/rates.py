"""Codes of one recording at several rates, as one `Codes`: each row is a time step of the coarsest rate.

::

    samples   |<------------------ samples_per_code ------------------>|
    rate 1    [                           a0                           ]     coarse: 8 frames per patch
    rate 2    [             b0             ][            b1            ]             4
    rate 3    [     c0      ][     c1      ][     c2     ][     c3     ]     fine:   2
    values    a0 b0 b1 c0 c1 c2 c3

Code ``k`` of a rate with ``n`` samples per code stands for the samples ``[k * n, (k + 1) * n)``. Where a recording ends
within a time step, finer codes after its end are 0. `split_rates` cuts them off, so nobody reads them.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tokenizer.codes import Codes, CodesFormat, IntArray, RateFormat
from wordless.base.errors import InputError
from wordless.base.files import write_aside
from wordless.base.json_values import read_object
from wordless.base.saved_models import CARD, CONFIG, rate_folder, whole

FINGERPRINT_LENGTH = 16  # hexadecimal digits


def combined_format(formats: Sequence[CodesFormat]) -> CodesFormat:
    """Return the format of codes at several rates, coarse to fine; that of a single rate is returned as is.

    Raises:
        InputError: the rates do not fill a time step, or differ in codebook size or sample rate.
    """
    if len(formats) == 1:
        return formats[0]
    coarsest = formats[0]
    for each in formats:
        if (each.codebook_size, each.sample_rate) != (coarsest.codebook_size, coarsest.sample_rate):
            raise InputError(
                f"one rate has {coarsest.codebook_size} codes at {coarsest.sample_rate} Hz, another "
                f"{each.codebook_size} at {each.sample_rate} Hz; all rates of a tokenizer must have the same"
            )
    parts = [coarsest.samples_per_code // each.samples_per_code * each.streams for each in formats]
    return CodesFormat(
        codebook_size=coarsest.codebook_size,
        streams=sum(parts),
        samples_per_code=coarsest.samples_per_code,
        sample_rate=coarsest.sample_rate,
        tokenizer=_fingerprint([each.tokenizer for each in formats]),
        codebook=_fingerprint([each.codebook for each in formats]),
        rates=tuple(_rate(each) for each in formats),
    )


def join_rates(parts: Sequence[Codes]) -> Codes:
    """Join the codes of one recording at several rates, coarse to fine; a single rate is returned as is.

    The parts may differ in length by less than a time step, because each was padded to whole codes. The shortest
    decides.

    Raises:
        InputError: the parts are not of one recording, or see `combined_format`.
    """
    if len(parts) == 1:
        return parts[0]
    codes_format = combined_format([part.format for part in parts])
    lengths = [part.num_samples for part in parts]
    num_samples, steps = min(lengths), codes_format.steps(min(lengths))
    if max(lengths) - num_samples >= codes_format.samples_per_code:
        raise InputError(f"codes of several rates are of {lengths} samples; join the codes of one recording")
    columns = [_rows(part, codes_format, steps, num_samples) for part in parts]
    return Codes(values=np.concatenate(columns, axis=1), num_samples=num_samples, format=codes_format)


def split_rates(codes: Codes) -> tuple[Codes, ...]:
    """Return the codes of each rate, coarse to fine, each as the tokenizer of this rate alone gives them."""
    if not codes.format.rates:
        return (codes,)
    parts, first = [], 0
    for own in codes.format.formats:
        width = codes.format.samples_per_code // own.samples_per_code * own.streams
        values = codes.values[:, first : first + width].reshape(-1, own.streams)[: own.steps(codes.num_samples)]
        parts.append(Codes(values=values, num_samples=codes.num_samples, format=own))
        first += width
    return tuple(parts)


def _rows(part: Codes, codes_format: CodesFormat, steps: int, num_samples: int) -> IntArray:
    """Lay a rate's codes of each time step side by side: ``(time, streams)`` -> ``(steps, codes of a time step)``."""
    share, own = codes_format.samples_per_code // part.format.samples_per_code, part.format
    rows: IntArray = np.zeros((steps * share, own.streams), np.int32)
    kept = part.values[: own.steps(num_samples)]
    rows[: len(kept)] = kept
    return rows.reshape(steps, share * own.streams)


def _rate(own: CodesFormat) -> RateFormat:
    return RateFormat(
        streams=own.streams, samples_per_code=own.samples_per_code, tokenizer=own.tokenizer, codebook=own.codebook
    )


def _fingerprint(parts: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:FINGERPRINT_LENGTH]


# Folders of models at several rates


@dataclass(frozen=True, kw_only=True)
class SavedRates:
    """The content of ``config.json`` in a folder that holds a model for each rate."""

    rates: int  # number of them; their folders are rate_1, the coarsest, to rate_N
    codes: CodesFormat  # of all rates together

    def folders(self, folder: Path) -> list[Path]:
        """Return the folder of each rate's model, coarse to fine."""
        return [rate_folder(folder, number) for number in range(1, self.rates + 1)]


@contextmanager
def writing_rates(folder: Path, codes_format: CodesFormat, *, card: str) -> Iterator[list[Path]]:
    """Give the folders into which a block saves each rate's model; ``config.json`` is written last."""
    saved = SavedRates(rates=len(codes_format.rates), codes=codes_format)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    yield saved.folders(folder)
    write_aside(folder / CARD, card)
    write_aside(folder / CONFIG, json.dumps({"rates": saved.rates, "codes": codes_format.as_dict()}, indent=1) + "\n")


def read_rates(folder: Path, name: str) -> SavedRates:
    """Read ``config.json`` of a folder of `writing_rates`; ``name`` names its models in a refusal."""
    with whole(folder, f"{name} of several rates", remedy="copy it again from its run"):
        saved = read_object(SavedRates, folder / CONFIG)
        if saved.rates != len(saved.codes.rates):
            raise InputError(f"{CONFIG} counts {saved.rates} rates, and its codes have {len(saved.codes.rates)}")
    return saved


def require_saved_format(folder: Path, named: CodesFormat, found: CodesFormat) -> None:
    """Refuse models of other codes than those that their folder names."""
    if named != found:
        raise InputError(
            f"{folder} names codebook {named.codebook}, and its models belong to codebook {found.codebook}: the files "
            "do not belong together; copy the whole folder again from the run that made it"
        )
