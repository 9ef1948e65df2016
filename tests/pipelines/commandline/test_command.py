"""The wrapper around Hydra, by commands in this process or in a fresh one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.calling import Command, python


def called(project: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python try_it.py`` with the repository on the path after the small project."""
    return python("try_it.py", *words, cwd=project, before=project, **environment)


def configs(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    """What the task was given, once for each job."""
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_awkward_paths_need_no_quotes(project: Path) -> None:
    awkward = '/data/my (old) sounds, a=b/[it\'s]/100% $x \\ "y"/é'
    run = project / "a (run), b=c"
    (config,) = configs(called(project, f"corpus.root={awkward}", "store.root=~/x y", "seed=3", "corpus=folder"))
    assert config == {
        **{"wish": None, "name": None, "begin": None, "seed": 3},
        "corpus": {"root": awkward, "pattern": None},
        "store": {"root": str(Path.home() / "x y")},
        "tokenizer": {"codebook_size": 64, "kind": "mean"},
    }
    (project / "go").touch()
    assert called(project, f"hydra.run.dir={run}", "begin=go").returncode == 0
    assert (run / "results.json").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("tokenizer.codebok_size=5", r"tokenizer\.codebok_size\b.*\btokenizer\.codebook_size\?"),
        ("corpus=fodler", r"corpus=fodler\b.*\bfolder\?"),
        ("corpus=music", r"corpus=music\b.*\bfolder\b"),
        ("corpsu=folder", r"\bcorpsu\b.*\bcorpus\?"),
        ("-m corpus=folder,fodler", r"corpus=fodler\b.*\bfolder\?"),
        ("seed=1,2", "seed"),
        ("seed=${sede}", "sede"),
        ("hydra.run.dri=x", r"hydra\.run\.dir\b"),
        ("~seeed", "seeed"),
        ("hydra.run.dir=/proc/none", "/proc/none"),
        ("-cn tyr", "'tyr'"),
        ("+seed=1", r"\bseed\b.*\balready\b"),
        ("-m seed=1,2 --cfg job", "-m and --cfg"),
    ],
)
def test_what_the_user_can_mend_takes_one_line(
    words: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, line = Command("run", monkeypatch, capsys)(*words.split())
    assert (code, line.count("\n")) == (2, 1), line
    assert re.match(f"wordless run: .*{told}", line)


RANKS = {"RANK": "8", "LOCAL_RANK": "0", "WORLD_SIZE": "16", "TORCHELASTIC_RUN_ID": "none"}


@pytest.mark.parametrize(
    ("wish", "environment", "told"),
    [
        ("refuse", {}, "wish is refuse; it must be a wish"),
        ("library", {}, r"\bbroken_library\b.*\bnothing\b.*\binstall\b"),
        ("unsaid", RANKS, r"\bfull\b"),  # under torchrun each machine speaks of its own disk
    ],
)
def test_errors_that_the_user_can_mend_take_one_line(
    wish: str, environment: dict[str, str], told: str, project: Path
) -> None:
    done = called(project, f"wish={wish}", **environment)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert re.match(f"wordless try: .*{told}", done.stderr)


@pytest.mark.parametrize("wish", ["bug", "refuse", "stop"])
def test_a_bug_keeps_its_traceback_and_refusals_have_one_on_demand(project: Path, wish: str) -> None:
    done = called(project, f"wish={wish}", HYDRA_FULL_ERROR="1" if wish == "refuse" else "")
    assert done.returncode == {"bug": 1, "refuse": 2, "stop": 130}[wish]
    assert ("Traceback" in done.stderr) == (wish != "stop")


@pytest.mark.parametrize(
    ("words", "streams"),
    [("noise", ">&-"), ("noise", "2>&-"), ("noise", "<&- >&- 2>&-"), ("null", "2>told | true; cat told")],
)
def test_closed_streams_fail_no_command_and_nothing_is_printed_into_its_files(
    project: Path, words: str, streams: str
) -> None:
    """A file would get the number of a closed stream, and what C libraries print there would land in the file."""
    places = os.pathsep.join([str(project), str(Path(__file__).parents[3])])
    piped, env = f"'{sys.executable}' try_it.py wish={words} {streams}", {**os.environ, "PYTHONPATH": places}
    done = subprocess.run(piped, shell=True, cwd=project, env=env, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout == "" if words == "null" else (project / "made").read_bytes() == b"made"
