"""Options that must fit the number of processes are refused before anything is read."""

import re
import shlex
from pathlib import Path

import pytest

from pipelines.commandline.composition import verbatim_options
from pipelines.commandline.overrides import prepare
from pipelines.settings.run import run_settings
from tests.pipelines.tiny_chain import ROOT, called_at_once, composed, config_of, refusal
from wordless.base.errors import InputError

MACHINES = 2  # in the script for Slurm


def documented() -> list[tuple[int, list[str]]]:
    """The processes and the options of each line with torchrun in the documents."""
    pages = [ROOT / "docs" / name for name in ("training_processes.md", "guide.md")]
    text = "\n".join(page.read_text() for page in pages).replace("\\\n", " ").replace('"$SLURM_NNODES"', str(MACHINES))
    lines = re.findall(r"^(?:srun )?torchrun .*-m pipelines\.run.*", text, re.MULTILINE)
    found = []
    for line in lines:
        words = shlex.split(line, comments=True)
        launcher, options = words[: words.index("pipelines.run")], words[words.index("pipelines.run") + 1 :]
        counts = dict(word.lstrip("-").split("=", 1) for word in launcher if "=" in word)
        found.append((int(counts.get("nnodes", 1)) * int(counts["nproc-per-node"]), options))
    return found


@pytest.mark.parametrize(("processes", "options"), documented())
def test_lines_of_the_documents_suit_their_number_of_processes(
    processes: int, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    settings = run_settings(config_of("run", *prepare(options, verbatim_options("run"))))
    assert settings.trains_lm


def test_the_documents_train_on_one_machine_and_on_several() -> None:
    assert {8, 16} <= {processes for processes, _ in documented()}


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that torchrun gives to each of three processes."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "3")


def test_one_process_cannot_divide_the_weights(tmp_path: Path) -> None:
    told = refusal(called_at_once(tmp_path, "experiment=smoke", "lm.fit.sharding=fsdp"))
    assert re.search(r"lm\.fit\.sharding\b.*\bfsdp\b", told)
    assert "torchrun --nproc-per-node=2 -m pipelines.run" in told


@pytest.mark.usefixtures("three")
def test_several_processes_can(tmp_path: Path) -> None:
    words = ("lm.batches.batch_size=6", "stages=[lm,report]", "lm.fit.sharding=fsdp")
    settings = run_settings(composed(tmp_path, *words))
    assert settings.lm.fit.sharding == "fsdp"


@pytest.mark.usefixtures("three")
def test_a_batch_that_processes_and_accumulation_cannot_share_is_refused(tmp_path: Path) -> None:
    words = ("lm.batches.batch_size=9", "lm.fit.accumulation=2", "stages=[lm,report]")
    with pytest.raises(InputError, match=r"batch_size\b.*\b9\b.*\b6\b.*\b6\b"):
        run_settings(composed(tmp_path, *words))
