"""The console script: commands, help, nearest names."""

import os
import signal
import subprocess
import sys

import pytest

from pipelines import cli
from tests.calling import python


def called(*words: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "pipelines.cli", *words)


def test_overview_names_every_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["wordless"])
    cli.main()
    told = capsys.readouterr().out
    assert all(f"  {command} " in told for command in cli.COMMANDS)
    assert "wordless run -m tokenizer.codebook_size=" in told


def test_the_overview_leaves_the_handling_of_broken_pipes_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the default of SIGPIPE a process dies without a word when a worker of its pool was killed."""
    before = signal.getsignal(signal.SIGPIPE)
    monkeypatch.setattr(sys, "argv", ["wordless"])
    cli.main()
    assert signal.getsignal(signal.SIGPIPE) == before


def test_the_overview_ends_quietly_where_its_reader_left() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["-h"], ["help"]])
def test_help_exits_with_0(words: list[str]) -> None:
    assert called(*words).returncode == 0


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pipelines.cli import main; sys.argv[1:] = ['--help']; main();"
        "heavy = {'torch', 'numpy', 'hydra', 'rich'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


@pytest.mark.parametrize(("typed", "meant"), [("dokter", "doctor"), ("enocde", "encode"), ("rum", "run")])
def test_unknown_command_gets_the_nearest_name(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["wordless", typed])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    told = capsys.readouterr().err
    assert stopped.value.code == 2
    assert told.count("\n") == 1
    assert f" {meant}?" in told


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["encode"], ["what=encode"]),
        (["encode", "seconds=3"], ["what=encode", "seconds=3"]),
        (["what=encode"], ["what=encode"]),
        (["--help"], ["--help"]),
        ([], []),
    ],
)
def test_the_first_bare_word_after_bench_names_the_benchmark(words: list[str], expected: list[str]) -> None:
    assert cli.name_benchmark(words) == expected
