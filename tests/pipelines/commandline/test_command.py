"""The wrapper around Hydra, by running real commands in a fresh process."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.calling import python


def called(project: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python try_it.py`` with the repository on the path after the small project."""
    return python("try_it.py", *words, cwd=project, before=project, **environment)


def configs(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    """What the task was given, once for each job."""
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a refused command prints."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(("wordless try: ", "wordless run: "))
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_the_task_gets_the_plain_config(project: Path) -> None:
    (config,) = configs(called(project, "seed=3", "corpus=folder"))
    assert config == {
        **{"wish": None, "name": None, "begin": None, "seed": 3},
        "corpus": {"root": "nowhere", "pattern": None},
        "store": {"root": "store"},
        "tokenizer": {"codebook_size": 64, "kind": "mean"},
    }


def test_awkward_paths_need_no_quotes(project: Path) -> None:
    awkward = '/data/my (old) sounds, a=b/[it\'s]/100% $x \\ "y"/é'
    run = project / "a (run), b=c"
    (config,) = configs(called(project, f"corpus.root={awkward}", "store.root=~/x y"))
    assert config["corpus"] == {"root": awkward, "pattern": None}
    assert config["store"] == {"root": str(Path.home() / "x y")}
    (project / "go").touch()
    assert called(project, f"hydra.run.dir={run}", "begin=go").returncode == 0
    assert (run / "results.json").is_file()


def test_a_sweep_splits_at_commas_but_not_in_paths(project: Path) -> None:
    done = configs(called(project, "tokenizer.codebook_size=16,64", "-m", "store.root=a,b (it's)\\", "wish=null"))
    assert [config["tokenizer"] for config in done] == [{"codebook_size": size, "kind": "mean"} for size in (16, 64)]
    assert {str(config["store"]) for config in done} == {str({"root": "a,b (it's)\\"})}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tokenizer.codebok_size=5"], r"tokenizer\.codebok_size\b.*\btokenizer\.codebook_size\?"),
        (["corpus=fodler"], r"corpus=fodler\b.*\bfolder\?"),
        (["corpus=music"], r"corpus=music\b.*\bcustom, digits, folder\b"),
        (["corpsu=folder"], r"\bcorpsu\b.*\bcorpus\?"),
        (["-m", "corpus=folder,fodler"], r"corpus=fodler\b.*\bfolder\?"),
        (["corpus=custom"], r"corpus\.pattern, corpus\.root\b.*corpus\.pattern=\.\.\. corpus\.root="),
        (["tokenizer.kind=a b (c"], r"'tokenizer\.kind=a b \(c'"),
        (["seed=1,2"], "seed"),
        (["seed=${sede}"], "sede"),
        (["hydra.run.dri=x"], r"hydra\.run\.dir\b"),
        (["~seeed"], "seeed"),
        (["wish=refuse"], "wish is refuse; it must be a wish"),
        (["wish=full"], r"\bfull\b"),
        (["wish=unsaid"], r"\bfull\b"),
        (["wish=locked"], "/locked: Permission denied"),
        (["wish=unlocked"], r"/disk/store/lm/1\.lock: .*\blocks\b"),
        (["wish=library"], r"\bbroken_library\b.*\bnothing\b.*\binstall\b"),
        (["hydra.run.dir=/proc/none"], "/proc/none"),
        (["-cn", "tyr"], "'tyr'"),
        (["+seed=1"], r"\bseed\b.*\balready\b"),
        (["-m", "seed=1,2", "--cfg", "job"], "-m and --cfg"),
    ],
)
def test_what_the_user_can_mend_takes_one_line(project: Path, words: list[str], told: str) -> None:
    assert re.search(told, refusal(called(project, *words)))


@pytest.mark.parametrize("words", ["wish=refuse", "sede=1"])
def test_refusals_have_a_traceback_on_demand(project: Path, words: str) -> None:
    done = called(project, words, HYDRA_FULL_ERROR="1")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_bug_keeps_its_traceback(project: Path) -> None:
    done = called(project, "wish=bug")
    assert done.returncode == 1
    assert "KeyError: 'a bug'" in done.stderr


def test_an_interrupt_exits_with_130(project: Path) -> None:
    done = called(project, "wish=stop")
    assert done.returncode == 130
    assert "resumes" in done.stderr


def test_a_reader_that_leaves_early_is_no_error(project: Path) -> None:
    places = os.pathsep.join([str(project), str(Path(__file__).parents[3])])
    piped = f"'{sys.executable}' try_it.py 2>told | true; cat told"
    environment = {**os.environ, "PYTHONPATH": places}
    done = subprocess.run(piped, shell=True, cwd=project, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == ""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_fail_no_command_and_nothing_is_printed_into_its_files(project: Path, closed: str) -> None:
    """A file would get the number of a closed stream, and what C libraries print there would land in the file."""
    places = os.pathsep.join([str(project), str(Path(__file__).parents[3])])
    piped = f"'{sys.executable}' try_it.py wish=noise {closed}"
    done = subprocess.run(piped, shell=True, cwd=project, env={**os.environ, "PYTHONPATH": places}, check=False)
    assert done.returncode == 0
    assert (project / "made").read_bytes() == b"made"


def test_under_torchrun_each_machine_speaks_of_its_own_disk(project: Path) -> None:
    ranks = {"RANK": "8", "LOCAL_RANK": "0", "WORLD_SIZE": "16"}
    assert "full" in refusal(called(project, "wish=full", TORCHELASTIC_RUN_ID="none", **ranks))
