"""The bytes of a store: killed and resumed is never killed, and what the number of threads decides."""

import json
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import torch

from lm.gpt import GPTConfig
from pipelines.stages.features import CodedViews, UntrainedGPT, gpt_features
from pipelines.store.stored_features import FEATURES
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny import codes_entry, session_of, tiny_tokenizer
from tests.pipelines.tiny_chain import CHECKPOINTS, STEPS, TINY, Kill, called_at_once, refusal, run, stored
from tokenizer.codes import Codes
from tokenizer.kmeans import fit_codebook
from wordless.base.files import file_hash
from wordless.base.threads import use_threads

# Where it hurts: in the middle of training, between two files, before the last rename. tests/slow kills more.
KILLS = (
    Kill(path="embedded/embedded-*"),
    Kill(path="inspected.jsonl", count=7),
    Kill(path="autoencoder/*.checkpoints/fit.safetensors", count=STEPS // 2),
    Kill(path="tokenizer/*.partial/kmeans.json.aside"),
    Kill(path="codes/*.partial/codes-00000.parquet"),
    Kill(path="code_decoder/*.checkpoints/fit.safetensors", count=STEPS // 2),
    Kill(path="code_decoder/*.partial/model.safetensors"),
    Kill(path="lm/*.checkpoints/fit.safetensors", count=STEPS - 1),
    Kill(path="probed/????????????????"),
    Kill(path="vocoder/*.checkpoints/fit.safetensors", count=STEPS // 2),
    Kill(path="vocoder/*.partial/config.json"),
    Kill(path="listening/*.partial/listening.json"),
)


def test_killed_again_and_again_it_leaves_the_bytes_of_an_undisturbed_run(
    finished_run: FinishedRun, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    for number, kill in enumerate(KILLS):
        assert run(store, tmp_path / str(number), *CHECKPOINTS, kill=kill) == -signal.SIGKILL, kill
    assert run(store, tmp_path / "last", *CHECKPOINTS) == 0
    assert stored(store) == stored(finished_run.store)


def test_a_run_on_a_full_disk_ends_with_a_line_and_goes_on_when_there_is_space(
    finished_run: FinishedRun, small_disk: Path, tmp_path: Path
) -> None:
    codes = []
    for size in (1, 3, 256):  # MiB
        subprocess.run(["mount", "-o", f"remount,size={size}m,nr_inodes=4000", small_disk], check=True)
        done = called_at_once(tmp_path / str(size), *TINY, f"store.root={small_disk / 'store'}", *CHECKPOINTS)
        codes.append(done.returncode)
        assert done.returncode == 0 or re.search(rf"{small_disk}\b.*\bfull\b", refusal(done))
    assert codes == [2, 2, 0]
    assert stored(small_disk / "store") == stored(finished_run.store)


def test_untrained_states_and_centroids_depend_on_no_number_of_threads(tmp_path: Path) -> None:
    format = tiny_tokenizer(0).format
    rng, before = np.random.default_rng(0), torch.get_num_threads()
    clips = [rng.integers(0, format.codebook_size, (steps, 1)).astype(np.int32) for steps in (5, 300, 377)]
    codes = [Codes(values=values, num_samples=80 * len(values), format=format) for values in clips]
    coded = CodedViews(codes=codes_entry(tmp_path / "codes", codes))
    config = GPTConfig(model_dim=128, layers=2, heads=4, ffn_dim=512, context=512, dropout=0.0)
    untrained = UntrainedGPT(gpt=config, seed=0)
    points = rng.normal(size=(20_000, 16)).astype(np.float32)
    hashes = set()
    try:
        for threads in (1, 2, 3, 5):
            use_threads(threads)
            features = gpt_features(session_of(tmp_path / str(threads)), coded, untrained).folder / FEATURES
            centroids, _ = fit_codebook(points, size=64, iterations=3, seed=0)
            hashes.add((file_hash(features), centroids.tobytes()))
    finally:
        use_threads(before)
    assert len(hashes) == 1


def test_without_a_number_the_process_decides(finished_run: FinishedRun) -> None:
    (record,) = finished_run.store.glob("lm/*/entry.json")
    config = json.loads(record.read_text())["arguments"]
    half = max(torch.get_num_threads() // 2, 1)  # the vocoder is made at the same time
    assert (config["threads"], config["processes"]) == (half, 1)
