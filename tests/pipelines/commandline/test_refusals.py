"""Bad input of ``wordless run``: one line that names the thing, its value, the rule and the remedy, and exit code 2."""

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.commandline.command import os_problem
from pipelines.settings.run import run_settings
from tests.pipelines.tiny import sweep
from tests.pipelines.tiny_chain import OWN, TINY, called_at_once, composed, refusal, stored
from wordless.base.errors import InputError


def write(path: Path, *, low: float = 200, seconds: float = 0.4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sweep(seconds, 8000, low=low), 8000)


def missing(root: Path) -> None:
    pass


def empty(root: Path) -> None:
    root.mkdir()


def text_only(root: Path) -> None:
    root.mkdir()
    (root / "notes.txt").write_text("no sound")


def broken(root: Path) -> None:
    for name in "ab":
        (root / name).mkdir(parents=True)
        (root / name / "x.wav").write_bytes(b"RIFF, but nothing more")
        soundfile.write(root / name / "silent.wav", np.zeros(8000), 8000)


def one_class(root: Path) -> None:
    for number in range(4):
        write(root / "only" / f"{number}.wav", low=100 + number)


def no_labels(root: Path) -> None:
    for number in range(4):
        write(root / f"{number}.wav", low=100 + number)


def short(root: Path) -> None:
    for label in "ab":
        for number in range(4):
            write(root / label / f"{number}.wav", seconds=0.1, low=100 + 10 * number + ord(label))


