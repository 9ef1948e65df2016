"""The console script, and the methods that the guide explains."""

import sys
from pathlib import Path

import pytest

from pipelines import cli
from pipelines.commands import COMMANDS
from pipelines.methods.methods_table import METHODS
from tests.calling import Command, python


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["wordless"])
    cli.main()
    told = capsys.readouterr().out
    assert all(f"  {command} " in told for command in COMMANDS)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_a_training_begins_in_a_process_that_keeps_freed_memory() -> None:
    def told(command: str, **environment: str) -> str:
        code = (
            f"import os, sys; print(os.environ['GLIBC_TUNABLES']); sys.argv = ['wordless', '{command}', '--help'];"
            "from pipelines.cli import console; console()"
        )
        return python("-c", code, **environment).stdout

    assert told("run", GLIBC_TUNABLES="").splitlines()[:2] == ["", cli.MEMORY]
    assert cli.MEMORY not in told("encode", GLIBC_TUNABLES="")


@pytest.mark.parametrize(
    ("command", "missing"), [("run", "/none"), ("probe model=runs/a", "runs/a"), ("finetune output=b", "model is null")]
)
def test_what_is_missing_is_refused_in_one_line(
    command: str, missing: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The model comes first where a command has one."""
    monkeypatch.chdir(tmp_path)
    name, *words = command.split()
    code, _, told = Command(name, monkeypatch, capsys)(*words, "corpus.root=/none")
    assert (code, told.count("\n"), missing in told) == (2, 1, True)


def test_a_library_whose_import_fails_is_named_in_one_line() -> None:
    broken = "import sys; sys.modules['torch'] = None; sys.argv = ['wordless', 'encode']"
    done = python("-c", f"{broken}; from pipelines.cli import main; main()")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "wordless: the library torch " in done.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(("dekode", "decode"), ("enocde", "encode"), ("rum", "run")),
        *(("train", "run"), ("classify", "finetune"), ("list", "runs")),
    ],
)
def test_an_unknown_command_gets_the_nearest_name(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, told = Command(typed, monkeypatch, capsys)()
    assert (code, told.count("\n"), f" {meant}?" in told) == (2, 1, True)


def test_the_page_of_comparisons_explains_every_method() -> None:
    page = (Path(__file__).parents[2] / "docs/compare.md").read_text(encoding="utf-8")
    assert [name for name in METHODS if f"`{name}`" not in page] == []
