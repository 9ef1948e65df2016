"""Run folders: several commands at once never write into one folder, and refused commands leave none."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.commandline.claims import make_new
from tests.pipelines.tiny_chain import ROOT

CONFIG = """
defaults: [override hydra/job_logging: none, override hydra/hydra_logging: none, _self_]
wish: null
name: null
begin: go # a file: the task ends when the file exists
hydra:
  run: {dir: "runs/${now:%Y}"} # the same name for all
  sweep: {dir: "sweeps/${now:%Y}", subdir: "${hydra.job.num}"}
  callbacks:
    folder: {_target_: pipelines.commandline.folder_callback.ClaimedFolder}
"""
SCRIPT = """
import json, os, time
from pathlib import Path
from hydra.core.hydra_config import HydraConfig
from wordless.base.errors import InputError
from pipelines.commandline.claims import keep_claimed
from pipelines.commandline.command import command
from pipelines.chain.sweep import going_on

def task(config):
    folder = Path(HydraConfig.get().runtime.output_dir)
    with going_on():
        if config["wish"] == "refused":
            raise InputError("the wish is refused")
        if config["wish"] == "failed":
            keep_claimed()
            raise InputError("the training fails")
        (folder / f"begun_by_{os.getpid()}").touch()
        while not Path(config["begin"]).exists():
            time.sleep(0.01)
        (folder / "results.json").write_text(json.dumps({"wish": config["wish"], "figures": []}))

main = command("try", task, verbatim=frozenset({"begin", "name"}))
if __name__ == "__main__":
    main()
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A command of its own, quick, with the folders of ``wordless run``."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/__init__.py").touch()
    (tmp_path / "conf/try.yaml").write_text(CONFIG)
    (tmp_path / "try_it.py").write_text(SCRIPT)
    yield tmp_path
    (tmp_path / "go").touch()  # where a test failed, its commands still wait


