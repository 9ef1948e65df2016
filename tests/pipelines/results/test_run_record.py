"""What a run records: its results, what probes answered for each test clip, and where the results come from."""

import json
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.jobs.run_chain import CHECKOUT, commit_of, provenance
from pipelines.results.probes import write_predictions
from pipelines.results.results import corpus_section
from pipelines.results.run_record import Row, read_results, where
from pipelines.settings.run_settings import By
from pipelines.store.store import CURVE, CachedArtifact, write_json
from tests.pipelines.conftest import FinishedRun
from vocoder.vocoder import Vocoder
from wordless.audio.recordings.manifest import Clip, Clips, Rejected, read_manifest
from wordless.base.messages import InputError
from wordless.training.fit import Gang

FIGURE = {"stage": "lm", "name": "perplexity", "value": 3, "high": 4.5, "artifact": "k"}


def written(folder: Path, content: object) -> Path:
    (folder / "results.json").write_text(json.dumps(content))
    return folder


def test_whole_results_are_taken_without_keys_of_later_versions(tmp_path: Path) -> None:
    compared = {"folds": ["test"], "classes": ["yes"], "over": "groups"}
    content = {"figures": [FIGURE], "a key of a later version": 1, "comparison": compared}
    found = read_results(written(tmp_path, content))
    assert where(found["figures"]) == [Row(stage="lm", name="perplexity", value=3, high=4.5, artifact="k")]
    assert found["comparison"].over == "groups"


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(PLAIN, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part))
PARTS = ("corpus", "curves", "codebook", "comparison", "listening", "stages", "provenance")


@settings(max_examples=50)
@example({"figures": [1]})
@example({"figures": [{**FIGURE, "value": "x"}]})
@example({"figures": [{"stage": "lm"}]})
@example({"figures": [], "comparison": {"folds": 2}})
@given(st.fixed_dictionaries({"figures": JSON}, optional=dict.fromkeys(PARTS, JSON)))
def test_results_may_be_anything(tmp_path_factory: pytest.TempPathFactory, content: dict[str, object]) -> None:
    folder, message = written(tmp_path_factory.mktemp("fuzz"), content), "results.json"
    try:
        assert all(isinstance(row.value, int | float) for row in where(read_results(folder)["figures"]))
    except InputError as error:
        message = str(error)
    assert "results.json" in message
    assert "\n" not in message


SEVERAL = {
    "of": "head",
    "chosen": "head",
    "regularisation_strengths": 0,
    "probabilities": None,
    "predictions": [["rain"]],
}
ONE = {
    "of": "gpt",
    "chosen": "gpt/layer_1:mean",
    "regularisation_strengths": 3,
    "probabilities": [0.75],
    "predictions": ["rain"],
}


@pytest.mark.parametrize(
    ("truth", "row", "wanted"),
    [
        (["dog", "rain"], SEVERAL, {"label": "dog;rain", "method": "head", "candidate": None, "probability": None}),
        ("dog", ONE, {"label": "dog", "method": "gpt", "candidate": "gpt/layer_1:mean", "probability": 0.75}),
    ],
)
def test_predictions_name_fold_seed_part_and_labels(
    truth: object, row: dict[str, object], wanted: dict[str, object], tmp_path: Path
) -> None:
    clip = Clip(path="a.wav", segment=1, start=8000, num_samples=4000, sample_rate=8000, group="anna")
    probed = {"clips": ["a.wav#t=1,1.5"], "truth": [truth], "methods": [row]}
    per_fold = {("one", 0): probed, ("one", 1): probed}
    manifest = Clips.from_rows(tmp_path, (clip,), rejected=(Rejected(path="b.wav", reason="empty"),))
    wanted = wanted | {"clip": "a.wav#t=1,1.5", "path": "a.wav", "start": 1.0, "end": 1.5, "group": "anna"}
    wanted = wanted | {"prediction": "rain", "split": "test"}
    by: By
    for by, fold in (("fold", "one"), ("split", None)):
        write_predictions(tmp_path / "x.parquet", per_fold, manifest, by=by, separator=";")
        rows = pq.read_table(tmp_path / "x.parquet").to_pylist()
        assert rows == [{**wanted, "fold": fold, "seed": seed} for seed in (0, 1)]
    section = corpus_section(manifest)
    assert (section["recordings"], section["rejected"]) == (1, [{"path": "b.wav", "reason": "empty"}])


def test_a_commit_is_named_with_what_differs_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    assert commit_of(tmp_path) is None
    git("init")
    assert commit_of(tmp_path) is None  # nothing is committed
    (tmp_path / "a.py").write_text("1")
    git("add", "a.py")
    git("commit", "-m", "a")
    commit = str(commit_of(tmp_path))
    assert len(commit) == 40
    (tmp_path / "untracked").touch()
    assert commit_of(tmp_path) == commit
    (tmp_path / "a.py").write_text("2")
    assert commit_of(tmp_path) == f"{commit}+changes"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(tmp_path) is None  # there is no git
    assert (CHECKOUT / "pipelines/results/results.py").is_file()


def test_provenance_tells_machine_models_and_options_but_no_home(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    trained = CachedArtifact(stage="vocoder", key="a", place=tmp_path / "vocoder", reused=True)
    trained.folder.mkdir()
    (trained.folder / "model.safetensors").symlink_to(run_folder / "vocoder/model.safetensors")
    write_json(trained.folder / CURVE, {})
    others = CachedArtifact(stage="tokenizer", key="b", place=run_folder / "tokenizer", reused=True)
    config = {"store": {"root": "/home/somebody/store"}, "seed": 3, "stages": ["lm"], "corpus": {"root": "/data"}}
    config["input"] = "[/home/somebody/a.wav,/home/somebody,/home/somebody2/b.wav]"
    made = {each.stage: each for each in (trained, others)}
    source = provenance("wordless run", config, Gang(torch.device("cpu")), made)
    assert json.loads(json.dumps(source)) == source
    assert source["config"] == {**config, "store": {"root": "~/store"}, "input": "[~/a.wav,~,/home/somebody2/b.wav]"}
    model = Vocoder.from_pretrained(run_folder / "vocoder").model
    assert source["parameters"] == {"vocoder": sum(parameter.numel() for parameter in model.parameters())}
    assert source["machine"]["cores"] >= 1
    assert source["date"].endswith("+00:00")
    assert (source["ranks"], source["threads"]) == (1, torch.get_num_threads())
    assert source["device"].startswith("cpu")
    assert "torch" in source["libraries"]


def test_a_run_writes_the_answer_of_each_probe_for_each_test_clip(finished_run: FinishedRun) -> None:
    rows = pq.read_table(finished_run.folder / "predictions.parquet").to_pylist()
    methods = read_results(finished_run.folder)["comparison"].tested
    clips = {clip.name for clip in read_manifest(finished_run.folder / "manifest.tsv", Path()).of("test")}
    assert {row["method"] for row in rows} == {*methods}
    for of, found in methods.items():
        own = [row for row in rows if row["method"] == of]
        assert {row["clip"] for row in own} == clips
        right = sum(row["prediction"] == row["label"] for row in own) / len(own)
        assert right == pytest.approx(found.value)
        assert all(0 < row["probability"] <= 1 for row in own)
        places = {(row["seed"], row["fold"], row["split"], row["candidate"]) for row in own}
        assert places == {(0, None, "test", found.candidate)}
