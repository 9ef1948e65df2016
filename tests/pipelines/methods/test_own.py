"""Features that the user brings, in a comparison and in refusals."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.methods.table import row_of
from pipelines.results.run_record import read_results
from pipelines.settings.run import run_settings
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import called_at_once, composed, refusal
from wordless.audio.recordings.manifest import read_manifest
from wordless.base.errors import InputError

WORDS = ("stages=[probe,report]", "compare.methods=[bag_of_codes]")


def brought(run: FinishedRun, file: Path, *, drop: int = 0) -> Path:
    """Features of all clips of a run, in another order than the manifest's, that nearly spell the label."""
    (root,) = (run.store / "embedded").glob("embedded-*/")
    clips = read_manifest(run.folder / "manifest.tsv", root).clips[::-1][drop:]
    rng = np.random.default_rng(0)
    labels = sorted({str(clip.label) for clip in clips})
    one_hot = np.eye(len(labels), dtype=np.float32)[[labels.index(str(clip.label)) for clip in clips]]
    known = one_hot + 0.01 * rng.standard_normal(one_hot.shape)
    noise = rng.standard_normal((len(clips), 3))
    np.savez(file, paths=np.array([clip.name for clip in clips]), **{"layer_1:mean": noise, "layer_2": known})
    return file


def test_own_features_are_compared_like_any_other(finished_run: FinishedRun, tmp_path: Path) -> None:
    file = brought(finished_run, tmp_path / "mine.npz")
    store = shutil.copytree(finished_run.store, tmp_path / "store")
    words = (f"store.root={store}", f"compare.features={{mine: {file}}}")
    done = called_at_once(tmp_path, *finished_run.words, *WORDS, *words)
    assert done.returncode == 0, done.stderr
    found = read_results(tmp_path / "run")["comparison"]
    assert (found.layer_penalties, found.penalties) == (2, 3)
    assert list(found.layers("mine")) == ["layer_1", "layer_2"]
    assert (found.tested["mine"].candidate, found.value("mine")) == ("mine/layer_2:given", 1.0)
    assert {*found.methods} == {"mine", "bag_of_codes"}
    assert row_of("mine").kind == "own"
    assert "own features" in (tmp_path / "run/report.html").read_text()


def test_missing_clips_are_refused_before_anything_is_trained(finished_run: FinishedRun, tmp_path: Path) -> None:
    file = brought(finished_run, tmp_path / "mine.npz", drop=2)
    store = tmp_path / "store"
    (tmp_path / "store").mkdir()
    (store / "embedded").symlink_to(finished_run.store / "embedded")
    words = (f"store.root={store}", f"compare.features={{mine: {file}}}")
    told = refusal(called_at_once(tmp_path, *finished_run.words, *WORDS, *words))
    assert re.search(r"mine\.npz\b.*\b2 of ", told)
    assert not (store / "sample").exists()


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("{gpt: x.npz}", r"compare\.features\b.*\bgpt\b"),
        ("{a b: x.npz}", r"compare\.features\b.*'a b'"),
        ("{mine: gone.npz}", r"gone\.npz\b"),
        ("{mine: setup.py}", r"setup\.py\b"),
        ("[x.npz]", r"compare\.features\b.*\bgroup\b"),
    ],
)
def test_what_is_no_features_is_refused_with_the_options(tmp_path: Path, features: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_settings(composed(tmp_path, f"compare.features={features}"))
