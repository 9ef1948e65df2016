"""Typed configs from plain values."""

import math
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordless.audio.audio_options import SpectrogramConfig
from wordless.base.messages import InputError, samples_to_generate
from wordless.base.options import METADATA, REQUIRED, Options, build, option


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int = 64
    rate: float = 0.1
    kind: Literal["mean", "max", 3] = "mean"


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    root: Path
    inner: Inner
    other: Inner | None = None
    limit: int | None = None
    steps: int | Literal["auto"] = "auto"
    shuffle: bool = False
    layers: tuple[int, ...] = ()
    span: tuple[float, float] = (0.0, 1.0)
    weights: Mapping[str, float] | None = None


INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)
GOOD: dict[str, Any] = {"name": "x", "root": "a/b", "inner": {}}


def test_whole_numbers_are_numbers() -> None:
    built = build(Inner, {"rate": 1}, name="")
    assert (built, type(built.rate)) == (Inner(rate=1.0), float)


def test_a_nested_config_lacks_what_the_default_of_its_field_has() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Around:
        inner: Inner | None = Inner(size=7, kind="max")

    assert build(Around, {"inner": {"rate": 0.5}}, name="").inner == Inner(size=7, rate=0.5, kind="max")
    own = Around(inner=Inner(size=9))
    assert build(Around, {"inner": {"rate": 0.5}}, name="", default=own).inner == Inner(size=9, rate=0.5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"nam": "y"}, r"audio\.nam\b.*\baudio\.name\b"),
        ({"inner": {"sise": 1}}, r"audio\.inner\.sise\b.*\baudio\.inner\.size\b"),
        ({"inner": {"size": "8"}}, r"audio\.inner\.size is 8\b.*text.*whole number.*\baudio\.inner\.size=8\b"),
        ({"limit": 10**30}, r"audio\.limit is 1000000000000000000000000000000\b.*\b64 bits"),
        ({"inner": {"rate": 10**5000}}, r"audio\.inner\.rate\b.*\b16610 bits"),
        ({"root": "~nobody of that name/x"}, r"audio\.root is ~nobody of that name/x"),
        ({"inner": {"size": 8.0}}, r"audio\.inner\.size is 8\b.*whole number.*\baudio\.inner\.size=8\b"),
        ({"inner": {"size": True}}, r"audio\.inner\.size is true\b.*whole number"),
        ({"inner": {"rate": float("nan")}}, r"audio\.inner\.rate is nan\b.*number"),
        ({"inner": {"rate": float("inf")}}, r"audio\.inner\.rate is inf\b.*±1e\+12"),
        ({"inner": {"kind": "meen"}}, r"audio\.inner\.kind is meen\b.*\bmean\?"),
        ({"inner": 5}, r"audio\.inner is 5\b.*group"),
        ({"other": {"kind": True}}, r"audio\.other\.kind is true\b.*\b3, max, mean\b"),
        ({"limit": "none"}, r"audio\.limit is none\b.*text.*whole number.*\bnull\b"),
        ({"steps": "soon"}, r"audio\.steps is soon\b.*text.*whole number.*\bauto\b"),
        ({"shuffle": 1}, r"audio\.shuffle is 1\b.*whole number.*\btrue\b.*\bfalse\b"),
        ({"layers": 3}, r"audio\.layers is 3\b.*list.*\baudio\.layers=\[3\]"),
        ({"layers": [1, "a"]}, r"audio\.layers\[1\] is a\b.*text.*whole number"),
        ({"span": [1]}, r"audio\.span\b.*\b1\b.*\b2\b"),
        ({"weights": {"a": "b"}}, r"audio\.weights\.a is b\b.*text.*number"),
        ({"root": ""}, r"audio\.root is empty.*path"),
    ],
)
def test_refuses_in_one_line(change: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told) as refused:
        build(Outer, {**GOOD, **change}, name="audio")
    assert "\n" not in str(refused.value)


def test_what_is_missing_and_rules_of_the_dataclass_are_named() -> None:
    with pytest.raises(InputError, match=r"^lm\.root .*missing"):
        build(Outer, {"name": "x", "inner": {}}, name="lm")
    with pytest.raises(InputError, match=r"^root .*missing"):
        build(Outer, {"name": "x", "inner": {}}, name="")
    with pytest.raises(InputError, match=r"audio\.hop_length\b.*\b0\b"):
        build(SpectrogramConfig, {"hop_length": 0}, name="audio")


