"""Bad input of ``wordless run``: one line that names the thing, its value, the rule and the remedy, and exit code 2."""

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.commandline.refusals import os_problem
from pipelines.settings.run import run_settings
from tests.pipelines.tiny import sweep
from tests.pipelines.tiny_chain import OWN, ROOT, TINY, called_at_once, composed, refusal, stored


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
        (missing, (), "corpus.root={root} does not exist|{root}"),
        (empty, (), "corpus.root={root} holds no recordings; looked for .wav"),
        (text_only, (), "corpus.root={root} holds no recordings; it holds 1 .txt file"),
        (broken, (), "corpus.root={root}: none of its 4 recordings can be used (2 "),
        (one_class, (), "all 4 recordings have the label 'only', and a probe tells at least 2 apart; put each class"),
        (no_labels, ("corpus.labels=none",), "4 of 4 recordings have no label, which a probe predicts; put each"),
        (
            no_labels,
            ("corpus.pattern={nothing}.wav",),
            "corpus.pattern is '{nothing}.wav' with {nothing}; the fields are",
        ),
        (
            no_labels,
            ("corpus.pattern={label}_{group}.wav",),
            "corpus.pattern is '{label}_{group}.wav', which fits none",
        ),
        (no_labels, ("corpus.labels=pattern",), "corpus.labels=pattern, but corpus.pattern is None; put {label}"),
        (no_labels, ("corpus.split.by=group",), "corpus.split.by=group, but nothing says which group a recording has"),
        (
            short,
            ("corpus.split.validation_fraction=0", "stages=[lm]"),
            "there are 6 train clips and none for validation",
        ),
        (short, ("corpus.split.by=folder", "corpus.split.test=[b]"), "1 of 2 classes have no train clip (b)"),
        (short, ("tokenizer.patch.frames=400",), "no training recording is as long as one patch (400 frames of 80"),
        (short, ("tokenizer.codebook_size=499",), "tokenizer.codebook_size is 499, but the training recordings give"),
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
    assert any(each.replace("{root}", str(root)) in line for each in told.split("|")), line


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("sede=1", "sede is not an option; did you mean seed"),
        ("lm.gpt.layer=3", "lm.gpt.layer is not an option; did you mean lm.gpt.layers"),
        ("experiment=smok", "experiment=smok does not exist; did you mean smoke?"),
        ("seed=many", "seed=many is text; it must be a whole number, such as seed=256"),
        ("lm.fit.steps=1.5", "lm.fit.steps=1.5 is a number; it must be a whole number"),
        ("lm.fit.precision=fp8", "lm.fit.precision=fp8 is not one of its choices: auto, fp32, bf16"),
        ("stages=[tokenizer,gpt]", "stages[1]=gpt is not one of its choices: tokenizer, lm, probe, vocoder"),
        ("corpus=/a/b", "corpus=/a/b is a path; name the folder of your recordings: corpus.root=/a/b"),
        ("stages=[]", "stages is empty; name at least one of tokenizer, lm, probe, vocoder"),
        ("tokenizer.codebook_size=501", "tokenizer.codebook_size is 501 and tokenizer.sample_patches 500; k-means"),
        ("lm.gpt.heads=3", "heads"),
        ("tokenizer.patch.mels=7", "mels"),
        ("vocoder.crops.context_codes=10", "choose 0 <= context_codes < crop_codes"),
        ("lm.fit.lr=0", "lm.fit.lr is 0"),
        ("vocoder.fit.lr=0", "vocoder.fit.lr is 0"),
        ("workers=-1", "workers is -1; choose 0"),
        ("device=tpu", "device=tpu is not one of its choices: auto, cpu, cuda"),
        ("audio.f_max=9000", "f_max"),
        ("embedded.voices=1000", "voices is 1000; choose 1 to"),
        ("listening.temperatures=[-1]", "listening.temperatures has -1.0; each must be 0 or more"),
        ("listening.top_k=-1", "listening.top_k is -1; it must be 0 or more"),
        ("listening.vocoder_temperature=-1", "listening.vocoder_temperature is -1.0; it must be 0 or more"),
        ("listening.seed=-1", "listening.seed is -1; it must be 0 to 4294967295"),
        ("tokenizer.seed=-1", "tokenizer.seed is -1; it must be 0 to 4294967295"),
        ("vocoder.crops.seed=-1", "vocoder.crops.seed is -1; it must be 0 to 4294967295"),
        ("tokenizer.codebook_size=1", "tokenizer.codebook_size is 1; one code tells nothing: choose 2 or more"),
        ("tokenizer.health.max_clips=-5", "tokenizer.health.max_clips is -5; it must be 1 or more"),
        ("vocoder.crops.crop_codes=3", "codes of look-ahead are not counted: choose at least 4"),
        ("lm.fit.accumulation=3", "lm.batches.batch_size is 4, to be shared by 3 (processes times accumulation"),
        ("lm.contrast_weight=-1", "lm.contrast_weight is -1.0; choose 0"),
        ("vocoder.fit.accumulation=3", "vocoder.crops.batch_size is 2, to be shared by 3 (processes times"),
        (
            "probe.tries=5",
            "gpt has 6 candidates, and every method has 5 tries; offer 1 to 5, or raise probe.tries",
        ),
        (
            "+vocoder.wavenet.groups=[anna]",
            "vocoder.wavenet.groups is anna, but the groups are those of the training",
        ),
        (
            "corpus.pattern={label}.wav",
            "corpus.pattern={label}.wav, but neither corpus.root nor corpus.table says where",
        ),
        ("corpus.labels=none", "corpus.labels=none, but neither corpus.root nor corpus.table says where"),
        ("corpus.columns.group=speaker", "corpus.columns.group=speaker"),
        ("corpus.missing=list", "corpus.missing=list"),
        ("corpus.extensions=[wav]", "corpus.extensions=['wav'], but neither corpus.root nor corpus.table says where"),
        ("threads=9223372036854775807", "threads is 9223372036854775807; choose null"),
        ("tokenizer.batch_size=9223372036854775807", "tokenizer.batch_size is 9223372036854775807; it must be at most"),
        ("tokenizer.fit.accumulation=9223372036854775807", "tokenizer.fit.accumulation is 9223372036854775807, and a"),
        ("tokenizer.health.noise_snr_db=-100000", "tokenizer.health.noise_snr_db is -100000.0; choose -200 to 200 dB"),
        ("listening.seconds=inf", "listening.seconds=inf is too large; it must lie within"),
        ("tokenizer.health.max_seconds=5e-324", "tokenizer.health.max_seconds is 5e-324; it must be 0.01 or more"),
        ("lm.views.warps=1000000", "lm.views.warps is 1000000; choose 0 (none) to 1000 warped copies"),
        ("corpus=fsdd", "neither corpus.root nor corpus.table is given; name the folder of your recordings"),
        ("corpus=esc10", "neither corpus.root nor corpus.table is given; name the folder of your recordings"),
        ("corpus=folder", "neither corpus.root nor corpus.table is given; name the folder of your recordings"),
    ],
)
def test_an_option_that_will_not_do(word: str, told: str, tmp_path: Path) -> None:
    done = called_at_once(tmp_path / "run", *TINY, f"store.root={tmp_path / 'store'}", word)
    assert told in refusal(done)
    assert not (tmp_path / "store").exists()  # refused before anything was made


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("compare.methods=[ast]", "ast.model.weights=nowhere"), "ast.model.weights=nowhere has no config.json"),
        (("compare.methods=[ast]", "ast.fit.accumulation=3"), "ast.batches.batch_size is "),
        (("compare.methods=[simclr]", "baselines.simclr.fit.accumulation=5"), "baselines.simclr.batches.batch_size"),
        (("tokenizer.rates=[4,2]", "compare.assignments=soft"), "the models of several rates read hard codes: choose"),
        (("lm.contrast_weight=1", "lm.contrast.temperature=0"), "contrast.temperature is 0.0"),
        (("lm.contrast_weight=1", "lm.views.offsets=false"), "lm.views makes no other view of a clip: raise lm.views"),
        (
            ("lm.contrast_weight=1", "tokenizer.patch.frames=1"),
            "lm.views makes no other view of a clip: raise lm.views",
        ),
        (("lm.contrast_weight=1", "lm.batches.batch_size=5"), "lm.batches.batch_size is 5, to be shared by 1 "),
        (
            ("lm.contrast_weight=1", "lm.batches.batch_size=2"),
            "lm.batches.batch_size is 2; with lm.contrast_weight each process tells 2",
        ),
        (("tokenizer.max_formants=0.2", "tokenizer.patch.mels=8"), "choose tokenizer.patch.mels=null or max_formants"),
    ],
)
def test_options_that_do_not_go_together(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    line = refusal(called_at_once(tmp_path / "run", *TINY, f"store.root={tmp_path / 'store'}", *words))
    assert told in line
    assert not (tmp_path / "store").exists()


def test_what_is_not_compared_is_not_judged(tmp_path: Path) -> None:
    words = ("compare.methods=[gpt]", "ast.fit.accumulation=3", "baselines.simclr.fit.accumulation=5")
    settings = run_settings(composed(tmp_path, *words, "ast.model.weights=nowhere"))
    assert settings.ast.fit.accumulation == 3


def test_too_short_a_context_for_the_streams_is_refused(tmp_path: Path) -> None:
    words = (*TINY, f"store.root={tmp_path / 'store'}", "tokenizer.patch.mels=4", "lm.gpt.context=10")
    assert "lm.gpt.context is 10 positions, and a time step takes 10 of them" in refusal(
        called_at_once(tmp_path, *words)
    )
    assert not (tmp_path / "store").exists()


def test_a_traceback_shows_on_demand(tmp_path: Path) -> None:
    words = (*TINY, f"store.root={tmp_path / 'store'}", "workers=-1")
    done = called_at_once(tmp_path / "run", *words, HYDRA_FULL_ERROR="1")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "workers is -1" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("stage", "name", "state"),
    [("codes", "codes-00000.parquet", "is missing"), ("lm", "model.safetensors", "has changed")],
)
def test_a_store_entry_that_is_not_as_it_was_written(
    stage: str, name: str, state: str, whole_store: Path, tmp_path: Path
) -> None:
    store = shutil.copytree(whole_store, tmp_path / "store")
    (path,) = store.glob(f"{stage}/*/{name}")
    if state == "is missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    words = (*TINY, f"store.root={store}", "stages=[lm,vocoder]")
    line = refusal(called_at_once(tmp_path / "run", *words))
    assert f"{path} {state} since the {stage} stage wrote it: delete {path.parent} and run the same command" in line
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
    assert f"{locked / 'store'} cannot be written, because of {locked}: you may not write there; give yourself" in line
    assert "store.root=PATH" in line


