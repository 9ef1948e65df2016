"""Options that must fit the number of processes are refused before anything is read."""

from pathlib import Path

import pytest

from foundation.errors import InputError
from pipelines.settings.run import run_settings
from tests.pipelines.tiny_chain import called_at_once, composed, refusal


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that torchrun gives to each of three processes."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "3")


def test_one_process_cannot_divide_the_weights(tmp_path: Path) -> None:
    told = refusal(called_at_once(tmp_path, "experiment=smoke", "lm.fit.sharding=fsdp"))
    assert "lm.fit.sharding is fsdp, which divides the weights among processes, and this run has one" in told
    assert "torchrun --nproc-per-node=2 -m pipelines.run" in told


@pytest.mark.usefixtures("three")
def test_several_processes_can(tmp_path: Path) -> None:
    words = ("lm.batches.batch_size=6", "vocoder.crops.batch_size=3", "next_sample.crops.batch_size=3")
    settings = run_settings(composed(tmp_path, *words, "stages=[lm,report]", "lm.fit.sharding=fsdp"))
    assert settings.lm.fit.sharding == "fsdp"


@pytest.mark.usefixtures("three")
def test_a_contrastive_loss_is_not_computed_on_divided_weights(tmp_path: Path) -> None:
    words = ("lm.batches.batch_size=24", "vocoder.crops.batch_size=3", "next_sample.crops.batch_size=3")
    contrast = ("lm.contrast_weight=0.1", "lm.views.warps=1", "lm.fit.sharding=fsdp", "stages=[lm,report]")
    with pytest.raises(InputError, match=r"lm.fit.sharding is fsdp and lm.contrast_weight 0.1"):
        run_settings(composed(tmp_path, *words, *contrast))


@pytest.mark.usefixtures("three")
def test_a_batch_that_processes_and_accumulation_cannot_share_is_refused(tmp_path: Path) -> None:
    words = ("lm.batches.batch_size=9", "lm.fit.accumulation=2", "stages=[lm,report]")
    with pytest.raises(InputError, match=r"batch_size is 9, to be shared by 6 .*; choose a multiple of 6"):
        run_settings(composed(tmp_path, *words))


@pytest.mark.parametrize("value", ["fdsp", "true"])
def test_an_unknown_sharding_is_refused(value: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lm\.fit\.sharding.*none.*fsdp"):
        run_settings(composed(tmp_path, f"lm.fit.sharding={value}"))
