"""Ranges of options hold in Python and on the command line, and an error names the option where it stands."""

import math
import pickle
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from wordless.base.errors import InputError, samples_to_generate
from wordless.base.options import REQUIRED, Options, option
from wordless.base.values import build


@dataclass(frozen=True, kw_only=True)
class Inner(Options):
    size: int = option(4, "size", least=1, most=8, unit="units")
    share: float = option(0.5, "share", above=0, below=1)
    limit: float | None = option(None, "limit", least=0)
    sizes: tuple[int, ...] = option((1, 2), "sizes", least=1, filled=True, distinct=True)
    kind: Literal["mean", "max"] = option("mean", "kind")
    kinds: tuple[Literal["mean", "max"], ...] = option(("mean",), "kinds")
    name: str = option("a", "name", choices=("a", "b"))
    free: float = option(0.0, "any number")


@dataclass(frozen=True, kw_only=True)
class Outer(Options):
    root: str = option(REQUIRED, "folder")
    inner: Inner = option(Inner(size=2), "inner")


WRONG = [
    *(("size", value) for value in (0, 9)),
    *(("share", value) for value in (0.0, 1.0, float("nan"))),
    *(("limit", value) for value in (-1.0, float("inf"))),
    *(("sizes", value) for value in ((), (1, 1), (1, 0))),
    *(("kind", "sum"), ("kinds", ("mean", "sum")), ("name", "c"), ("free", float("inf"))),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_values_out_of_range_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InputError) as refused:
        Inner(**{name: value})
    assert refused.value.option == name
    assert refused.value.value == value or value != value
    assert refused.value.rule
    assert pickle.loads(pickle.dumps(refused.value)).option == name


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, value in WRONG if value == value])
def test_built_values_are_refused_by_their_dotted_name(name: str, value: Any) -> None:
    values = {name: list(value) if isinstance(value, tuple) else value}
    with pytest.raises(InputError, match=rf"^part\.inner\.{name}\b"):
        build(Outer, {"root": "here", "inner": values}, name="part")


def test_values_at_the_ends_of_a_range_are_accepted() -> None:
    assert Inner(size=1, limit=0.0) == build(Inner, {"size": 1, "limit": 0}, name="")
    assert Outer(root="here").inner.size == 2
    with pytest.raises(TypeError):
        Outer()


def test_the_length_of_one_sample_is_a_sample_at_every_rate() -> None:
    assert all(samples_to_generate(1 / rate, rate) == 1 for rate in range(1000, 48_001, 100))


@pytest.mark.parametrize("seconds", [0, -1, 1e-9, math.inf, math.nan])
def test_no_length_is_refused(seconds: float) -> None:
    with pytest.raises(InputError, match=r"seconds\b.*\b0 seconds"):
        samples_to_generate(seconds, 16_000)
