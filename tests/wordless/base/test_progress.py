"""The lines of long work where there is no terminal: how long the rest takes, and that they stay few."""

import re
import time
from pathlib import Path

import pytest

from wordless.base.progress import Progress, Terminal


class Clock:
    """A clock that the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def terminal(folder: Path) -> Terminal:
    quiet = Terminal(log=folder / "log.txt")
    quiet.console.quiet = True
    return quiet


def lines(folder: Path) -> list[str]:
    return (folder / "log.txt").read_text().splitlines() if (folder / "log.txt").exists() else []


def seconds_left(line: str) -> float:
    found = re.search(r", (\d+) s left", line)
    assert found, line
    return float(found[1])


def test_neither_the_first_item_nor_a_pause_decides_how_long_the_rest_takes(clock: Clock, tmp_path: Path) -> None:
    progress = Progress(terminal(tmp_path), "encoding", 1000, "clips")
    clock.now += 60  # processes start
    progress.advance_to(1)
    assert "left" not in lines(tmp_path)[-1]
    for done in range(2, 100):
        clock.now += 1
        progress.advance_to(done)
    assert seconds_left(lines(tmp_path)[-1]) == pytest.approx(900, rel=0.1)
    clock.now += 3 * 3600  # the machine sleeps
    progress.advance_to(100)
    assert seconds_left(lines(tmp_path)[-1]) == pytest.approx(900, rel=0.05)
    assert lines(tmp_path)[-1].startswith("  encoding: 100/1000")


def test_a_resumed_training_counts_its_own_steps_alone(clock: Clock, tmp_path: Path) -> None:
    progress = Progress(terminal(tmp_path), "training", 1000, "steps")
    progress.resume_at(500)
    for done in range(501, 541):
        clock.now += 2
        progress.advance_to(done)
    assert all(seconds_left(line) == pytest.approx(2 * 480, rel=0.1) for line in lines(tmp_path))


def test_the_lines_of_many_hours_fit_a_screen(clock: Clock, tmp_path: Path) -> None:
    progress = Progress(terminal(tmp_path), "training", 20_000, "steps")
    for done in range(1, 20_001):
        clock.now += 0.6
        if done % 100 == 0:
            progress.note(f"step {done}: validation 1.0")
        progress.advance_to(done)
    assert 10 < len(lines(tmp_path)) < 60
    assert "step 20000" not in lines(tmp_path)[-2]
    assert lines(tmp_path)[-1] == "  training: 20000/20000 steps in 12000 s"
