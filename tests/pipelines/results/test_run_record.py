"""Results that are not what a run writes are refused before a page reads them."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.results.figures import Figure
from pipelines.results.run_record import read_results
from wordless.base.errors import InputError

FIGURE = {"stage": "lm", "name": "perplexity", "value": 3, "high": 4.5, "artifact": "k"}


def written(folder: Path, content: object) -> Path:
    (folder / "results.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"figures": [1]}, r"figures\[0\].*whole number.*object"),
        ({"figures": [{**FIGURE, "value": "x"}]}, r"figures\[0\]\.value\b.*\bx\b.*text.*number"),
        ({"figures": [{"stage": "lm"}]}, r"figures\[0\].*'artifact'"),
        ({"figures": [], "corpus": []}, r"corpus\b.*\blist\b.*\bobject\b"),
        ({"figures": [], "stages": {}}, r"stages\b.*\bgroup\b.*\blist\b"),
        ({"figures": [], "versions": {"torch": 2}}, r"versions\.torch\b.*\b2\b.*\btext\b"),
    ],
)
def test_results_of_another_kind_are_named(tmp_path: Path, content: object, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_results(written(tmp_path, content))


def test_whole_results_are_taken(tmp_path: Path) -> None:
    content = {"figures": [FIGURE], "a key of a later version": 1}
    (found,) = read_results(written(tmp_path, content))["figures"]
    assert found == Figure(stage="lm", name="perplexity", value=3, high=4.5, artifact="k")


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(PLAIN, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part))
PARTS = ("corpus", "curves", "codebook", "comparison", "listening", "stages", "command", "versions", "provenance")


@settings(max_examples=50)
@given(st.fixed_dictionaries({"figures": JSON}, optional=dict.fromkeys(PARTS, JSON)))
def test_results_may_be_anything(tmp_path_factory: pytest.TempPathFactory, content: dict[str, object]) -> None:
    folder, message = written(tmp_path_factory.mktemp("fuzz"), content), "results.json"
    try:
        read_results(folder)
    except InputError as error:
        message = str(error)
    assert "results.json" in message
    assert "\n" not in message
