"""Two processes under torchrun do together what one does alone."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.pipelines.tiny_chain import ROOT, STEPS, TINY, artifacts, run, stored
from tests.wordless.training.model_worker import FIT, NEVER, PATIENT, train
from wordless.training.fit import Gang

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
FP32 = ("lm.fit.precision=fp32", "vocoder.fit.precision=fp32", "lm.gpt.dropout=0")
EACH_STEP = ("lm.fit.validate_every=1", "vocoder.fit.validate_every=1")  # so that the curve has each step's loss
NO_REPORT = "stages=[tokenizer,lm,vocoder]"
MADE_ALONE = (
    "pitches",
    "sample",
    "augmented_sample",
    "autoencoder",
    "tokenizer",
    "codes",
    "views",
    "health",
    "waveforms",
)
REFUSING = """
import os, time
from wordless.base.messages import InputError
from pipelines.commandline.command import command
from pipelines.commands import COMMANDS

def task(config):
    if os.environ["RANK"] in config["root"]:
        raise InputError("a wish; it must be granted")
    time.sleep(1)
    if os.environ["RANK"] == "1":
        raise RuntimeError("rank 0 has left")  # as the process group says when it waits for one that has ended
    time.sleep(60)

command(COMMANDS["runs"], task)
"""

WAITING = """
import os, sys, time
from pathlib import Path
import torch
from wordless.training.fit import open_gang

with open_gang(torch.device("cpu")) as gang:
    gang.barrier()
    Path(sys.argv[1], str(gang.rank)).write_text(str(os.getpid()))
    if gang.rank == 0:
        time.sleep(600)  # as while it encodes a corpus
    gang.barrier()
"""

RESTARTING = """
import os, signal, sys
from pathlib import Path
import torch
from wordless.training.fit import open_gang

met = Path(sys.argv[1])
with open_gang(torch.device("cpu")) as gang:
    times = len([*met.glob(f"{gang.rank}-*")])
    gang.barrier()
    (met / f"{gang.rank}-{times}").write_text(os.environ["TORCHELASTIC_RESTART_COUNT"])
    gang.barrier()
    if times < 2 and gang.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    gang.barrier()
"""

CONNECTING = """
import os, sys, time
from datetime import timedelta
import torch
from pipelines.commandline.command import command
from pipelines.commands import COMMANDS
from wordless.training import joining
from wordless.training.fit import open_gang

joining.CONNECTING = timedelta(seconds=6)

def task(config):
    if os.environ["RANK"] == sys.argv[1].partition("rank_")[2]:
        time.sleep(600)
    with open_gang(torch.device("cpu")) as gang:
        gang.barrier()
        if gang.rank == 0:
            time.sleep(8)  # as while it encodes a corpus
        gang.barrier()

command(COMMANDS["runs"], task)
"""

DIVERGING = """
from dataclasses import replace
from pathlib import Path
import torch
from wordless.base.messages import InputError
from tests.wordless.training.model_worker import FIT, autoencoder
from tokenizer.autoencoder_training import PatchBatches
from wordless.training.fit import open_gang

whole = PatchBatches.batch

def damaged(batches, step, part, parts):
    batch = whole(batches, step, part, parts)
    return replace(batch, patches=batch.patches * float("nan")) if step == 2 else batch

PatchBatches.batch = damaged
with open_gang(torch.device("cpu")) as gang:
    try:
        autoencoder(replace(FIT, validate_every=6), Path("model"), gang, -1)
    except InputError as error:
        Path(str(gang.rank)).write_text(str(error))
