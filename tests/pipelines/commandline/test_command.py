"""The wrapper around Hydra, by running real commands in a fresh process."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.calling import python

CONFIG = """
defaults:
  - corpus: digits
  - override hydra/job_logging: none
  - override hydra/hydra_logging: none
  - _self_
seed: 0
tokenizer: {codebook_size: 64, kind: mean}
store: {root: store}
prompt: null
model: here
hydra:
  output_subdir: null
  run: {dir: .}
  sweep: {dir: ., subdir: .}
"""
SCRIPT = """
import errno, json, os, sys
from wordless.base.errors import InputError
from pipelines.commandline.command import command
from pipelines.commandline.options import Group, Index, Option

def task(config):
    match config["prompt"]:
        case "refuse": raise InputError("prompt is refuse;\\n  it must be a wish")
        case "full": raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        case "unsaid": raise RuntimeError("I/O error: No space left on device (os error 28)")
        case "locked": raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/locked")
        case "unlocked": raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), "/disk/store/lm/1.lock")
        case "library": import broken_library
        case "bug": raise KeyError("a bug")
        case "stop": raise KeyboardInterrupt
        case "noise":
            with open("made", "wb", buffering=0) as file:
                os.write(1, b"noise of a decoder")
                os.write(2, b"noise of a decoder")
                file.write(b"made")
            return
    print(json.dumps(config, sort_keys=True))
    assert "HYDRA_FULL_ERROR" not in os.environ or config["prompt"] is None

texts, others = ("store.root", "prompt", "corpus.root", "model"), ("seed", "corpus.pattern", "tokenizer.codebook_size")
named = {
    each: Option(name=each, default=None, explanation="", verbatim=each in texts)
    for each in (*texts, *others, "tokenizer.kind")
}
main = command("try", task, options=Index(options=named, groups={"corpus": Group(chosen="digits", explanation="")}))
if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project of its own, with a ``conf`` package that stands before ours."""
    root = tmp_path_factory.mktemp("project")
    (root / "conf/corpus").mkdir(parents=True)
    (root / "conf/__init__.py").touch()
    (root / "conf/try.yaml").write_text(CONFIG)
    for name in ("digits", "folder"):
        (root / f"conf/corpus/{name}.yaml").write_text("root: nowhere\npattern: null\n")
    (root / "conf/corpus/custom.yaml").write_text("root: ???\npattern: ???\n")
    (root / "broken_library.py").write_text("from json import nothing")
    (root / "try_it.py").write_text(textwrap.dedent(SCRIPT))
    return root


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
    assert done.stderr.startswith("wordless try: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_the_task_gets_the_plain_config(project: Path) -> None:
    (config,) = configs(called(project, "seed=3", "corpus=folder"))
    assert config == {
        "corpus": {"root": "nowhere", "pattern": None},
        "model": "here",
        "prompt": None,
        "seed": 3,
        "store": {"root": "store"},
        "tokenizer": {"codebook_size": 64, "kind": "mean"},
    }


def test_awkward_paths_need_no_quotes(project: Path) -> None:
    awkward = '/data/my (old) sounds, a=b/[it\'s]/100% $x \\ "y"/é'
    run = project / "a (run), b=c"
    (config,) = configs(called(project, f"corpus.root={awkward}", "store.root=~/x y", f"hydra.run.dir={run}"))
    assert config["corpus"] == {"root": awkward, "pattern": None}
    assert config["store"] == {"root": str(Path.home() / "x y")}
    assert run.is_dir()


def test_a_sweep_splits_at_commas_but_not_in_paths(project: Path) -> None:
    done = configs(called(project, "tokenizer.codebook_size=16,64", "-m", "store.root=a,b (it's)\\", "prompt=null"))
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
        (["prompt=refuse"], "prompt is refuse; it must be a wish"),
        (["prompt=full"], r"\bfull\b"),
        (["prompt=unsaid"], r"\bfull\b"),
        (["prompt=locked"], "/locked: Permission denied"),
        (["prompt=unlocked"], r"/disk/store/lm/1\.lock: .*\blocks\b"),
        (["prompt=library"], r"\bbroken_library\b.*\bnothing\b.*\binstall\b"),
        (["hydra.run.dir=/proc/none"], "/proc/none"),
        (["-cn", "tyr"], "'tyr'"),
        (["+seed=1"], r"\bseed\b.*\balready\b"),
        (["-m", "seed=1,2", "--cfg", "job"], "-m and --cfg"),
    ],
)
def test_what_the_user_can_mend_takes_one_line(project: Path, words: list[str], told: str) -> None:
    assert re.search(told, refusal(called(project, *words)))


@pytest.mark.parametrize("words", ["prompt=refuse", "sede=1"])
def test_refusals_have_a_traceback_on_demand(project: Path, words: str) -> None:
    done = called(project, words, HYDRA_FULL_ERROR="1")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_bug_keeps_its_traceback(project: Path) -> None:
    done = called(project, "prompt=bug")
    assert done.returncode == 1
    assert "KeyError: 'a bug'" in done.stderr


def test_an_interrupt_exits_with_130(project: Path) -> None:
    done = called(project, "prompt=stop")
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
    piped = f"'{sys.executable}' try_it.py prompt=noise {closed}"
    done = subprocess.run(piped, shell=True, cwd=project, env={**os.environ, "PYTHONPATH": places}, check=False)
    assert done.returncode == 0
    assert (project / "made").read_bytes() == b"made"


def test_under_torchrun_each_machine_speaks_of_its_own_disk(project: Path) -> None:
    ranks = {"RANK": "8", "LOCAL_RANK": "0", "WORLD_SIZE": "16"}
    assert "full" in refusal(called(project, "prompt=full", TORCHELASTIC_RUN_ID="none", **ranks))
