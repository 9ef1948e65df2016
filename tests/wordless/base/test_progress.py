"""What a command says while it works."""

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from wordless.base.progress import Progress, Terminal


def test_a_name_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().say("\x1b]0;title\x07\x1b[31mred\u202e\x9b31m.wav: set aside")
    told = capsys.readouterr().err
    assert told.rstrip("\n").isprintable()
    assert "red" in told


PRINTS_WHILE_IT_WORKS = """
from wordless.base.progress import Terminal
with Terminal().working("scoring", 1, "recordings") as progress:
    print("a line of output")
    progress.advance_to(1)
"""


def test_output_goes_to_its_file_while_a_terminal_shows_a_bar(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    try:
        with (tmp_path / "output").open("w") as output:
            command = [sys.executable, "-c", PRINTS_WHILE_IT_WORKS]
            environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(Path(__file__).parents[3])}
            subprocess.run(command, stdout=output, stderr=theirs, env=environment, check=True)
        assert b"scoring" in os.read(ours, 10_000)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (tmp_path / "output").read_text() == "a line of output\n"


def test_the_last_item_is_recorded_for_whoever_asks_for_no_more() -> None:
    shown: list[int] = []
    progress = Progress(lambda first, done, total: shown.append(done), print, 4)
    assert list(islice(progress.each(iter("abc"), done=1), 2)) == ["a", "b"]
    assert shown == [1, 2, 3]


def test_items_of_an_earlier_run_are_recorded_where_nothing_is_left() -> None:
    shown: list[int] = []
    assert not list(Progress(lambda first, done, total: shown.append(done), print, 4).each((), done=4))
    assert shown == [4]
