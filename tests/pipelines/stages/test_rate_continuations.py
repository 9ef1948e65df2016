"""The stage ``rates``: figures of continuations by both models, and the windows that are labelled."""

import math
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipelines.jobs.run_rules import run_settings
from pipelines.plugins.rates import RatesConfig
from pipelines.plugins.rates.continuations import diversities, long_clips, stabilities, window_levels, windows_of
from pipelines.results.run_record import read_results, where
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import composed, run, stored
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.audio.waveform import Waveform
from wordless.base.messages import InputError

WORDS = (
    *("tokenizer.rates=[8,2]", "stages=[rates,probe,report]", "probe.learning_curve=[]"),
    "compare.methods=[log_mel,bag_of_rate_1,gpt_of_rate_2]",
    *("rates.clips=2", "rates.seconds=0.5", "rates.window_seconds=0.1", "rates.prompt_seconds=0.2"),
)


@pytest.mark.slow
def test_figures_of_all_rates_stand_beside_the_flat_gpt(finished_run: FinishedRun, tmp_path: Path) -> None:
    store = shutil.copytree(finished_run.store, tmp_path / "store")
    before = stored(store)
    assert run(store, tmp_path / "run", *WORDS) == 0
    assert {path: digest for path, digest in stored(store).items() if path in before} == before
    results = read_results(tmp_path / "run")
    record, figures = results["rates"], results["figures"]

    def values(name: str) -> dict[str | None, float]:
        return {row.of: row.value for row in where(figures, stage="rates", name=name)}

    assert record["frames"] == [8, 2]
    assert list(values("codes_per_second")) == ["rate_1", "rate_2", "flat"]
    assert values("codes_per_second")["flat"] == 4 * values("codes_per_second")["rate_1"]
    sizes = values("parameters")
    assert sizes["rate_1"] + sizes["rate_2"] == pytest.approx(sizes["flat"], rel=0.15)
    assert {*values("training_steps").values()} == {8}
    assert {*values("distinct_1")} == {"rates", "flat", "recordings"}
    names = {row.name.removesuffix("_difference") for row in figures if row.against}
    assert {"label_kept", "label_lasting"} <= names <= {"label_kept", "label_lasting", "label_stability"}
    assert record["over"] == "clips"  # of two clips


@pytest.mark.parametrize(
    ("labels", "sounding", "of_all"),
    [
        (["a", "a", "b"], 0.5, 0.5),
        (["a", None, "a"], None, 0.0),
        (["a", "a", None, "b", "b"], 1.0, 0.5),
        ([None, None], None, 0.0),
        (["a"], None, None),
        ([], None, None),
    ],
)
def test_silence_is_no_label_that_is_kept(
    labels: list[str | None], sounding: float | None, of_all: float | None
) -> None:
    assert stabilities(labels) == {"label_stability": sounding, "label_lasting": of_all}


def test_clips_shorter_than_a_coarse_code_are_not_continued(tmp_path: Path) -> None:
    clips = [
        Clip(path=f"{length}.wav", split="test", sha256="", size=1, sample_rate=4000, num_samples=length)
        for length in (319, 320, 2000)
    ]
    manifest = Clips.from_rows(tmp_path, clips)
    assert [clip.num_samples for clip in long_clips(manifest, shortest=0.08)] == [320, 2000]
    with pytest.raises(InputError, match=r"no test clip\b.*\b0\.6 s\b"):
        long_clips(manifest, shortest=0.6)


@pytest.mark.parametrize("seconds", [0.1, 0.3])
def test_windows_cover_a_sound_and_end_within_it(seconds: float, tmp_path: Path) -> None:
    words = ("rates.seconds=1.5", f"rates.window_seconds={seconds}")
    own, count = run_settings(composed(tmp_path, *WORDS, *words)).of(RatesConfig), round(1.5 / seconds)
    for rate in (8_000, 11_025, 44_100):
        bounds = own.window_bounds(own.windows, rate)
        assert len(bounds) == count + 1
        assert round(1.5 * rate) - 1 <= bounds[-1] <= round(1.5 * rate)
        lengths = {end - start for start, end in pairwise(bounds)}
        assert lengths <= {math.floor(seconds * rate), math.ceil(seconds * rate)}
    samples = np.append(np.zeros(16_537, np.float32), np.float32(1))  # 1.5 s at 11,025 Hz; the last sample is loud
    Waveform(samples=samples, sample_rate=11_025).write(tmp_path / "a.wav")
    new = windows_of(tmp_path, {"file": "a.wav", "levels": [0.0] * count}, own)
    assert new[-1].start + new[-1].num_samples == 16_537
    assert all(one.start + one.num_samples == other.start for one, other in pairwise(new))
    assert window_levels(Waveform(samples=samples, sample_rate=11_025), own, count)[-1] == pytest.approx(-100)


def codes(*values: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.array(values, np.int32)[:, None]


def test_diversity_is_counted_over_as_many_codes_and_pairs_as_recordings_have() -> None:
    """The model has three times as many codes; without a cut its share would be a third."""
    once = codes(*range(100))
    for row in diversities({"recordings": [once], "flat": [once, once, once]}, seed=0):
        assert (row["steps"], row["distinct_1"], row["distinct_3"]) == (100, 1.0, 1.0)
    short = [codes(0, 1), codes(0, 1), codes(2, 3), codes(2, 3)]
    rows = {row["of"]: row for row in diversities({"recordings": short, "rates": [codes(*range(8))]}, seed=0)}
    assert {of: row["distinct_2"] for of, row in rows.items()} == {"recordings": pytest.approx(2 / 4), "rates": 1.0}
    assert {row["distinct_3"] for row in rows.values()} == {None}  # no recording has three codes
