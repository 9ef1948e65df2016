"""What a command says while it works."""

import pytest

from foundation.progress import Terminal


def test_a_name_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().say("\x1b]0;title\x07\x1b[31mred\u202e\x9b31m.wav: set aside")
    told = capsys.readouterr().err
    assert told.rstrip("\n").isprintable()
    assert "red" in told
