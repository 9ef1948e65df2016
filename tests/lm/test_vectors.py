"""Vectors of clips: poolings, layers and hearings."""

import numpy as np
import pytest

from lm.vectors import ONE_HEARING, VectorConfig, average
from wordless.base.errors import InputError


def test_vectors_are_averaged_over_hearings_key_by_key() -> None:
    rng = np.random.default_rng(0)
    rows = [{"a": rng.normal(size=3).astype(np.float32), "b": rng.normal(size=2).astype(np.float32)} for _ in range(5)]
    found = average(rows)
    for key in ("a", "b"):
        wanted = [sum(float(row[key][n]) for row in rows) / 5 for n in range(len(rows[0][key]))]
        np.testing.assert_allclose(found[key], wanted, rtol=1e-6)
    np.testing.assert_array_equal(average(rows[:1])["a"], rows[0]["a"])


def test_the_rates_of_a_single_hearing_are_in_no_key() -> None:
    assert set(ONE_HEARING.key) == {"poolings", "hearings"}
    several = VectorConfig(hearings=3, layers=("last",))
    assert set(several.key) == {"poolings", "hearings", "hearing_rates"}
    assert set(several.network_key) == {*several.key, "layers"}
    assert several.key != VectorConfig(hearings=3, layers=("last",), hearing_rates=0.1).key


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (("each", "together"), ["layer_1", "layer_2", "layer_3", "all"]),
        (("last", "together"), ["layer_3", "all"]),
        (("together",), ["all"]),
        (("last",), ["layer_3"]),
        (("each", "last"), ["layer_1", "layer_2", "layer_3"]),
    ],
)
def test_layers_are_each_the_last_or_all_side_by_side(layers: tuple[str, ...], names: list[str]) -> None:
    config = VectorConfig(layers=layers, poolings=("max",))  # type: ignore[arg-type]  # any texts
    assert config.keys(3, layer="layer", together="all") == [f"{name}:max" for name in names]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"poolings": ()}, "compare.poolings"),
        ({"poolings": ("max", "max")}, "compare.poolings"),
        ({"layers": ()}, "compare.layers"),
        ({"hearings": 0}, "compare.hearings"),
        ({"hearings": 101}, "compare.hearings"),
        ({"hearing_rates": -0.1}, "compare.hearing_rates"),
    ],
)
def test_impossible_vectors_are_refused(options: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        VectorConfig(**options)  # type: ignore[arg-type]  # of several types
