"""``wordless runs``: the table of the folders of a real run."""

import fcntl
import re
import shutil
from pathlib import Path

import pytest

from pipelines.pages.phrasing import full_name, percent
from pipelines.results.run_record import read_results
from pipelines.runs import KEY_COLUMNS
from tests.calling import Command
from tests.pipelines.conftest import FinishedRun


@pytest.fixture
def project(finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with the runs ``wake`` and ``again`` of the same options."""
    for name in ("wake", "again"):
        shutil.copytree(finished_run.folder, tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command("runs", monkeypatch, capsys)


def test_the_table_has_a_row_for_each_run(project: Path, call: Command) -> None:
    (project / "runs/notes").mkdir()
    (project / "runs/latest").symlink_to("wake")
    begun = project / "runs/begun/.hydra"
    begun.mkdir(parents=True)
    (begun / "overrides.yaml").write_text("[lm=tiny, seed=0, name=begun]")
    code, table, told = call()
    assert (code, told) == (0, "")
    head, *lines = table.splitlines()
    assert all(column in head for column in KEY_COLUMNS)
    rows = {line.split()[0]: line for line in lines}
    assert {*rows} == {"again", "begun", "wake"}
    found = read_results(project / "runs/wake")["comparison"]
    rival = max((row for row in found.tested.values() if row.of != "gpt"), key=lambda row: row.value)
    figures = [percent(found.value("gpt")), f"{percent(rival.value)} {full_name(rival.of or '')}"]
    assert re.split(r" {2,}", rows["wake"].strip())[-3:-1] == figures
    for name, parts in {
        "wake": ("built-in corpus (eSpeak NG)", "experiment=smoke embedded.voices=5"),
        "begun": ("(unfinished)", "lm=tiny"),
    }.items():
        assert all(part in rows[name] for part in parts), name
    assert "hydra.run.dir" not in rows["wake"]
    assert "seed=0" not in rows["begun"]  # the default


def test_a_damaged_run_is_named_behind_the_table(project: Path, call: Command) -> None:
    (project / "runs/again/results.json").write_text("{")
    code, table, told = call()
    assert (code, told.count("\n")) == (2, 1)
    assert "(damaged)" in table
    assert told.startswith("wordless runs: runs/again/results.json ")


def test_a_running_run_is_called_running(project: Path, call: Command) -> None:
    with (project / "runs/wake/.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, table, _ = call()
    assert code == 0
    assert {line.split()[0]: "(running)" in line for line in table.splitlines()[1:]} == {"wake": True, "again": False}


def test_a_folder_that_is_none_is_refused(project: Path, call: Command) -> None:
    code, _, told = call("root=nowhere")
    assert (code, told.count("\n"), "root" in told) == (2, 1, True)
