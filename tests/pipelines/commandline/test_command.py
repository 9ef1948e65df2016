"""The wrapper around Hydra, by commands in this process or in a fresh one."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from pipelines.commandline.command import os_problem, start
from pipelines.commands import COMMANDS
from tests.calling import Command, python
from tests.pipelines.tiny import sweep
from tests.pipelines.tiny_chain import OWN, ROOT, called_at_once, refusal


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("tokenizer.codebok_size=5", r"tokenizer\.codebok_size\b.*\btokenizer\.codebook_size\?"),
        ("corpus=fodler", r"corpus=fodler\b.*\bfolder\?"),
        ("corpus=music", r"corpus=music\b.*\bfolder\b"),
        ("corpus=/a/b", r"corpus=/a/b\b.*corpus\.root=/a/b\b"),
        ("corpus=fsdd", r"corpus\.root\b.*\btable\b"),
        ("corpsu=folder", r"\bcorpsu\b.*\bcorpus\?"),
        ("-m corpus=folder,fodler", r"corpus=fodler\b.*\bfolder\?"),
        ("seed=1,2", "seed"),
        ("seed=${sede}", "sede"),
        ("hydra.run.dri=x", r"hydra\.run\.dir\b"),
        ("~seeed", "seeed"),
        ("~listening.temperatures", r"~listening\.temperatures.*temperatures=\[\].*temperatures=\[0\.7"),
        ("~compare.noise", r"~compare\.noise.*compare\.noise=white"),
        ("~lm", r"~lm\b.*lm=small"),
        ("~compare", "compare"),
        ("compare.methods=[nonsense]", r"compare\.methods is \[nonsense\].*denoising"),
        ("-cn tyr", "'tyr'"),
        ("+seed=1", r"\bseed\b.*\balready\b"),
        ("-m seed=1,2 --cfg job", "-m and --cfg"),
    ],
)
def test_words_that_hydra_does_not_take_are_refused_in_one_line(
    words: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, line = Command("run", monkeypatch, capsys)(*words.split())
    assert (code, line.count("\n")) == (2, 1), line
    assert re.match(f"wordless run: .*{told}", line)


def test_the_display_of_a_notebook_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://gone")
    monkeypatch.setattr(sys, "argv", ["wordless run", "--help"])
    start(COMMANDS["run"])  # as torchrun -m pipelines.run does
    assert os.environ["MPLBACKEND"] == "agg"


RANKS = {"RANK": "8", "LOCAL_RANK": "0", "WORLD_SIZE": "16", "TORCHELASTIC_RUN_ID": "none"}


@pytest.mark.parametrize(
    ("wish", "environment", "code", "traceback", "told"),
    [
        ("refuse", {}, 2, False, "wish is refuse; it must be a wish"),
        ("refuse", {"HYDRA_FULL_ERROR": "1"}, 2, True, "wish is refuse; it must be a wish"),  # on demand
        ("library", {}, 2, False, r"\bbroken_library\b.*\bnothing\b.*\binstall\b"),
        ("unsaid", RANKS, 2, False, r"\bfull\b"),  # under torchrun each machine speaks of its own disk
        ("stop", {}, 130, False, "interrupted"),
        ("bug", {}, 1, True, None),
    ],
)
def test_what_the_user_can_mend_takes_one_line_and_a_bug_keeps_its_traceback(
    wish: str, environment: dict[str, str], code: int, traceback: bool, told: str | None, project: Path
) -> None:
    done = python("try_it.py", f"wish={wish}", cwd=project, before=project, **environment)
    assert (done.returncode, "Traceback" in done.stderr) == (code, traceback), done.stderr
    if told is not None:
        assert re.match(f"wordless try: .*{told}", done.stderr.splitlines()[-1])
        assert traceback or done.stderr.count("\n") == 1


def in_a_shell(line: str, project: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of sh in the project, whose modules and those of this checkout Python finds."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(project), str(ROOT)])}
    return subprocess.run(["sh", "-c", line], cwd=project, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "streams"),
    [("noise", ">&-"), ("noise", "2>&-"), ("noise", "<&- >&- 2>&-"), ("null", "2>told | true; cat told")],
)
def test_closed_streams_fail_no_command_and_nothing_is_printed_into_its_files(
    project: Path, words: str, streams: str
) -> None:
    """A file would get the number of a closed stream, and what C libraries print there would land in the file."""
    done = in_a_shell(f"'{sys.executable}' try_it.py wish={words} {streams}", project)
    assert done.returncode == 0
    assert done.stdout == "" if words == "null" else (project / "made").read_bytes() == b"made"


@pytest.mark.parametrize(
    ("labels", "seconds", "words", "told"),
    [
        (["only"], 0.4, (), r"\b4 recordings\b.*'only'.*\b2\b"),
        (["a", "b"], 0.1, ("corpus.split.validation_fraction=0", "stages=[lm]"), r"\b6 train\b.*\bvalidation\b"),
        (["a", "b"], 0.1, ("tokenizer.patch.frames=400",), r"\b400 frames of 80\b"),
        (["a", "b"], 0.1, ("tokenizer.codebook_size=499",), r"tokenizer\.codebook_size\b.*\b499\b.*recordings"),
    ],
)
def test_a_corpus_that_will_not_do_is_refused_in_one_line(
    labels: list[str], seconds: float, words: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    root = tmp_path / "my (recordings), a=b"
    for label in labels:
        (root / label).mkdir(parents=True)
        for number in range(4):
            tone = sweep(seconds, 8000, low=100 + 10 * number + ord(label[0]))
            soundfile.write(root / label / f"{number}.wav", tone, 8000)
    given = ("corpus=folder", f"corpus.root={root}", f"store.root={tmp_path / 'store'}", *words)
    assert re.search(told, refusal(called_at_once(tmp_path / "run", *OWN, *given)))


def test_errors_on_a_full_disk_are_told_as_such(small_disk: Path) -> None:
    errors = (RuntimeError("enforce fail at inline_container.cc"), AssertionError(), soundfile.LibsndfileError(2))
    for error in errors:
        assert os_problem(error, [str(small_disk)]) is None  # there is room
    (small_disk / "filling").write_bytes(bytes((1 << 20) - 8192))
    for error in errors:
        told = str(os_problem(error, [str(small_disk / "run" / "x")], ["store.root"]))
        assert re.match(rf"{small_disk}: .*\bfull\b.*store\.root=", told)


def test_a_full_disk_below_the_folder_of_a_run_is_named(project: Path, small_disk: Path) -> None:
    (small_disk / "filling").write_bytes(bytes(1 << 20))
    done = python("try_it.py", "wish=1", f"hydra.run.dir={small_disk / 'run'}", cwd=project, before=project)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert re.match(rf"wordless try: {small_disk}\b.*\bfull\b", done.stderr)


def test_a_small_limit_of_files_and_a_deleted_folder_are_told_in_one_line(project: Path) -> None:
    for words, told in (
        ("ulimit -f 0", r"no temporary file .*; .*ulimit -f"),
        ("mkdir gone && cd gone && rmdir ../gone", r"current folder is deleted"),
    ):
        done = in_a_shell(f"{words}; exec '{sys.executable}' -m pipelines.cli encode", project)
        lines = [line for line in done.stderr.splitlines() if not line.startswith(("sh: ", "shell-init"))]
        assert (done.returncode, len(lines)) == (2, 1), done.stderr
        assert re.search(told, lines[0])


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EFBIG, r"store/x: .*ulimit -f"),
        (errno.EACCES, r"store/x: Permission denied; .*store\.root="),
        (errno.ENOLCK, r"store/x: .*locks.*store\.root="),
        (errno.EIO, r"store/x: .*\bdisk\b"),
    ],
)
def test_errors_of_the_system_name_the_file_and_a_remedy(number: int, told: str) -> None:
    error = OSError(number, os.strerror(number), "store/x")
    assert re.match(told, str(os_problem(error, ["."], ["store.root"])))
