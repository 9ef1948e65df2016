"""The Audio Transformer as a method: its variants, what it cannot read, its pictures, kills and several processes."""

import json
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.methods.front_end_pictures import FilterBank, fourier_centres, mel_centres, untrained_filters
from pipelines.methods.networks import AUDIO_TRANSFORMER
from pipelines.pages.comparison_charts import method_pictures
from pipelines.results.run_record import read_results
from pipelines.settings.run import run_settings
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import OWN, TINY, Kill, called_at_once, composed, run, stored
from wordless.base.errors import InputError

SMALL = (
    *("stages=[probe]", "audio_transformer=tiny", "audio_transformer.fit.steps=6"),
    *("audio_transformer.fit.validate_every=1", "audio_transformer.fit.warmup_steps=2"),
    *("audio_transformer.batches.batch_size=4", "compare.hearings=2"),
)
NAMES = ("audio_transformer", "audio_transformer_wavelet", "audio_transformer_plain")
COMPARED = (
    *(f"compare.methods=[{','.join(NAMES)},mfcc]", "probe.classifier=ridge", "compare.hearings=1"),
    "compare.references=[audio_transformer_wavelet_head,audio_transformer_plain_head]",
)
ONE = "compare.methods=[audio_transformer]"


@pytest.fixture(scope="module")
def store(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the corpus and the tokenizer of a run, for these tests alone."""
    return Path(shutil.copytree(finished_run.store, tmp_path_factory.mktemp("waveforms") / "store"))


def of_stage(store: Path, stage: str) -> dict[str, str]:
    return {path: digest for path, digest in stored(store).items() if path.startswith(f"{stage}/")}


@pytest.mark.slow
def test_variants_are_compared_side_by_side(store: Path, tmp_path: Path) -> None:
    done = called_at_once(tmp_path, *TINY, *SMALL, *COMPARED, f"store.root={store}", "stages=[probe,report]")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run/results.json").read_text())
    found = read_results(tmp_path / "run")["comparison"]
    assert {*found.methods} == {"mfcc", *NAMES, *(f"{name}_head" for name in NAMES)}
    differences = {(row.of, row.against) for row in found.figures.where(name="difference")}
    assert ("audio_transformer_wavelet_head", "audio_transformer_plain_head") in differences
    assert ("audio_transformer_plain_head", "mfcc") in differences
    assert len(differences) == 2 * 6
    sizes = results["provenance"]["parameters"]
    assert len({sizes[name] for name in NAMES}) == 1
    # the method of the option is the wavelet: both share the training, and give the same answers
    keys = {row["stage"]: row["key"] for row in results["stages"]}
    assert keys["audio_transformer"] == keys["audio_transformer_wavelet"] != keys["audio_transformer_plain"]
    assert len(found.pictures) == 2 * len(NAMES)
    assert len(list(method_pictures(found))) == 2 * len(NAMES)
    page = (tmp_path / "run/report.html").read_text()
    assert page.count("sorted by centre frequency") == len(NAMES)
    assert "Audio Transformer, wavelet, own head against" in page


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bytes(store: Path, tmp_path: Path) -> None:
    words = (*SMALL, ONE, "audio_transformer.fit.checkpoint_minutes=0")
    assert run(store, tmp_path / "whole", *words) == 0
    killed = tmp_path / "store"
    shutil.copytree(store, killed, ignore=shutil.ignore_patterns("audio_transformer*", "waveforms", "probe*"))
    for kill in (
        Kill(path="waveforms/*.partial/offsets.npy"),
        Kill(path="audio_transformer/*.checkpoints/fit.safetensors", count=3),
        Kill(path="audio_transformer/*.partial/config.json"),
        Kill(path="audio_transformer_features/*.partial/scores.safetensors"),
    ):
        assert run(killed, tmp_path / "killed", *words, kill=kill) == -signal.SIGKILL, kill
    assert run(killed, tmp_path / "last", *words) == 0
    for stage in ("waveforms", "audio_transformer", "audio_transformer_features"):
        wanted = of_stage(store, stage)
        found = of_stage(killed, stage)
        assert found
        assert found.items() <= wanted.items()


def test_recordings_that_are_shorter_than_a_patch_are_set_aside_and_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("low", "high"):
        (tmp_path / "words" / label).mkdir(parents=True)
        for number in range(8):
            samples = rng.normal(0, 0.1, 240 if number == 7 else 1600 + number)
            soundfile.write(tmp_path / f"words/{label}/{number}.wav", samples, 8000)
    words = (
        f"corpus.root={tmp_path / 'words'}",
        "corpus.split.validation_fraction=0.3",
        "corpus.split.test_fraction=0.3",
    )
    words = (*words, "corpus.inspection.min_seconds=0.01", "audio_transformer.model.patch_ms=40", ONE)
    done = called_at_once(tmp_path, *OWN, *SMALL, "stages=[probe]", f"store.root={tmp_path / 'store'}", *words)
    assert done.returncode == 0, done.stderr
    rejected = (tmp_path / "run/rejected.tsv").read_text()
    assert len(re.findall(r"short.*\b0\.030 s\b.*\b0\.04 s\b", rejected)) == 2
    assert sum(json.loads((tmp_path / "run/results.json").read_text())["corpus"]["clips"].values()) == 14


def test_the_shortest_recording_is_that_of_the_options_unless_a_method_needs_more(tmp_path: Path) -> None:
    plain = run_settings(composed(tmp_path, *SMALL, ONE))
    assert plain.corpus.inspection.min_seconds == 0.05
    assert AUDIO_TRANSFORMER.shortest(plain) == 0.025
    long = ("audio_transformer=tiny", "audio_transformer.model.patch_ms=80", "stages=[probe]")
    assert run_settings(composed(tmp_path, *long, ONE)).corpus.inspection.min_seconds == 0.08
    assert run_settings(composed(tmp_path, *long, "compare.methods=[mfcc]")).corpus.inspection.min_seconds == 0.05


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("audio_transformer.model.variant=waves",), r"audio_transformer\.model\.variant is waves\b"),
        (("audio_transformer.model.heads=5",), r"audio_transformer\.model\.width\b.*\b16\b.*\b10\b"),
        (("audio_transformer.batches.batch_size=5", "audio_transformer.fit.accumulation=2"), r"batches\.batch_size\b"),
        (("compare.references=[gpt]",), r"^compare\.references\[0\] is gpt\b.*\baudio_transformer\b"),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_line(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        run_settings(composed(tmp_path, *SMALL, ONE, *words))


RATE, SAMPLES = 8000, 200
TIME = np.arange(SAMPLES) / RATE


def sine(hertz: float) -> np.ndarray:
    wave: np.ndarray = np.hanning(SAMPLES) * np.sin(2 * np.pi * hertz * TIME)
    return wave


def burst(start: int) -> np.ndarray:
    wave = np.zeros(SAMPLES)
    wave[start : start + 10] = [1, -1] * 5
    return wave


def test_filters_are_sorted_by_the_frequency_of_their_largest_energy() -> None:
    bank = FilterBank.of(np.stack([sine(2000), sine(400), sine(3200)]), RATE)
    assert bank.centres.tolist() == [400, 2000, 3200]
    np.testing.assert_allclose(bank.filters[0], sine(400))
    assert bank.decibels.max(1).tolist() == [0, 0, 0]
    assert bank.decibels[0].argmax() * 40 == 400
    bank = FilterBank.of(np.zeros((2, SAMPLES)), RATE)
    assert bank.band_shares.tolist() == bank.passages[0].tolist() == [0, 0]
    assert np.isfinite(bank.decibels).all()


def test_a_windowed_sine_has_a_narrow_band_and_a_burst_a_short_passage() -> None:
    bank = FilterBank.of(np.stack([sine(400), burst(60), np.random.default_rng(0).normal(size=SAMPLES)]), RATE)
    names = [["sine", "burst", "noise"][{400.0: 0, 4000.0: 1}.get(centre, 2)] for centre in bank.centres.tolist()]
    bands = dict(zip(names, bank.band_shares.tolist(), strict=True))
    passages = dict(zip(names, bank.passages[0].tolist(), strict=True))
    assert bands["sine"] > 0.99 > 0.3 > bands["noise"]
    assert passages["burst"] == pytest.approx(1)
    assert passages["noise"] < 0.3
    (place,) = bank.onsets(1)
    assert names[place] == "burst"
    assert 45 <= bank.passages[1][place] <= 60  # the passage of 25 samples holds the whole burst


def test_the_best_sine_of_each_range_is_chosen() -> None:
    rng = np.random.default_rng(1)
    spoilt = [sine(hertz) + 0.3 * rng.normal(size=SAMPLES) for hertz in range(400, 3600, 400)]
    bank = FilterBank.of(np.stack([*spoilt, sine(800), sine(3000)]), RATE)
    assert [bank.centres[place] for place in bank.sines(2)] == [800, 3000]
    assert bank.sines(100) == list(range(10))


def test_curves_go_from_zero_to_half_the_rate_and_noise_lies_on_fouriers() -> None:
    straight, mel = fourier_centres(100, RATE), mel_centres(100, RATE)
    for curve in (straight, mel):
        assert (curve[0], curve[-1]) == pytest.approx((0, 4000))
        assert (np.diff(curve) > 0).all()
    assert (mel[1:-1] < straight[1:-1]).all()
    assert mel_centres(3, 2 * 1000)[1] == pytest.approx(390, abs=1)  # 500 mel
    bank = untrained_filters(2048, SAMPLES, RATE)
    straight, mel = (curve(2048, RATE) for curve in (fourier_centres, mel_centres))
    assert bank.distance(straight) < 100 < 500 < bank.distance(mel)
