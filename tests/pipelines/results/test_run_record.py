"""Results that are not what a run writes are refused; the table of what probes answered for each test clip."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.results.figures import Figure
from pipelines.results.run_record import read_results
from pipelines.results.tables import write_predictions
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import run
from wordless.audio.recordings.manifest import Clip, Manifest, read_manifest
from wordless.base.errors import InputError
from wordless.base.values import find_object

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


def test_a_run_writes_the_answer_of_each_probe_for_each_test_clip(finished_run: FinishedRun) -> None:
    rows = pq.read_table(finished_run.folder / "predictions.parquet").to_pylist()
    methods = read_results(finished_run.folder)["comparison"].tested
    clips = {clip.name: clip for clip in read_manifest(finished_run.folder / "manifest.tsv", Path()).of("test")}
    assert {row["method"] for row in rows} == {*methods}
    for of, found in methods.items():
        own = [row for row in rows if row["method"] == of]
        assert {row["clip"] for row in own} == {*clips}
        right = sum(row["prediction"] == row["label"] for row in own) / len(own)
        assert right == pytest.approx(found.value)
        assert all(0 < row["probability"] <= 1 for row in own)
        assert {(row["seed"], row["fold"], row["split"], row["candidate"]) for row in own} == {
            (0, None, "test", found.candidate)
        }
    for row in rows:
        clip = clips[row["clip"]]
        assert (row["path"], row["label"], row["group"]) == (clip.path, clip.label, clip.group)
        assert row["end"] - row["start"] == pytest.approx(clip.seconds)


def test_seeds_on_a_single_split_have_no_fold(finished_run: FinishedRun, tmp_path: Path) -> None:
    words = ["stages=[probe,report]", "seeds=2", "compare.methods=[log_mel]", "probe.learning_curve=[]"]
    store = shutil.copytree(finished_run.store, tmp_path / "store")  # other tests count the entries of the first
    assert run(store, tmp_path / "run", *words) == 0
    table = pq.read_table(tmp_path / "run/predictions.parquet").to_pylist()
    figures: Any = (find_object(tmp_path / "run/results.json") or {})["figures"]
    single = [row for row in figures if row["stage"] == "probe" and row["seed"] is not None]
    assert {(row["fold"], row["seed"]) for row in single} == {(None, 0), (None, 1)}
    assert {(row["fold"], row["seed"]) for row in table} == {(None, 0), (None, 1)}


def test_folds_seeds_parts_and_several_labels(tmp_path: Path) -> None:
    clip = Clip(
        path="a.wav", segment=1, start=8000, num_samples=4000, sample_rate=8000, size=0, sha256="", label="dog;rain"
    )
    row = {"of": "head", "chosen": "head", "penalties": 0, "probabilities": None, "predictions": [["rain"]]}
    probed = {"clips": ["a.wav#t=1,1.5"], "truth": [["dog", "rain"]], "methods": [row]}
    per_fold = {("one", 0): probed, ("one", 1): probed}
    manifest = Manifest(root=tmp_path, clips=(clip,))
    write_predictions(tmp_path / "x.parquet", per_fold, manifest, by="fold", separator=";")
    first, second = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert first == {
        **{"clip": "a.wav#t=1,1.5", "path": "a.wav", "start": 1.0, "end": 1.5, "group": None},
        **{"label": "dog;rain", "prediction": "rain", "probability": None},
        **{"method": "head", "candidate": None, "fold": "one", "seed": 0, "split": "test"},
    }
    assert second == {**first, "seed": 1}
