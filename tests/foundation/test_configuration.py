"""Typed configs from plain values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.spectrogram import SpectrogramConfig
from foundation.configuration import build, qualify
from foundation.errors import InputError


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


def test_builds_nested_configs() -> None:
    values = {**GOOD, "inner": {"size": 8, "kind": 3}, "other": {"rate": 1}, "layers": [1, 2], "span": [1, 2.5]}
    built = build(Outer, {**values, "weights": {"a": 1}, "steps": 5}, name="")
    assert built.inner == Inner(size=8, kind=3)
    assert built.other == Inner(rate=1.0)
    assert (built.layers, built.span, built.weights, built.steps) == ((1, 2), (1.0, 2.5), {"a": 1.0}, 5)
    assert built.root == Path("a/b")
    assert isinstance(build(Inner, {"rate": 1}, name="").rate, float)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"nam": "y"}, "audio.nam is not an option; did you mean audio.name"),
        ({"inner": {"sise": 1}}, "audio.inner.sise is not an option; did you mean audio.inner.size"),
        (
            {"inner": {"size": "8"}},
            "audio.inner.size=8 is text; it must be a whole number: audio.inner.size=8, without",
        ),
        ({"limit": 10**30}, "audio.limit=1000000000000000000000000000000 is too large; it must lie within 64 bits"),
        ({"inner": {"rate": 10**5000}}, "audio.inner.rate=a number of 16610 bits is too large"),
        ({"root": "~nobody of that name/x"}, "audio.root=~nobody of that name/x names no home folder"),
        ({"inner": {"size": "many"}}, "audio.inner.size=many is text; it must be a whole number"),
        ({"inner": {"size": 8.0}}, "audio.inner.size=8.0 is a number; it must be a whole number: audio.inner.size=8"),
        ({"inner": {"size": True}}, "audio.inner.size=true is true or false; it must be a whole number"),
        ({"inner": {"size": None}}, "audio.inner.size=null is null; it must be a whole number"),
        ({"inner": {"rate": "0.1"}}, "audio.inner.rate=0.1 is text; it must be a number"),
        ({"inner": {"rate": False}}, "audio.inner.rate=false is true or false; it must be a number"),
        ({"inner": {"rate": float("nan")}}, "audio.inner.rate=nan is not a number; it must be a number"),
        ({"inner": {"rate": float("inf")}}, r"audio.inner.rate=inf is too large; it must lie within ±1e\+12"),
        ({"inner": {"rate": -1e308}}, r"audio.inner.rate=-1e\+308 is too large; it must lie within ±1e\+12"),
        ({"inner": {"rate": 2**62}}, "is too large; it must lie within ±1e"),
        ({"inner": {"kind": "meen"}}, "audio.inner.kind=meen is not one of its choices: mean, max, 3"),
        ({"inner": 5}, "audio.inner=5 is one value; it must be a group of options"),
        ({"other": {"kind": True}}, "audio.other.kind=true is not one of its choices"),
        ({"limit": "none"}, "audio.limit=none is text; it must be a whole number or null"),
        ({"steps": "soon"}, "audio.steps=soon is text; it must be a whole number or one of auto"),
        ({"shuffle": 1}, "audio.shuffle=1 is a whole number; it must be true or false"),
        ({"shuffle": "yes"}, "audio.shuffle=yes is text; it must be true or false"),
        ({"layers": 3}, r"audio.layers=3 is one value; it must be a list: audio.layers=\[3\]"),
        ({"layers": [1, "a"]}, r"audio.layers\[1\]=a is text; it must be a whole number"),
        ({"layers": "12"}, "audio.layers=12 is one value; it must be a list"),
        ({"span": [1]}, "audio.span has 1 values; it takes 2"),
        ({"weights": {"a": "b"}}, "audio.weights.a=b is text; it must be a number"),
        ({"name": 5}, "audio.name=5 is a whole number; it must be text"),
        ({"root": ""}, "audio.root='' is empty; it must be a path"),
    ],
)
def test_refuses_in_one_line(change: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told) as refused:
        build(Outer, {**GOOD, **change}, name="audio")
    assert "\n" not in str(refused.value)


def test_names_what_is_missing() -> None:
    with pytest.raises(InputError, match=r"^lm\.root is missing"):
        build(Outer, {"name": "x", "inner": {}}, name="lm")
    with pytest.raises(InputError, match=r"^root is missing"):
        build(Outer, {"name": "x", "inner": {}}, name="")


def test_rules_of_the_dataclass_itself_hold() -> None:
    with pytest.raises(InputError, match=r"audio\.hop_length is 0"):
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


@pytest.mark.parametrize(
    ("name", "message", "full"),
    [
        ("lm.fit", "fit.lr is 0; see fit.steps", "lm.fit.lr is 0; see lm.fit.steps"),
        ("lm.fit", "fit: give it", "lm.fit: give it"),
        ("lm.fit", "fit.lr is 0, and at most 3 fit. Choose", "lm.fit.lr is 0, and at most 3 fit. Choose"),
        ("lm.fit", "fitness.lr is 0", "fitness.lr is 0"),
        ("lm.fit", "lm.fit.lr is 0", "lm.fit.lr is 0"),
        ("tokenizer.fit", "fit.lr is 0, as in lm.fit.lr", "tokenizer.fit.lr is 0, as in lm.fit.lr"),
        (
            "a.wavenet_large",
            "wavenet.layers is 0 and wavenet.cycles 2",
            "a.wavenet_large.layers is 0 and a.wavenet_large.cycles 2",
        ),
        ("a.wavenet", "wavenet_large.layers is 0", "wavenet_large.layers is 0"),
        ("a.large_wavenet", "wavenet.layers is 0", "wavenet.layers is 0"),
        ("fit", "fit.lr is 0", "fit.lr is 0"),
    ],
)
def test_messages_name_the_whole_option(name: str, message: str, full: str) -> None:
    assert qualify(message, name) == full
