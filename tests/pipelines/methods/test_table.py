"""The table of methods: every row is complete, and whatever reads it knows every method."""

from collections import Counter
from dataclasses import replace
from itertools import combinations
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from pipelines.methods.method import Method, Row
from pipelines.methods.rates import BAGS, STATES
from pipelines.methods.table import METHODS, ROWS, shown_in
from pipelines.pages.comparison_charts import line_look
from pipelines.settings.comparison import ComparisonConfig
from pipelines.settings.run import run_settings
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import composed
from wordless.base.errors import InputError


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_each_method_is_an_option(method: Method, tmp_path: Path) -> None:
    rates = ("tokenizer.rates=[16,8,4,2]", "lm.gpt.layers=4") if method in (*BAGS, *STATES) else ()
    settings = run_settings(composed(tmp_path, f"compare.methods=[{method.name}]", *rates))
    assert settings.compare.all_methods == (method,)
    assert (method.head is not None) <= (method.labels == "train")  # a head was trained with labels
    if method.training:
        assert attrgetter(method.training.option)(settings).batches.batch_size > 0


@pytest.mark.parametrize("place", ["learning curves", "groups"])
def test_rows_of_one_chart_look_different(place: str) -> None:
    shown = shown_in(place, ROWS)  # type: ignore[arg-type]  # mypy sees a string
    assert len(shown) > 1
    for one, other in combinations(shown, 2):
        assert line_look(one) != line_look(other)


def test_methods_look_different_without_a_line() -> None:
    """A sweep over names draws all methods as dots. Methods of one rate share markers with others, in other runs."""
    names = [name for name in METHODS if "_of_rate_" not in name]
    looks = [replace(line_look(name), dashes="") for name in names]
    for (one, first), (other, second) in combinations(zip(names, looks, strict=True), 2):
        assert first != second, (one, other)


def test_rows_of_a_place_are_shown_in_the_order_of_the_table_which_lacks_others() -> None:
    named = ["hubert", "supervised_head", "log_mel", "simclr"]
    assert shown_in("summary", named) == ["simclr", "supervised_head", "hubert"]
    assert shown_in("key figures", named) == ["simclr", "supervised_head"]
    with pytest.raises(InputError, match=r"methods\b.*\bwav2vec\b.*\bgpt, gpt_sound, simclr\b"):
        ComparisonConfig(methods=("gpt", "wav2vec"), folds=None, states=("residual",))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"kind": "signals"}, r"\bmine\b.*'signals'.*\bsignal, codes\b"),
        ({"kind": "signal", "places": ("learning_curves",)}, r"'learning_curves'.*\blearning curves\b"),
    ],
)
def test_a_row_of_an_unknown_kind_or_place_is_refused_where_it_is_written(row: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Row(name="mine", title="mine", **row)


def test_vectors_are_as_large_as_was_estimated_before_the_run(finished_run: FinishedRun) -> None:
    settings = run_settings(composed(finished_run.store))
    stored = Counter[str]()
    for path in finished_run.store.glob("*_features/*/features.safetensors"):
        for key, vectors in load_file(path).items():
            stored[key.partition(":")[0].partition("/")[0]] += vectors.shape[1]
    estimated = {method.name: method.vector_size(settings) for method in settings.compare.all_methods}
    exact = {name: count for name, count in estimated.items() if count != Method.vector_size(settings)}
    assert {"log_mel", "bottleneck", "bag_of_codes", "gpt", "random_gpt"} <= {*exact}
    assert exact == {name: stored[name] for name in exact}