@given(
    st.builds(
        Outer,
        name=st.text(),
        root=st.just(Path("r")),
        inner=st.builds(Inner, rate=st.floats(-1e12, 1e12)),
        other=st.none() | st.builds(Inner, rate=st.floats(-1e12, 1e12)),
        limit=st.none() | INTEGERS,
        steps=INTEGERS | st.just("auto"),
        shuffle=st.booleans(),
        layers=st.lists(INTEGERS).map(tuple),
        weights=st.none() | st.dictionaries(st.text(), st.floats(-1e12, 1e12)),
    )
)
def test_plain_values_build_the_config_they_came_from(config: Outer) -> None:
    plain = {**asdict(config), "root": str(config.root), "layers": list(config.layers)}
    assert build(Outer, plain, name="") == config


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["size", "rate", "a"]), inner, max_size=2)
    ),
)


@given(st.dictionaries(st.sampled_from([field.name for field in fields(Outer)]), JUNK))
def test_junk_is_built_or_refused_in_one_line(values: dict[str, object]) -> None:
    outcome: object
    try:
        outcome = build(Outer, values, name="")
    except InputError as refused:
        outcome = str(refused)
    assert isinstance(outcome, Outer) or "\n" not in str(outcome)


@dataclass(frozen=True, kw_only=True)
class Limited(Options):
    size: int = option(4, "size", least=1, most=8, unit="units")
    share: float = option(0.5, "share", above=0, below=1)
    limit: float | None = option(None, "limit", least=0)
    sizes: tuple[int, ...] = option((1, 2), "sizes", least=1, filled=True, distinct=True)
    kind: Literal["mean", "max"] = option("mean", "kind")
    kinds: tuple[Literal["mean", "max"], ...] = option(("mean",), "kinds")
    name: str = option("a", "name", choices=("a", "b"))
    free: float = option(0.0, "any number")


@dataclass(frozen=True, kw_only=True)
class Part(Options):
    root: str = option(REQUIRED, "folder")
    inner: Limited = option(Limited(size=2), "inner")


@dataclass(frozen=True, kw_only=True)
class Other(Limited):
    """The same with another default, and with a limit in any case."""

    size: int = 2
    limit: float


WRONG = [
    *(("size", value) for value in (0, 9)), *(("share", value) for value in (0.0, 1.0, float("nan"))),
    *(("limit", value) for value in (-1.0, float("inf"))), *(("sizes", value) for value in ((), (1, 1), (1, 0))),
    *(("kind", "sum"), ("kinds", ("mean", "sum")), ("name", "c"), ("free", float("inf"))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_values_out_of_range_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InputError) as refused:
        Limited(**{name: value})
    assert refused.value.option == name
    assert refused.value.value == value or value != value
    assert refused.value.rule
    assert pickle.loads(pickle.dumps(refused.value)).option == name
    values = {name: list(value) if isinstance(value, tuple) else value}
    with pytest.raises(InputError, match=rf"^part\.inner\.{name}\b"):
        build(Part, {"root": "here", "inner": values}, name="part")


def test_the_length_of_one_sample_is_a_sample_at_every_rate() -> None:
    assert all(samples_to_generate(1 / rate, rate) == 1 for rate in range(1000, 48_001, 100))
    for seconds in (0, -1, 1e-9, math.inf, math.nan):
        with pytest.raises(InputError, match=r"seconds\b.*\b0 seconds"):
            samples_to_generate(seconds, 16_000)


def test_values_at_the_ends_of_a_range_are_accepted() -> None:
    assert Limited(size=1, limit=0.0) == build(Limited, {"size": 1, "limit": 0}, name="")
    assert Part(root="here").inner.size == 2


def test_a_subclass_keeps_meaning_and_range_and_what_it_does_not_change() -> None:
    assert (Other(limit=1.0).size, Other(limit=1.0).share) == (2, 0.5)
    meanings, others = ([each.metadata[METADATA] for each in fields(of)] for of in (Limited, Other))
    assert meanings == others
    for name, wrong in (("size", 0), ("limit", -1.0)):
        with pytest.raises(InputError, match=name):
            Other(**{"limit": 0.0, name: wrong})
