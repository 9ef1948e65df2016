"""Bad input of ``wordless run``: one line that names the thing, its value, the rule and the remedy, and exit code 2."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from pipelines.commandline.command import os_problem
from tests.pipelines.tiny import sweep
from tests.pipelines.tiny_chain import OWN, called_at_once, refusal


def write(path: Path, *, low: float = 200, seconds: float = 0.4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sweep(seconds, 8000, low=low), 8000)


def one_class(root: Path) -> None:
    for number in range(4):
        write(root / "only" / f"{number}.wav", low=100 + number)


def short(root: Path) -> None:
    for label in "ab":
        for number in range(4):
            write(root / label / f"{number}.wav", seconds=0.1, low=100 + 10 * number + ord(label))


@pytest.mark.parametrize(
    ("corpus", "words", "told"),
    [
        (one_class, (), r"\b4 recordings\b.*'only'.*\b2\b"),
        (short, ("corpus.split.validation_fraction=0", "stages=[lm]"), r"\b6 train\b.*\bvalidation\b"),
        (short, ("tokenizer.patch.frames=400",), r"\b400 frames of 80\b"),
        (short, ("tokenizer.codebook_size=499",), r"tokenizer\.codebook_size\b.*\b499\b.*recordings"),
    ],
)
def test_a_corpus_that_will_not_do(
    corpus: Callable[[Path], None], words: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    root = tmp_path / "my (recordings), a=b"
    corpus(root)
    done = called_at_once(
        tmp_path / "run", *OWN, "corpus=folder", f"corpus.root={root}", f"store.root={tmp_path / 'store'}", *words
    )
    assert re.search(told, refusal(done))


def test_errors_on_a_full_disk_are_told_as_such(small_disk: Path) -> None:
    for error in (RuntimeError("enforce fail at inline_container.cc"), AssertionError(), soundfile.LibsndfileError(2)):
        assert os_problem(error, [str(small_disk)]) is None  # there is room
    (small_disk / "filling").write_bytes(bytes((1 << 20) - 8192))
    for error in (RuntimeError("enforce fail at inline_container.cc"), AssertionError(), soundfile.LibsndfileError(2)):
        told = str(os_problem(error, [str(small_disk / "run" / "x")], ["store.root"]))
        assert re.match(rf"{small_disk}: .*\bfull\b.*store\.root=", told)


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
