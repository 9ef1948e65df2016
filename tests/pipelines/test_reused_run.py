"""A run that computes nothing, because its store has every stage."""

import json

import pytest

from tests.calling import python
from tests.pipelines.conftest import FinishedRun


@pytest.fixture(scope="module")
def counted(finished_run: FinishedRun) -> dict[str, dict[str, int]]:
    done = python("-m", "tests.counted", "run", *finished_run.words, GLIBC_TUNABLES="glibc.malloc.hugetlb=0")
    assert done.returncode == 0, done.stderr
    assert "computing" not in done.stderr
    found: dict[str, dict[str, int]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_its_settings_are_built_once(counted: dict[str, dict[str, int]]) -> None:
    assert counted["built"] == {"RunSettings": 1, "TokenizerConfig": 1}


def test_it_makes_few_calls(counted: dict[str, dict[str, int]]) -> None:
    assert sum(counted["calls"].values()) < 22_000, counted["calls"]
