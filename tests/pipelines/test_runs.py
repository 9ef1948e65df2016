"""``wordless runs``: the table, the page, and what is deleted; with the folders and the store of a real run."""

import fcntl
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from pipelines.pages.phrasing import full_name, percent
from pipelines.pages.runs_table import KEY_COLUMNS, run_rows
from pipelines.results.run_record import read_results
from pipelines.store.store import TIMINGS
from tests.calling import Command
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import artifacts, stored


@pytest.fixture
def project(finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a store, and with the runs ``wake`` and ``again`` of the same options."""
    for name in ("wake", "again"):
        shutil.copytree(finished_run.folder, tmp_path / "runs" / name)
    shutil.copytree(finished_run.store, tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command("runs", monkeypatch, capsys)


def test_the_table_has_a_row_for_each_run_and_sweep(project: Path, call: Command) -> None:
    (project / "runs/notes").mkdir()
    (project / "runs/latest").symlink_to("wake")
    begun = project / "runs/begun/.hydra"
    begun.mkdir(parents=True)
    (begun / "overrides.yaml").write_text("[lm=tiny, seed=0, name=begun]")
    sweep = project / "multirun/sizes"
    (sweep / ".jobs").mkdir(parents=True)
    for number, state in enumerate(("finished", "failed", "finished")):
        (sweep / f".jobs/{number}.json").write_text(json.dumps({"number": number, "state": state}))
    (sweep / "multirun.yaml").write_text("hydra: {overrides: {task: ['lm.gpt.layers=1,2,4', seed=0]}}")
    code, table, told = call()
    assert (code, told) == (0, "")
    head, *lines, total = table.splitlines()
    assert all(column in head for column in KEY_COLUMNS)
    rows = {line.split()[0]: line for line in lines}
    assert {*rows} == {"again", "begun", "wake", "multirun/sizes"}
    found = read_results(project / "runs/wake")["comparison"]
    rival = max((row for row in found.tested.values() if row.of != "gpt"), key=lambda row: row.value)
    figures = [percent(found.value("gpt")), f"{percent(rival.value)} {full_name(rival.of or '')}"]
    assert re.split(r" {2,}", rows["wake"].strip())[-4:-2] == figures
    for name, parts in {
        "wake": ("built-in corpus (eSpeak NG)", "experiment=smoke embedded.voices=5"),
        "begun": ("(unfinished)", "lm=tiny"),
        "multirun/sizes": ("a sweep: 2 of 3 jobs", "(unfinished)", "lm.gpt.layers=1,2,4"),
    }.items():
        assert all(part in rows[name] for part in parts), name
    assert "hydra.run.dir" not in rows["wake"]
    assert "seed=0" not in rows["begun"]  # the default
    assert total.startswith("3 runs, 1 sweep, ")


def test_a_damaged_run_is_named_behind_the_table(project: Path, call: Command) -> None:
    (project / "runs/again/results.json").write_text("{")
    code, table, told = call()
    assert (code, told.count("\n")) == (2, 1)
    assert "(damaged)" in table
    assert told.startswith("wordless runs: runs/again/results.json ")


def test_a_running_run_is_called_running_and_stays(project: Path, call: Command) -> None:
    with (project / "runs/wake/.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        states = {row.folder.name: row.state for row in run_rows(project / "runs")}
        assert states == {"wake": "running", "again": "finished"}
        code, _, told = call("--delete", "wake", "--yes")
    assert code == 2
    assert re.search(r"runs/wake\b.*\bwriting\b", told)
    assert (project / "runs/wake/results.json").is_file()


def test_a_run_is_deleted_after_a_question(project: Path, call: Command) -> None:
    (project / "runs/latest").symlink_to("wake")
    for answer in ("", "n\n", "wake\n"):
        code, _, told = call("--delete", "wake", answer=answer)
        assert code == 2
        assert re.search(r"delete runs/wake, [\d.]+ MB\? \[y/N\] wordless runs: ", told)
    assert (project / "runs/wake/results.json").is_file()
    assert call("--delete", "wake", answer="y\n")[0] == 0
    assert [path.name for path in (project / "runs").iterdir()] == ["again"]


@pytest.mark.parametrize("name", ["../store", "a/b", "", ".", "..", "latest", "none", "notes"])
def test_what_is_no_run_is_not_deleted(project: Path, call: Command, name: str) -> None:
    (project / "runs/notes").mkdir()
    (project / "runs/latest").symlink_to("wake")
    before = sorted(project.rglob("*"))
    code, _, told = call(f"--delete={name}", "--yes")
    assert (code, told.count("\n")) == (2, 1)
    assert sorted(project.rglob("*")) == before


def test_only_entries_that_nobody_used_for_so_long_are_pruned(project: Path, call: Command) -> None:
    before = stored(project / "store")
    code, told, _ = call("--prune", "3", "--yes")
    assert (code, stored(project / "store")) == (0, before)
    assert f"0 of {len(list(artifacts(project / 'store')))} artifacts" in told
    kept, *old = artifacts(project / "store")
    for artifact in old:
        os.utime(artifact / TIMINGS, times=(0, 0))
    code, _, asked = call("--prune=3", answer="n\n")
    assert (code, stored(project / "store")) == (2, before)
    assert re.search(r"MB\b.*\bstore\b.*\[y/N\]", asked)
    assert call("--prune", "3", "--yes")[0] == 0
    assert list(artifacts(project / "store")) == [kept]
    assert list((project / "store/embedded").rglob("*.wav"))  # the corpus is no artifact
