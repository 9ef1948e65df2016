"""Functions of clips in pools: results in order, work that is not begun too early, and work that is given up."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.calling import ROOT
from wordless.base.messages import InputError
from wordless.base.pools import LOCAL, THIS_PROCESS, EngineConfig, in_order, open_pool, open_processes
from wordless.base.threads import cores


def negative(number: int) -> int:
    if number == 7:
        raise InputError("the number is 7; choose another")
    return -number


def threads(_: int) -> int:
    return torch.get_num_threads()


@given(jobs=st.integers(0, 100), workers=st.integers(1, 4))
def test_results_come_in_the_order_of_the_jobs(jobs: int, workers: int) -> None:
    with open_pool(LOCAL, workers, threads=True) as pool:
        numbers = range(10, 10 + jobs)
        assert list(in_order(negative, numbers, pool)) == [-number for number in numbers]


def interrupted(number: int) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return number


def slow(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_processes_give_what_one_process_gives_and_an_interrupt_is_for_the_main_process() -> None:
    began, jobs = time.monotonic(), range(100, 200)

    def use() -> None:
        with open_pool(LOCAL, 2) as pool:
            assert list(in_order(negative, jobs, pool)) == list(in_order(negative, jobs, THIS_PROCESS))
            assert {*in_order(threads, jobs, pool)} == {*in_order(threads, jobs, THIS_PROCESS)} == {1}
            assert list(in_order(interrupted, range(4), pool)) == [0, 1, 2, 3]  # the workers go on
            results = in_order(slow, [0.0] * 8 + [120.0] * 200, pool)
            next(results)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    assert time.monotonic() - began < 120  # the workers end at once


WAITING = """
import os, sys, time
from multiprocessing import get_context
from pathlib import Path

import joblib

from wordless.base.processes import end_with_parent


def wait(name):
    end_with_parent()
    Path(sys.argv[2], str(os.getpid())).touch()
    time.sleep(3600)


if __name__ == "__main__":
    if sys.argv[1] == "loky":
        joblib.Parallel(n_jobs=2)(joblib.delayed(wait)(name) for name in "ab")
    else:
        get_context(sys.argv[1]).Pool(2).map(wait, "ab", chunksize=1)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("starter", ["loky", "spawn", "forkserver"])
def test_workers_end_when_their_parent_is_killed(starter: str, number: int, tmp_path: Path) -> None:
    script, begun = tmp_path / "waiting.py", tmp_path / "begun"
    script.write_text(WAITING)
    begun.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(script), starter, str(begun)]
    parent = subprocess.Popen(words, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while len(list(begun.iterdir())) < 2 and parent.poll() is None:
        time.sleep(0.05)
    parent.send_signal(number)
    _, told = parent.communicate(timeout=60)  # this reads until the workers have ended, too
    assert parent.returncode == -number, told
    assert "Traceback" not in told


def test_an_address_belongs_to_ray_whose_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^address\b.*10\.0\.0\.1:6379\b.*\bname=ray\b"):
        EngineConfig(address="10.0.0.1:6379")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'wordless\[ray\]'"):
        EngineConfig(name="ray")


def test_an_address_is_a_host_and_a_port() -> None:
    pytest.importorskip("ray", reason="needs pip install 'wordless[ray]'")
    for address in (None, "auto", "head:6379", "[::1]:1"):
        assert EngineConfig(name="ray", address=address).address == address
    for address in ("", "head", "ray://head:10001", "head:6379/x"):
        with pytest.raises(InputError, match=r"^address\b.*host:port"):
            EngineConfig(name="ray", address=address)


def test_only_so_many_tasks_are_handed_out_before_a_result_is_taken() -> None:
    begun: list[int] = []
    with open_pool(LOCAL, 2, threads=True) as pool:
        results = in_order(begun.append, range(1000), pool)
        next(results)
        time.sleep(0.1)
        assert len(begun) <= pool.ahead
        assert len(list(results)) == 999


def test_zero_workers_are_all_that_pay() -> None:
    assert (LOCAL.workers(3, enough=False), LOCAL.workers(0, enough=False)) == (3, 1)
    assert LOCAL.workers(0, enough=True) == cores()


def wait(seconds: float) -> int:
    if seconds < 0:
        raise InputError("seconds is -1; choose 0 or more")
    time.sleep(seconds)
    return torch.get_num_threads()


def test_long_work_has_its_threads_and_an_error_stops_all_of_it() -> None:
    def work() -> None:
        with open_processes(2, int, threads=3) as submit:
            submit(wait, 3600.0)
            assert submit(wait, 0.0).result() == 3
            submit(wait, -1.0).result()

    with pytest.raises(InputError, match=r"seconds.*-1"):
        work()
    assert not multiprocessing.active_children()
