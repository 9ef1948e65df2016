"""The script for GPUs: it runs where there is none, and without the libraries that only whole runs need."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tests.calling import python
from tests.gpu.check import CHECKS
from tests.gpu.finding import CPU, SCALES
from wordless.base.machine import copy_to, local_gpus

ABSENT = ("fairseq2", "fairseq2n", "faiss", "hydra", "omegaconf", "soundfile", "soxr", "espeakng_loader", "librosa")


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
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["device"].startswith("no GPU")
    assert set(found["checks"]) == set(CHECKS)
    assert all(each["agrees"] for each in found["checks"].values())
    (left_out,) = found["checks"]["gpt_states"]["left_out"]
    assert "fairseq2" in left_out
    assert "fairseq2" in found["checks"]["gpt_training"]["left_out"][0]
    assert found["checks"]["gpt_training"]["rates"]["plain_tokens_per_second"] > 0
    assert "faiss" in found["checks"]["kmeans"]["left_out"][0]
    if find_spec("triton"):
        assert found["checks"]["wavenet_generation"]["rates"]["triton_other_levels_2"] == 0
    rates = found["checks"]["wavenet_training"]["rates"]
    assert rates["ratio_to_plain"] == pytest.approx(rates["samples_per_second"] / rates["plain_samples_per_second"])
    assert rates["share_of_memory_bandwidth"] > 0


@pytest.mark.parametrize("name", ["gpt_training", "gpt_states", "kmeans"])
def test_parts_that_need_fairseq2_and_faiss_run_where_these_are(name: str) -> None:
    found = CHECKS[name](CPU, SCALES["cpu"])
    assert found.agrees
    assert not found.left_out


def test_copies_stay_on_a_cpu_and_gpus_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = torch.ones(3)
    assert copy_to(tensor, torch.device("cpu")) is tensor
    assert list(local_gpus(torch.device("cpu"))) == []
    assert list(local_gpus(torch.device("cuda", 1))) == [1]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "here")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert list(local_gpus(torch.device("cuda", 1))) == [0, 1, 2]
