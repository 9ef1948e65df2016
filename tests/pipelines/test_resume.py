"""Killed and resumed is never killed: the same bytes in every entry of the store."""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pipelines.tiny_chain import CHECKPOINTS, ROOT, STEPS, Kill, begin, entries, run, stored

# Once in each stage, where it hurts: in the middle of training, between two files, before the last rename.
KILLS = (
    Kill(path="embedded/embedded-*"),
    Kill(path="inspected.jsonl", count=7),
    Kill(path="sample/*.partial/sample.json"),
    Kill(path="autoencoder/*.checkpoints/fit.safetensors", count=STEPS // 2),
    Kill(path="tokenizer/*.partial/kmeans.json.aside"),
    Kill(path="codes/*.partial/codes-00000.parquet"),
    Kill(path="health/*.partial/timings.json.aside"),
    Kill(path="views/*.partial/codes-00000.parquet"),
    Kill(path="lm/*.checkpoints/fit.safetensors", count=STEPS - 1),
    Kill(path="code_table/*.partial/*.wav"),
    Kill(path="signal_features/*.partial/entry.json"),
    Kill(path="probe/????????????????"),
    Kill(path="waveforms/*.partial/offsets.npy"),
    Kill(path="vocoder/*.partial/config.json"),
    Kill(path="listening/*.partial/listening.json"),
)


def test_killed_once_in_each_stage(whole_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    for number, kill in enumerate(KILLS):
        assert run(store, tmp_path / str(number), *CHECKPOINTS, kill=kill) == -signal.SIGKILL, kill
    assert run(store, tmp_path / "last", *CHECKPOINTS) == 0
    assert stored(store) == stored(whole_store)


def test_training_goes_on_from_its_checkpoint(whole_store: Path, tmp_path: Path) -> None:
    late = Kill(path="autoencoder/*.checkpoints/fit.safetensors", count=STEPS)
    words = ("stages=[tokenizer]", *CHECKPOINTS)
    assert run(tmp_path / "store", tmp_path / "killed", *words, kill=late) == -signal.SIGKILL
    few = Kill(path="autoencoder/*.checkpoints/fit.safetensors", count=3)  # of which not so many are left
    assert run(tmp_path / "store", tmp_path / "resumed", *words, kill=few) == 0
    wanted = stored(whole_store)
    assert {name: wanted[name] for name in stored(tmp_path / "store")} == stored(tmp_path / "store")


@pytest.mark.slow
def test_half_written_files_are_written_again(whole_store: Path, tmp_path: Path) -> None:
    """Whatever a killed run left half done; shards of codes and checkpoints are not among it: they are renamed."""
    store = tmp_path / "store"
    shutil.copytree(whole_store / "embedded", store / "embedded")
    for entry in entries(whole_store):
        partial = store / entry.parent.name / f"{entry.name}.partial"
        for file in (path for path in entry.rglob("*") if path.is_file() and path.suffix != ".parquet"):
            (partial / file.relative_to(entry)).parent.mkdir(parents=True, exist_ok=True)
            (partial / file.relative_to(entry)).write_bytes(file.read_bytes()[: file.stat().st_size // 2])
            (partial / f"{file.name}.aside").write_bytes(b"half")
    (store / "inspected.jsonl").write_text('{"key": "half a li')
    assert run(store, tmp_path / "run", "workers=2") == 0  # which changes no byte either
    assert stored(store) == stored(whole_store)


@pytest.mark.slow
def test_two_runs_at_once_on_one_store(whole_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    both = [begin(store, tmp_path / name) for name in ("one", "other")]
    for process in both:
        process.join(300)
    assert [process.exitcode for process in both] == [0, 0]
    assert stored(store) == stored(whole_store)
    assert not list(store.glob("*/*.partial"))
    for name in ("one", "other"):
        assert (tmp_path / name / "report.html").is_file()


@pytest.mark.slow
def test_the_smoke_experiment_killed_at_ten_random_moments(tmp_path: Path) -> None:
    def smoke(store: str, wait: float | None) -> int | None:
        words = ["experiment=smoke", f"store.root={tmp_path / store}", f"hydra.run.dir={tmp_path / 'runs' / store}"]
        words += [f"{part}.fit.checkpoint_minutes=0.01" for part in ("tokenizer", "lm", "vocoder")]
        process = subprocess.Popen([sys.executable, "-m", "pipelines.run", *words], cwd=ROOT, stderr=subprocess.PIPE)
        try:
            return process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    begun = time.monotonic()
    assert smoke("whole", None) == 0
    longest = time.monotonic() - begun
    whole = stored(tmp_path / "whole")
    rng, kills = random.Random(0), 0
    while kills < 10:
        match smoke("killed", rng.uniform(0.1, 0.6) * longest):
            case 0:
                assert stored(tmp_path / "killed") == whole
                shutil.rmtree(tmp_path / "killed")
            case code:
                assert code == -signal.SIGKILL
                kills += 1
    assert smoke("killed", None) == 0
    assert stored(tmp_path / "killed") == whole
