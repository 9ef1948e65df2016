"""How far a run is, as its processes record it and `wordless runs` shows it."""

from pathlib import Path

import pytest

from pipelines.store.claims import PROGRESS
from pipelines.store.run_progress import RunProgress, read_forecast, roughly


@pytest.fixture
def progress(tmp_path: Path) -> RunProgress:
    run = RunProgress(tmp_path)
    run.begin({"sample": (1, 100.0), "lm": (1, 900.0), "probed": (2, 50.0)}, processes=1)
    return run


def test_what_is_reused_costs_nothing_and_what_is_measured_corrects_the_rest(
    progress: RunProgress, tmp_path: Path
) -> None:
    first = read_forecast(tmp_path)
    assert first is not None
    assert (first.share, first.seconds, first.stage) == (0.0, 1100.0, "lm")
    progress.reused("probed", "p1")
    assert read_forecast(tmp_path).seconds == 1050.0  # type: ignore[union-attr]
    progress.finish("sample", "s", 1000.0)  # ten times what was expected
    slow = read_forecast(tmp_path)
    assert slow is not None
    assert slow.seconds == pytest.approx(950 * (1000 + 60) / (100 + 60))
    progress.reused("sample", "s")  # by another seed: its measured cost stays
    assert read_forecast(tmp_path) == slow
    progress.advance("lm", "l", 0.5, 400.0)
    half = read_forecast(tmp_path)
    assert half is not None
    assert half.stage == "lm"
    assert half.stage_seconds == pytest.approx(400.0)  # by its own speed
    progress.finish("lm", "l", 800.0)
    progress.finish("probed", "p2", 10.0)
    done = read_forecast(tmp_path)
    assert done is not None
    assert (done.share, done.seconds) == (1.0, 0.0)
    progress.end()
    assert not [*tmp_path.iterdir()]


def test_a_minute_of_a_long_training_tells_its_speed(tmp_path: Path) -> None:
    run = RunProgress(tmp_path)
    run.begin({"lm": (1, 1000.0)}, processes=1)
    run.advance("lm", "l", 0.005, 20.0)  # the first steps are slow
    begun = read_forecast(tmp_path)
    assert begun is not None
    assert begun.seconds < 2000
    RunProgress(tmp_path).advance("lm", "l", 0.01, 100.0)  # at once, not as often as the first object writes
    slow = read_forecast(tmp_path)
    assert slow is not None
    assert slow.seconds == pytest.approx(9900.0)


def test_a_run_whose_stages_are_made_side_by_side_takes_as_long_as_the_longest(tmp_path: Path) -> None:
    run = RunProgress(tmp_path)
    run.begin({"lm": (1, 900.0), "vocoder": (1, 300.0)}, processes=2)
    found = read_forecast(tmp_path)
    assert found is not None
    assert found.seconds == 900.0


@pytest.mark.parametrize("content", ["", "{}", '{"expected": 3}', '{"expected": {}, "entries": {}}', "[1]"])
def test_a_damaged_record_stops_nothing(content: str, progress: RunProgress, tmp_path: Path) -> None:
    (tmp_path / PROGRESS).write_text(content)
    assert progress.finish("lm", "l", 1.0) == ""
    assert progress.advance("lm", "l", 0.5, 1.0) == ""
    assert read_forecast(tmp_path) is None


@pytest.mark.parametrize(
    ("seconds", "told"), [(3, "about 10 s"), (75, "about 80 s"), (600, "about 10 min"), (9000, "about 2.5 hours")]
)
def test_forecasts_are_as_precise_as_they_can_be(seconds: float, told: str) -> None:
    assert roughly(seconds) == told