def begin(project: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    places = os.pathsep.join([str(project), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "try_it.py", *words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": places, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int | None, str]:
    _, told = process.communicate(timeout=60)
    return process.returncode, told


def wishes(folder: Path) -> dict[str, str]:
    """Name of each folder -> the wish in its results."""
    return {path.parent.name: json.loads(path.read_text())["wish"] for path in folder.glob("*/results.json")}


def wait_for(folder: Path, pattern: str) -> None:
    until = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert time.monotonic() < until, f"{folder} holds no {pattern}"
        time.sleep(0.01)


def test_each_of_many_gets_a_new_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(make_new, [tmp_path / "runs" / "x"] * 64))
    assert sorted(path.name for path in made) == sorted(["x", *(f"x_{number}" for number in range(2, 65))])


def test_runs_and_sweeps_of_one_second_have_folders_of_their_own(project: Path) -> None:
    runs = [begin(project, f"wish={wish}", f"begin={project / 'go'}") for wish in "abc"]
    sweeps = [begin(project, "-m", f"wish={wish},{wish}{wish}", f"begin={project / 'go'}") for wish in "xy"]
    for folder, count in (("runs/*/begun_by_*", 3), ("sweeps/*/0/begun_by_*", 2)):
        for _ in range(count):
            wait_for(project, folder)
    (project / "go").touch()
    assert [ended(process)[0] for process in (*runs, *sweeps)] == [0] * 5
    year = time.strftime("%Y")
    made = wishes(project / "runs")
    assert sorted(made) == [year, f"{year}_2", f"{year}_3"]
    assert sorted(made.values()) == ["a", "b", "c"]
    assert all(len(list((project / "runs" / name).glob("begun_by_*"))) == 1 for name in made)
    swept = [tuple(wishes(project / "sweeps" / name).values()) for name in (year, f"{year}_2")]
    assert sorted(sorted(each) for each in swept) == [["x", "xx"], ["y", "yy"]]


@pytest.mark.parametrize(
    ("switches", "option", "results"), [((), "hydra.run.dir", "one"), (("-m",), "hydra.sweep.dir", "one/0")]
)
def test_a_named_folder_is_written_by_one_command_at_a_time(
    project: Path, switches: tuple[str, ...], option: str, results: str
) -> None:
    words = (*switches, f"{option}=one")
    first = begin(project, *words, "wish=a", f"begin={project / 'go'}")
    wait_for(project, f"{results}/begun_by_*")
    code, told = ended(begin(project, *words, "wish=b"))
    assert code == 2, told
    assert told.count("\n") == 1
    assert re.search(rf"{option}=one: .*\bwriting\b.*{option}=", told)
    (project / "go").touch()
    assert ended(first)[0] == 0
    assert json.loads((project / results / "results.json").read_text())["wish"] == "a"
    again = begin(project, *words, "wish=c", f"begin={project / 'go'}")  # the command of the first call goes on there
    assert ended(again)[0] == 0
    assert json.loads((project / results / "results.json").read_text())["wish"] == "c"
    assert not (project / "one_2").exists()


def test_a_killed_command_leaves_its_folder_free(project: Path) -> None:
    first = begin(project, "hydra.run.dir=one", "begin=never")
    wait_for(project, "one/begun_by_*")
    first.kill()
    ended(first)
    (project / "go").touch()
    assert ended(begin(project, "hydra.run.dir=one", f"begin={project / 'go'}"))[0] == 0


def test_other_ranks_write_into_no_run_folder(project: Path) -> None:
    (project / "go").touch()
    assert ended(begin(project, f"begin={project / 'go'}", RANK="1", WORLD_SIZE="2")) == (0, "")
    assert not (project / "runs").exists()


def test_a_refused_run_leaves_no_folder_and_one_that_fails_later_keeps_it(project: Path) -> None:
    """Entries of the store that only this run uses would else count as unused."""
    code, told = ended(begin(project, "wish=refused"))
    assert (code, told) == (2, "wordless try: the wish is refused\n")
    assert not (project / "runs").exists()
    code, told = ended(begin(project, "wish=failed"))
    assert (code, told) == (2, "wordless try: the training fails\n")
    assert len([*(project / "runs").iterdir()]) == 1


def test_a_name_is_a_folder_in_which_the_same_command_resumes(project: Path) -> None:
    (project / "go").touch()
    for words in (["name=1e5", "wish=a"], ["wish=a", "name=1e5"]):
        assert ended(begin(project, *words)) == (0, "")
    assert wishes(project / "runs") == {"1e5": "a"}
    code, told = ended(begin(project, "name=1e5", "wish=b"))
    assert (code, told.count("\n")) == (2, 1)
    assert "name=1e5: runs/1e5" in told
    assert "wish=b" in told
    assert "wish=a" in told
    assert wishes(project / "runs") == {"1e5": "a"}
    assert ended(begin(project, "-m", "name=both", "wish=x,y"))[0] == 0
    assert sorted(wishes(project / "sweeps/both").values()) == ["x", "y"]
    assert ended(begin(project, "name=1e5", "wish=c", RANK="1", WORLD_SIZE="2")) == (0, "")
    assert wishes(project / "runs") == {"1e5": "a"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["name=latest"], "name=latest "),
        (["name=a,b"], "name=a,b "),
        (["name=a", "hydra.run.dir=b"], "name=a and hydra.run.dir=b"),
    ],
)
def test_a_name_that_names_no_folder_of_a_run_is_refused(project: Path, words: list[str], told: str) -> None:
    (project / "go").touch()
    (project / "runs/mine").mkdir(parents=True)
    (project / "runs/mine/thesis.txt").touch()
    code, error = ended(begin(project, *words))
    assert (code, error.count("\n")) == (2, 1)
    assert told in error
    assert sorted(path.name for path in project.rglob("runs/*")) == ["mine"]
