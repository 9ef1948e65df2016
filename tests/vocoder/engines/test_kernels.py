from pathlib import Path

import pytest
from numba import njit

from tests.waiting import SOON, assert_waits, beside
from vocoder.engines import kernels
from wordless.base import files as locks
from wordless.base.files import compiling


def test_the_kernel_is_compiled_by_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "lock_paths", lambda: [tmp_path / "lock"])
    njit(lambda number: number)(1)  # the first function of a process takes longest
    compiled = njit(lambda number: number)
    monkeypatch.setattr(kernels, "go_on", compiled)
    assert_waits(lambda: kernels.compile_for((1,)), lambda: compiled.overloads)
    with compiling(), beside(lambda: kernels.compile_for((2,))) as ended:  # it is there, so nothing waits
        assert ended.wait(SOON)