@pytest.mark.parametrize(
    ("corpus", "words", "told"),
    [
        (missing, (), r"corpus\.root is {root}|{root}"),
        (empty, (), r"corpus\.root is {root}; .*\.wav"),
        (text_only, (), r"corpus\.root is {root}; .*\b1 \.txt"),
        (broken, (), r"corpus\.root is {root}.*\b4 recordings\b.*\(2 "),
        (one_class, (), r"\b4 recordings\b.*'only'.*\b2\b"),
        (no_labels, ("corpus.labels=none",), r"\b4 of 4 recordings\b.*label"),
        (no_labels, ("corpus.pattern={nothing}.wav",), r"corpus\.pattern is \{nothing\}\.wav\b.*fields"),
        (no_labels, ("corpus.pattern={label}_{group}.wav",), r"corpus\.pattern is \{label\}_\{group\}\.wav\b"),
        (no_labels, ("corpus.labels=pattern",), r"corpus\.labels\b.*\bpattern\b.*\{label\}"),
        (no_labels, ("corpus.split.by=group",), r"corpus\.split\.by\b.*\bgroup\b"),
        (short, ("corpus.split.validation_fraction=0", "stages=[lm]"), r"\b6 train\b.*\bvalidation\b"),
        (short, ("corpus.split.by=folder", "corpus.split.test=[b]"), r"\b1 of 2 classes\b.*\btrain\b.*\bb\b"),
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
    line = refusal(done)
    assert re.search(told.replace("{root}", re.escape(str(root))), line), line


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("experiment=smok", r"experiment=smok\b.*\bsmoke\b"),
        ("corpus=/a/b", r"corpus=/a/b\b.*corpus\.root=/a/b\b"),
        ("lm.fit.lr=0", r"\blm\.fit\.lr\b.*\b0\b"),
        ("corpus.pattern={label}.wav", r"corpus\.pattern=\{label\}\.wav.*corpus\.root\b.*corpus\.table\b"),
        ("corpus=fsdd", r"corpus\.root\b.*\btable\b"),
    ],
)
def test_an_option_that_will_not_do(word: str, told: str, tmp_path: Path) -> None:
    done = called_at_once(tmp_path / "run", *TINY, f"store.root={tmp_path / 'store'}", word)
    assert re.search(told, refusal(done))
    assert not (tmp_path / "store").exists()  # refused before anything was made


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("seed=many",), r"seed is many\b.*text.*whole number.*\bseed=\d"),
        (("stages=[tokenizer,gpt]",), r"stages\[1\] is gpt\b.*\btokenizer, lm, probe, vocoder\b"),
        (("stages=[]",), r"stages\b.*\bone or more\b"),
        (("tokenizer.codebook_size=501",), r"tokenizer\.codebook_size\b.*\b501\b.*sample_patches\b.*\b500\b"),
        (("tokenizer.patch.mels=7",), "mels"),
        (("audio.f_max=9000",), "f_max"),
        (("vocoder.crops.crop_codes=3",), r"look-ahead\b.*\b4\b"),
        (("lm.fit.accumulation=3",), r"lm\.batches\.batch_size\b.*\b4\b.*\b3\b"),
        (("vocoder.fit.accumulation=3",), r"vocoder\.crops\.batch_size\b.*\b2\b.*\b3\b"),
        (("corpus.labels=none",), r"corpus\.labels=none\b.*corpus\.root\b.*corpus\.table\b"),
        (("corpus.columns.group=speaker",), "corpus.columns.group=speaker"),
        (("corpus.missing=list",), r"corpus\.missing\b.*\blist\b"),
        (("corpus.extensions=[wav]",), r"corpus\.extensions=\['wav'\].*corpus\.root\b.*corpus\.table\b"),
        (("compare.methods=[ast]", "ast.model.weights=nowhere"), r"ast\.model\.weights=nowhere\b.*config\.json\b"),
        (("compare.methods=[ast]", "ast.fit.accumulation=3"), r"ast\.batches\.batch_size\b"),
        (("compare.methods=[simclr]", "baselines.simclr.fit.accumulation=5"), "baselines.simclr.batches.batch_size"),
        (("tokenizer.rates=[4,2]", "compare.assignments=soft"), r"\brates\b.*\bhard\b"),
        (("tokenizer.patch.mels=4", "lm.gpt.context=10"), r"lm\.gpt\.context\b.*\b10\b.*\b10 positions\b"),
    ],
)
def test_options_that_there_cannot_be_or_do_not_go_together(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        run_settings(composed(tmp_path, *words))


def test_what_is_not_compared_is_not_judged(tmp_path: Path) -> None:
    words = ("compare.methods=[gpt]", "ast.fit.accumulation=3", "baselines.simclr.fit.accumulation=5")
    settings = run_settings(composed(tmp_path, *words, "ast.model.weights=nowhere"))
    assert settings.ast.fit.accumulation == 3


def test_a_traceback_shows_on_demand(tmp_path: Path) -> None:
    words = (*TINY, f"store.root={tmp_path / 'store'}", "workers=-1")
    done = called_at_once(tmp_path / "run", *words, HYDRA_FULL_ERROR="1")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert re.search(r"workers\b.*-1\b", done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    ("stage", "name", "state"), [("codes", "codes-00000.parquet", "missing"), ("lm", "model.safetensors", "changed")]
)
def test_a_store_entry_that_is_not_as_it_was_written(
    stage: str, name: str, state: str, whole_store: Path, tmp_path: Path
) -> None:
    store = shutil.copytree(whole_store, tmp_path / "store")
    (path,) = store.glob(f"{stage}/*/{name}")
    if state == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    words = (*TINY, f"store.root={store}", "stages=[lm,vocoder]")
    line = refusal(called_at_once(tmp_path / "run", *words))
    assert re.search(rf"{path} .*{state}\b.*\b{stage}\b.*delete {path.parent} ", line)
    shutil.rmtree(path.parent)
    assert called_at_once(tmp_path / "run", *words).returncode == 0
    assert stored(store) == stored(whole_store)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nothing can be made; root, whom no permission stops, cannot change what is immutable."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    if os.geteuid():
        yield folder
        return
    if shutil.which("chattr") is None or subprocess.run(["chattr", "+i", folder], capture_output=True).returncode:
        pytest.skip("root may write everywhere, and this file system knows no immutable folders")
    yield folder
    subprocess.run(["chattr", "-i", folder], check=True)


def test_a_place_without_permission(locked: Path, tmp_path: Path) -> None:
    line = refusal(called_at_once(tmp_path / "run", *TINY, f"store.root={locked / 'store'}"))
    assert re.search(rf"{locked / 'store'}\S* cannot be written: ", line)
    assert "store.root=PATH" in line


def test_a_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = refusal(called_at_once(tmp_path / "run", *TINY, f"store.root={tmp_path / 'file/store'}"))
    assert re.search(rf"{tmp_path / 'file'}\S* .*: Not a directory\b", line)


def test_errors_on_a_full_disk_are_told_as_such(small_disk: Path) -> None:
    for error in (RuntimeError("enforce fail at inline_container.cc"), AssertionError(), soundfile.LibsndfileError(2)):
        assert os_problem(error, [str(small_disk)]) is None  # there is room
    (small_disk / "filling").write_bytes(bytes((1 << 20) - 8192))
    for error in (RuntimeError("enforce fail at inline_container.cc"), AssertionError(), soundfile.LibsndfileError(2)):
        told = str(os_problem(error, [str(small_disk / "run" / "x")], ["store.root"]))
        assert re.match(rf"{small_disk}: .*\bfull\b.*store\.root=", told)


def test_a_file_that_may_not_grow_is_named_with_the_limit() -> None:
    told = str(os_problem(OSError(errno.EFBIG, "File too large", "store/x"), ["."]))
    assert re.match(r"store/x: .*ulimit -f", told)
