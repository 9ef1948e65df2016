"""``log.txt``: what a run printed, and the error that ended it."""

from pathlib import Path

import pytest

from pipelines.commandline.overrides import remember
from pipelines.commandline.run_log import LOG, logged
from tests.pipelines.conftest import FinishedRun
from wordless.base.errors import InputError
from wordless.base.progress import Terminal


def failing(folder: Path, error: BaseException) -> None:
    with remember(["lm=tiny", "name=a b"]), logged(folder):
        Terminal(log=folder / LOG).say("computing lm")
        raise error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InputError("seed is -1; choose 0 or more"), "wordless run: seed is -1; choose 0 or more\n"),
        (KeyboardInterrupt(), "interrupted\n"),
        (ZeroDivisionError("x"), "ZeroDivisionError: x\n"),
    ],
    ids=str,
)
def test_the_log_ends_with_the_error(tmp_path: Path, error: BaseException, told: str) -> None:
    with pytest.raises(type(error)):
        failing(tmp_path, error)
    log = (tmp_path / LOG).read_text()
    assert log.splitlines()[0].endswith("  wordless run lm=tiny 'name=a b'")
    assert log.splitlines()[1] == "computing lm"
    assert log.endswith(told)
    with pytest.raises(InputError):
        failing(tmp_path, InputError("again"))
    assert (tmp_path / LOG).read_text().startswith(log)


def test_other_ranks_write_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(InputError):
        failing(tmp_path, InputError("x"))
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_written_ends_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(log=tmp_path / "none" / LOG).say("computing lm")
    assert capsys.readouterr().err == "computing lm\n"


def test_a_run_logs_what_it_printed(finished_run: FinishedRun) -> None:
    command, *lines = (finished_run.folder / LOG).read_text().splitlines()
    assert "wordless run experiment=smoke" in command
    printed = [line for line in finished_run.log.splitlines() if line.startswith(("computing", "corpus", "results"))]
    assert len(printed) > 5
    assert [line for line in lines if line in printed] == printed
    assert lines[-1] == finished_run.printed.strip()
