"""The script for GPUs: it runs where there is none, and without the libraries that only whole runs need."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.calling import python
from tests.gpu.check import CPU, SMALL, Finding, Scale, gpt_training, kmeans
from wordless.base.devices import copy_to, local_gpus

ABSENT = ("fairseq2", "fairseq2n", "faiss", "hydra", "omegaconf", "soundfile", "soxr", "espeakng_loader", "librosa")
LEFT_OUT = {"gpt_training", "kmeans", "gpt_compiled"}


def test_every_path_runs_on_a_cpu_without_fairseq2_faiss_and_libsndfile(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU: call tests/gpu/run.sh")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r}))\n"
        "from tests.gpu.check import main\n"
        f"sys.exit(main([{str(tmp_path / 'found.json')!r}]))"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "no GPU here"
    found = json.loads((tmp_path / "found.json").read_text())["checks"]
    assert all(each["agrees"] for each in found.values())
    assert {name for name, each in found.items() if each["left_out"]} == LEFT_OUT


@pytest.mark.parametrize("check", [gpt_training, kmeans])
def test_parts_that_need_fairseq2_and_faiss_run_where_these_are(
    check: Callable[[torch.device, Scale], Finding],
) -> None:
    found = check(CPU, SMALL)
    assert found.agrees
    assert found.rates


def test_copies_stay_on_a_cpu_and_gpus_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = torch.ones(3)
    assert copy_to(tensor, torch.device("cpu")) is tensor
    assert list(local_gpus(torch.device("cpu"))) == []
    assert list(local_gpus(torch.device("cuda", 1))) == [1]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "here")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert list(local_gpus(torch.device("cuda", 1))) == [0, 1, 2]