def test_a_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = refusal(called_at_once(tmp_path / "run", *TINY, f"store.root={tmp_path / 'file/store'}"))
    assert f"because of {tmp_path / 'file'}: it is a file; give yourself access, or choose another place" in line


def test_an_unexplained_error_on_a_full_disk_is_told_as_such(small_disk: Path) -> None:
    for error in (RuntimeError("enforce fail at inline_container.cc"), AssertionError(), soundfile.LibsndfileError(2)):
        assert os_problem(error, [str(small_disk)]) is None  # there is room
    (small_disk / "filling").write_bytes(bytes((1 << 20) - 8192))
    for error in (RuntimeError("enforce fail at inline_container.cc"), AssertionError(), soundfile.LibsndfileError(2)):
        told = str(os_problem(error, [str(small_disk / "run" / "x")], ["store.root"]))
        assert told.startswith(f"{small_disk}: the disk is full; free some space, or choose another place (store.root=")


def test_a_file_that_may_not_grow_is_named_with_the_limit() -> None:
    told = str(os_problem(OSError(errno.EFBIG, "File too large", "store/x"), ["."]))
    assert told == "store/x: it may not grow so large; raise the limit of this shell (ulimit -f)"


FULL_DISK = """
set -e
mount -t tmpfs -o size=20m none "$1"
"${@:2}" store.root="$1/store" && exit 3
umount "$1"
mount -t tmpfs -o size=1g,nr_inodes=60 none "$1"
"${@:2}" store.root="$1/store" && exit 3
mount -o remount,nr_inodes=100000 "$1"
"${@:2}" store.root="$1/store"
cp -r "$1/store" "$1.saved"
"""


@pytest.mark.slow
def test_a_full_disk(whole_store: Path, tmp_path: Path) -> None:
    """A file system without room, then one that fills up (with files) in the middle; then there is room again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", disk], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system of its own")
    run = [sys.executable, "-m", "pipelines.run", *TINY, "stages=[lm]", f"hydra.run.dir={tmp_path / 'run'}"]
    script = ["unshare", "-m", "bash", "-c", FULL_DISK, "bash", disk, *run]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    refused = [line for line in done.stderr.splitlines() if line.startswith("wordless run: ")]
    assert len(refused) == 2
    assert re.search(r"store has 0\.0 GiB free; this run needs about 0\.5 GiB: make room, or choose", refused[0])
    assert "the disk is full; free some space, or choose another place" in refused[1]
    assert "Traceback" not in done.stderr
    saved = stored(tmp_path / "disk.saved")
    assert {name.partition("/")[0] for name in saved} >= {"codes", "lm"}
    assert saved.items() <= stored(whole_store).items()
