"""``wordless runs``: the table, the page, and what is deleted; with the folders and the store of a real run."""

import fcntl
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from pipelines.pages.phrasing import full_name, percent
from pipelines.pages.runs import KEY_COLUMNS, run_rows
from pipelines.results.run_record import read_results
from pipelines.store.store import TIMINGS
from tests.calling import Command
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import entries, stored


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


def test_the_table_has_a_row_for_each_run(project: Path, call: Command) -> None:
    (project / "runs/notes").mkdir()
    (project / "runs/latest").symlink_to("wake")
    begun = project / "runs/begun/.hydra"
    begun.mkdir(parents=True)
    (begun / "overrides.yaml").write_text("[lm=tiny, seed=0, name=begun]")
    code, table, told = call()
    assert (code, told) == (0, "")
    head, *rows, total, page = table.splitlines()
    assert re.split(r" {2,}", head.strip())[:4] == ["run", "date (UTC)", "corpus", "options"]
    assert all(column in head for column in KEY_COLUMNS)
    assert sorted(row.split()[0] for row in rows) == ["again", "begun", "wake"]
    (wake,) = [row for row in rows if row.startswith("wake")]
    assert "built-in corpus (eSpeak NG)" in wake
    assert "experiment=smoke embedded.voices=5" in wake
    assert "hydra.run.dir" not in wake
    found = read_results(project / "runs/wake")["comparison"]
    rival = max((row for row in found.tested.values() if row.of != "gpt"), key=lambda row: row.value)
    told = [percent(found.value("gpt")), f"{percent(rival.value)} {full_name(rival.of or '')}"]
    assert re.split(r" {2,}", wake.strip())[-4:-2] == told
    (unfinished,) = [row for row in rows if row.startswith("begun")]
    assert "(unfinished)" in unfinished
    assert "lm=tiny" in unfinished
    assert "seed=0" not in unfinished  # the default
    assert total.startswith("3 runs, ")
    assert page == "runs/index.html"


def test_sweeps_are_listed_with_the_runs(project: Path, call: Command) -> None:
    sweep = project / "multirun/sizes"
    (sweep / ".jobs").mkdir(parents=True)
    for number, state in enumerate(("finished", "failed", "finished")):
        (sweep / f".jobs/{number}.json").write_text(json.dumps({"number": number, "state": state}))
    (sweep / "multirun.yaml").write_text("hydra: {overrides: {task: ['lm.gpt.layers=1,2,4', seed=0]}}")
    (sweep / "sweep.html").touch()
    _, table, _ = call()
    (row,) = [line for line in table.splitlines() if line.startswith("multirun/sizes ")]
    assert all(told in row for told in ("a sweep: 2 of 3 jobs", "(unfinished)", "lm.gpt.layers=1,2,4"))
    assert "2 runs, 1 sweep, " in table
    assert 'href="../multirun/sizes/sweep.html"' in (project / "runs/index.html").read_text()


def test_a_damaged_run_is_named_behind_the_table(project: Path, call: Command) -> None:
    (project / "runs/again/results.json").write_text("{")
    code, table, told = call()
    assert code == 2
    assert "(damaged)" in table
    assert "wake" in table
    assert (told.startswith("wordless runs: runs/again/results.json "), told.count("\n")) == (True, 1)


def test_a_running_run_is_called_running_and_stays(project: Path, call: Command) -> None:
    with (project / "runs/wake/.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert {row.folder.name: row.state for row in run_rows(project / "runs")} == {
            "wake": "running",
            "again": "finished",
        }
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
    assert sorted(path.name for path in (project / "runs").iterdir()) == ["again", "index.html"]
    assert "wake" not in (project / "runs/index.html").read_text()


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
    assert f"0 of {len(list(entries(project / 'store')))} entries" in told
    kept, *old = entries(project / "store")
    for entry in old:
        os.utime(entry / TIMINGS, times=(0, 0))
    code, _, asked = call("--prune=3", answer="n\n")
    assert (code, stored(project / "store")) == (2, before)
    assert re.search(r"MB\b.*\bstore\b.*\[y/N\]", asked)
    assert call("--prune", "3", "--yes")[0] == 0
    assert list(entries(project / "store")) == [kept]
    assert list((project / "store/embedded").rglob("*.wav"))  # the corpus is no entry
