"""Long jobs in processes of their own: what comes back, and what is stopped where one of them fails."""

import multiprocessing
import time

import pytest
import torch

from foundation.errors import InputError
from foundation.workers import as_finished


def wait(seconds: float) -> int:
    """The number of threads, after a while; a negative time is refused at once."""
    if seconds < 0:
        raise InputError("seconds is -1; choose 0 or more")
    time.sleep(seconds)
    return torch.get_num_threads()


def test_results_come_as_soon_as_they_are_there() -> None:
    jobs = {"late": 1.0, "early": 0.0}
    done = list(as_finished(wait, jobs, processes=2, threads=3, remedy="processes=1"))
    assert sorted(done) == [("early", 3), ("late", 3)]
    assert not multiprocessing.active_children()


def test_an_error_stops_the_other_jobs() -> None:
    jobs = {"endless": 3600.0, "wrong": -1.0}
    with pytest.raises(InputError, match="seconds is -1"):
        list(as_finished(wait, jobs, processes=2, threads=1, remedy="processes=1"))
    assert not multiprocessing.active_children()