"""


def together(*words: str, cwd: Path = ROOT, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    command = [*TORCHRUN, *words]
    return subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=timeout
    )


WORKER = str(Path(__file__).with_name("model_worker.py"))
KILLED_AT = 3


def losses(curve: Path) -> list[tuple[float, float]]:
    return [(point["train_loss"], point["validation_loss"]) for point in json.loads(curve.read_text())["curve"]]


def curve(store: Path, stage: str) -> Path:
    (path,) = store.glob(f"{stage}/*/curve.json")
    return path


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    """Two processes have unequal numbers of counted codes and of validation batches."""
    two, one = tmp_path / "two", tmp_path / "one"
    one.mkdir()
    nearness = {"normalised": 1e-3, "gpt_accumulated": 1e-4}  # each process normalises by its own share of a batch
    done = together(WORKER, str(two), str(NEVER), *nearness)
    assert done.returncode == 0, done.stderr
    for name, near in nearness.items():
        train(name, one, Gang(torch.device("cpu")))
        np.testing.assert_allclose(losses(two / f"{name}.json"), losses(one / f"{name}.json"), atol=near)
        assert len(losses(two / f"{name}.json")) == FIT.steps
        first, second = ((two / f"{name}-{rank}.safetensors").read_bytes() for rank in (0, 1))
        assert first == second
    # Batches are shared out equally here, so the mean of both shares' means is that of the whole.
    means = [load_file(folder / "normalised-0.safetensors")["0.running_mean"] for folder in (two, one)]
    torch.testing.assert_close(*means, atol=1e-6, rtol=0)


def test_two_processes_stop_at_the_same_step_when_validation_no_longer_improves(tmp_path: Path) -> None:
    done = together(WORKER, str(tmp_path), str(NEVER), "patient", timeout=300)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "patient.json").read_text())
    assert record["steps"] == record["kept_step"] + 2 < record["planned"] == PATIENT.steps
    steps = [(tmp_path / f"patient-{rank}").read_text().splitlines()[-1].split()[1] for rank in (0, 1)]
    assert steps == [str(record["steps"] - 1)] * 2
    first, second = ((tmp_path / f"patient-{rank}.safetensors").read_bytes() for rank in (0, 1))
    assert first == second


@pytest.mark.slow
def test_a_lost_process_is_restarted_and_training_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    for folder, options, killed_at in (("two", (), NEVER), ("lost", ("--max-restarts=3",), KILLED_AT)):
        done = together(*options, WORKER, str(tmp_path / folder), str(killed_at), "gpt")
        assert done.returncode == 0, done.stderr
    for name in [path.name for path in (tmp_path / "two/gpt").iterdir()]:
        assert (tmp_path / "lost/gpt" / name).read_bytes() == (tmp_path / "two/gpt" / name).read_bytes()
    assert losses(tmp_path / "lost/gpt.json") == losses(tmp_path / "two/gpt.json")
    for rank in (0, 1):
        notes = (tmp_path / "lost" / f"gpt-{rank}").read_text().splitlines()
        again = [int(line.split()[1]) for line in notes if line[0] == "1"]
        assert again == list(range(KILLED_AT, FIT.steps))


def test_restarted_processes_connect_at_their_first_attempt(tmp_path: Path) -> None:
    (tmp_path / "restarting.py").write_text(RESTARTING)
    done = together("--max-restarts=2", "restarting.py", str(tmp_path), cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_text() for path in tmp_path.glob("1-*")} == {f"1-{n}": str(n) for n in range(3)}


@pytest.mark.slow
def test_processes_of_two_machines_connect_although_each_counts_its_restarts(tmp_path: Path) -> None:
    (tmp_path / "restarting.py").write_text(RESTARTING)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        place = f"localhost:{free.getsockname()[1]}"
    words = ("--nnodes=2", "--max-restarts=3", "--rdzv-backend=c10d", f"--rdzv-endpoint={place}", "--rdzv-id=two")
    command = (sys.executable, "-m", "torch.distributed.run", *words, "--local-addr=localhost", "restarting.py", ".")
    agents = [subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT) for _ in range(2)]
    try:
        assert [agent.wait(120) for agent in agents] == [0, 0]
    finally:
        for agent in agents:
            agent.kill()
    counts = [{path.read_text() for path in tmp_path.glob(f"{rank}-*")} for rank in (0, 1)]
    assert counts[0] != counts[1]  # the agent whose process was killed has counted, the other has not


@pytest.mark.slow
@pytest.mark.parametrize("absent", [0, 1])
def test_processes_that_do_not_meet_say_so_in_one_line(absent: int, tmp_path: Path) -> None:
    (tmp_path / "connecting.py").write_text(CONNECTING)
    done = together("connecting.py", f"root=rank_{absent}", cwd=tmp_path, timeout=120)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("wordless runs:")]
    assert re.search(rf"process {1 - absent} of 2 .*0\.1 minutes.*--max-restarts", line)
    assert re.search(r"exitcode *: 2\b", done.stderr)


@pytest.mark.slow
def test_a_process_may_work_alone_for_longer_than_connecting_may_take(tmp_path: Path) -> None:
    (tmp_path / "connecting.py").write_text(CONNECTING)
    done = together("connecting.py", "root=rank_2", cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_chain_makes_the_same_in_one_process_and_in_two(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(one, tmp_path / "alone", *FP32, *EACH_STEP, NO_REPORT) == 0
    words = (*TINY, *FP32, *EACH_STEP, NO_REPORT, f"store.root={two}")
    done = together("-m", "pipelines.run", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for stage in ("lm", "vocoder"):
        alone, shared = (losses(curve(store, stage)) for store in (one, two))
        assert len(alone) == STEPS
        np.testing.assert_allclose(shared, alone, atol=1e-4)
    assert {path.parent.name for path in artifacts(two)} == {path.parent.name for path in artifacts(one)}
    # How many processes and threads there are decides the rounding of what they train, and so its key.
    assert keys(two, MADE_ALONE) == keys(one, MADE_ALONE)
    assert keys(two, ("lm", "vocoder")).isdisjoint(keys(one, ("lm", "vocoder")))
    assert made_alone(two) == made_alone(one)
    runs = [path for path in (tmp_path / "runs").iterdir() if path.is_dir() and not path.is_symlink()]
    assert len(runs) == 1  # rank 0's alone
    assert not (tmp_path / "outputs").exists()


def keys(store: Path, stages: tuple[str, ...]) -> set[str]:
    return {path.name for path in artifacts(store) if path.parent.name in stages}


def made_alone(store: Path) -> dict[str, str]:
    return {path: digest for path, digest in stored(store).items() if path.split("/")[0] in MADE_ALONE}


@pytest.mark.slow
@pytest.mark.parametrize("ranks", ["0", "1", "01"])
def test_what_one_process_refuses_ends_all_and_is_told_once(ranks: str, tmp_path: Path) -> None:
    (tmp_path / "refusing.py").write_text(REFUSING)
    done = together("refusing.py", f"root=rank_{ranks}", cwd=tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("a wish; it must be granted") == 1
    assert "RuntimeError" not in done.stderr


@pytest.mark.slow
def test_all_processes_refuse_a_loss_together_where_rank_0_saves_alone(tmp_path: Path) -> None:
    (tmp_path / "diverging.py").write_text(DIVERGING)
    done = together("diverging.py", cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    refused = [(tmp_path / rank).read_text() for rank in "01"]
    assert refused[0] == refused[1]
    assert re.search(r"step 2\b.*\bnan\b.*finite", refused[0])


def test_the_processes_of_a_killed_torchrun_end(tmp_path: Path) -> None:
    (tmp_path / "waiting.py").write_text(WAITING)
    torchrun = subprocess.Popen([*TORCHRUN, "waiting.py", str(tmp_path)], cwd=tmp_path, env=ENVIRONMENT)
    places = [tmp_path / rank for rank in "01"]
    try:
        while not all(place.exists() and place.read_text() for place in places):
            assert torchrun.poll() is None
            time.sleep(0.05)
    finally:
        torchrun.kill()
        torchrun.wait()
    ranks = [int(place.read_text()) for place in places]
    deadline = time.monotonic() + 30  # half a second on an idle machine
    while any(map(running, ranks)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [rank for rank in ranks if running(rank)]


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return not state.strip().startswith("Z")
