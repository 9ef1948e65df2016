"""Long jobs in processes of their own: what comes back, and what is stopped where one of them fails."""

import multiprocessing
import time

import pytest
import torch

from wordless.base.errors import InputError
from wordless.base.pools import as_finished


def wait(seconds: float) -> int:
    """The number of threads, after a while; a negative time is refused at once."""
    if seconds < 0:
        raise InputError("seconds is -1; choose 0 or more")
    time.sleep(seconds)
    return torch.get_num_threads()


def test_results_come_as_they_are_finished_and_an_error_stops_all_other_jobs() -> None:
    jobs = {"endless": 3600.0, "short": 0.0, "wrong": -1.0}
    results = as_finished(wait, jobs, processes=2, threads=3, remedy="processes=1")
    assert next(results) == ("short", 3)
    with pytest.raises(InputError, match=r"seconds.*-1"):
        next(results)
    assert not multiprocessing.active_children()
