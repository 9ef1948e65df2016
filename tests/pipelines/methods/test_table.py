"""The table of methods, features that the user brings, MFCC and chroma."""

import shutil
from itertools import combinations
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

from pipelines.commandline.commands import imported
from pipelines.methods.table import BAGS, METHODS, ROWS, STATES, row_of, shown_in
from pipelines.pages.comparison_charts import line_look
from pipelines.results.run_record import read_results
from pipelines.settings.run_rules import run_settings
from pipelines.stages.frames import COEFFICIENTS, chroma_frames, mfcc_frames
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny import sweep
from tests.pipelines.tiny_chain import called_at_once, composed, entries, refusal

RATES = ("tokenizer.rates=[16,8,4,2]", "lm.gpt.layers=4")


@pytest.mark.parametrize("rates", [(), RATES], ids=["one rate", "several rates"])
def test_each_method_is_an_option_and_has_features(rates: tuple[str, ...], tmp_path: Path) -> None:
    methods = tuple(method for method in METHODS.values() if (method in (*BAGS, *STATES)) == bool(rates))
    names = ",".join(method.name for method in methods)
    settings = run_settings(composed(tmp_path, f"compare.methods=[{names}]", *rates))
    assert {*settings.compare.all_methods} == {*methods}
    for method in methods:
        assert callable(imported(method.features))
        if method.training:
            assert attrgetter(method.training)(settings).batches.batch_size > 0


@pytest.mark.parametrize("place", ["learning curves", "groups", "a sweep"])
def test_rows_of_one_chart_look_different(place: str) -> None:
    """A sweep draws all methods, without lines. Methods of one rate share markers with others, in other runs."""
    if place == "a sweep":
        looks = [line_look(name) | {"linestyle": "none"} for name in METHODS if "_of_rate_" not in name]
    else:
        looks = [line_look(name) for name in shown_in(place, ROWS)]  # type: ignore[arg-type]  # mypy sees a string
    assert len(looks) > 1
    for one, other in combinations(looks, 2):
        assert one != other


WORDS = ("stages=[probe,report]", "compare.methods=[bag_of_codes]")


def brought(run: FinishedRun, file: Path, *, drop: int = 0) -> Path:
    """Features of all clips of a run, in another order than the manifest's, that nearly spell the label."""
    clips = run.manifest.clips[::-1][drop:]
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
    words = (f"store.root={tmp_path / 'store'}", f"compare.features={{mine: {file}}}")
    assert "mine.npz" in refusal(called_at_once(tmp_path, *finished_run.words, *WORDS, *words))
    assert not list(entries(tmp_path / "store"))


OPTIONS = {"sample_rate": 8000, "window_length": 200, "hop_length": 80}


@pytest.mark.parametrize("samples", [1, 200, 4000])
def test_there_is_a_finite_frame_for_each_hop_even_in_short_and_silent_clips(samples: int) -> None:
    frames = mfcc_frames(sweep(1, 8000)[:samples], **OPTIONS)
    assert (frames.shape, frames.dtype) == ((1 + max(samples, 256) // 80, 2 * COEFFICIENTS), np.float32)
    assert np.isfinite(frames).all()
    assert not chroma_frames(np.zeros(samples, np.float32), sample_rate=8000, hop_length=80).any()


@pytest.mark.parametrize(("hertz", "pitch_class"), [(440.0, 9), (880.0, 9), (261.63, 0), (659.26, 4)])
@pytest.mark.parametrize("sample_rate", [8000, 16_000])
def test_a_tone_is_loudest_in_its_pitch_class(hertz: float, pitch_class: int, sample_rate: int) -> None:
    time = np.arange(sample_rate) / sample_rate
    frames = chroma_frames(np.sin(2 * np.pi * hertz * time).astype(np.float32), sample_rate=sample_rate, hop_length=160)
    assert frames.shape == (1 + sample_rate // 160, 12)
    assert set(frames[5:-5].argmax(1).tolist()) == {pitch_class}  # C is 0, A is 9
