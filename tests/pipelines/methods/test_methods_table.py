"""The table of methods, features that the user brings, MFCC and chroma, and pictures of a learned front end."""

import shutil
from itertools import combinations
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

from pipelines.backbones.audio_transformer_backbone import band_shares, decibels_of, passages, sorted_filters
from pipelines.chain.method_vectors import VECTORS_OF_METHODS
from pipelines.jobs.run_rules import run_settings
from pipelines.methods.methods_table import METHODS, ROWS, row_of, shown_in
from pipelines.pages.phrasing import full_name
from pipelines.pages.report import line_look
from pipelines.results.run_record import read_results
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.features import COEFFICIENTS, chroma_frames, mfcc_frames
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny import sweep
from tests.pipelines.tiny_chain import artifacts, called_at_once, composed, refusal
from wordless.base.messages import InputError

RATES = ("tokenizer.rates=[16,8,4,2]", "lm.gpt.layers=4")


@pytest.mark.parametrize("rates", [(), RATES], ids=["one rate", "several rates"])
def test_each_method_is_an_option_and_has_features(rates: tuple[str, ...], tmp_path: Path) -> None:
    methods = tuple(method for method in METHODS.values() if bool(method.rate) == bool(rates))
    names = ",".join(method.name for method in methods)
    settings = run_settings(composed(tmp_path, f"compare.methods=[{names}]", *rates))
    assert {*settings.compare.all_methods} == {*methods}
    for method in methods:
        assert method.features in VECTORS_OF_METHODS
        if method.training:
            assert attrgetter(method.training)(settings).batches.batch_size > 0


def test_methods_side_by_side_are_named_by_a_plus_and_need_what_each_needs(tmp_path: Path) -> None:
    def settings(*methods: str, **words: str) -> RunSettings:
        stages = ("stages=[probe,report]", f"compare.methods=[{','.join(methods)}]")
        return run_settings(composed(tmp_path, *stages, *(f"{name}={value}" for name, value in words.items())))

    names = ("gpt+simclr", "random_gpt+random_conv", "bag_of_codes+log_mel")
    found = settings(*names)
    assert [row.name for row in found.compare.all_methods] == [*names]
    assert {one.name for one in found.probed_methods} == {part for name in names for part in name.split("+")}
    assert found.trains_lm
    assert not settings("simclr+log_mel").trains_lm
    both = row_of("gpt+simclr")
    assert (both.title, both.untrained, both.head) == ("GPT over codes + SimCLR", "random_gpt+random_conv", None)
    assert full_name("gpt+simclr") == "GPT over codes + SimCLR"
    assert full_name("gpt+simclr/all_parts") == "GPT over codes + SimCLR, all parts"
    assert row_of("gpt+supervised").learns_labels
    assert row_of("random_gpt+random_conv").kind == "untrained"
    for wrong in ("gpt+", "+gpt", "gpt+simclt", "gpt+gpt_of"):
        with pytest.raises(InputError, match=r"compare\.methods"):
            settings(wrong)


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


def test_the_shortest_recording_is_that_of_the_options_unless_a_method_needs_more(tmp_path: Path) -> None:
    def shortest(method: str, *words: str) -> float:
        named = (f"compare.methods=[{method}]", "stages=[probe]", f"{method}=tiny", *words)
        return run_settings(composed(tmp_path, *named)).readable_corpus.inspection.min_seconds

    assert shortest("audio_transformer") == 0.05
    assert shortest("audio_transformer", "corpus.inspection.min_seconds=0.01") == 0.025  # a patch
    assert shortest("wav2vec2", "corpus.inspection.min_seconds=0.01", "audio.sample_rate=4000") == 105 / 4000


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
    assert (found.layer_regularisation_strengths, found.regularisation_strengths) == (2, 3)
    assert list(found.layers("mine")) == ["layer_1", "layer_2"]
    assert (found.tested["mine"].candidate, found.value("mine")) == ("mine/layer_2:given", 1.0)
    assert {*found.methods} == {"mine", "bag_of_codes"}
    assert row_of("mine").kind == "own"
    assert "own features" in (tmp_path / "run/report.html").read_text()


def test_missing_clips_are_refused_before_anything_is_trained(finished_run: FinishedRun, tmp_path: Path) -> None:
    file = brought(finished_run, tmp_path / "mine.npz", drop=2)
    words = (f"store.root={tmp_path / 'store'}", f"compare.features={{mine: {file}}}")
    assert "mine.npz" in refusal(called_at_once(tmp_path, *finished_run.words, *WORDS, *words))
    assert not list(artifacts(tmp_path / "store"))


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


RATE, SAMPLES = 8000, 200


def sine(hertz: float) -> np.ndarray:
    wave: np.ndarray = np.hanning(SAMPLES) * np.sin(2 * np.pi * hertz * np.arange(SAMPLES) / RATE)
    return wave


def test_filters_are_sorted_by_the_frequency_of_their_largest_energy() -> None:
    filters, energies = sorted_filters(np.stack([sine(2000), sine(400), sine(3200)]))
    assert (energies.argmax(1) * RATE / SAMPLES).tolist() == [400, 2000, 3200]
    assert np.array_equal(filters[1], sine(2000))
    assert decibels_of(energies).max(1).tolist() == [0, 0, 0]
    assert np.isfinite(decibels_of(np.zeros((2, 101)))).all()
    assert band_shares(np.zeros((2, 101))).tolist() == passages(np.zeros((2, SAMPLES)))[0].tolist() == [0, 0]


def test_a_windowed_sine_has_a_narrow_band_and_a_burst_a_short_passage() -> None:
    burst = np.zeros(SAMPLES)
    burst[60:70] = [1, -1] * 5
    noise = np.random.default_rng(0).normal(size=SAMPLES)
    of_sine, of_noise = (float(band_shares(sorted_filters(each[None])[1])[0]) for each in (sine(400), noise))
    assert of_sine > 0.99 > 0.3 > of_noise
    shares, starts = passages(np.stack([sine(400), burst, noise]))
    assert shares.argmax() == 1
    assert abs(shares[1] - 1) < 1e-6
    assert shares[2] < 0.3
    assert 45 <= starts[1] <= 60  # the passage of 25 samples holds the whole burst
