"""Devices and threads."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
import torch

from tests.calling import python
from wordless.base.devices import multiplies_bf16, require_device
from wordless.base.messages import InputError
from wordless.base.threads import limited_threads, one_thread

CPU_FLAGS = Path("/proc/cpuinfo")


@pytest.mark.skipif(not CPU_FLAGS.is_file(), reason="needs Linux, which lists the instructions of the processor")
def test_bfloat16_instructions_are_those_that_the_system_lists() -> None:
    assert multiplies_bf16(torch.device("cpu")) == ("avx512_bf16" in CPU_FLAGS.read_text().split())


@pytest.mark.parametrize("name", ["mps", "meta", "tpu"])  # PyTorch knows the first two, at least on some machines
def test_a_device_that_models_do_not_work_on_is_refused(name: str) -> None:
    with pytest.raises(InputError) as refused:
        require_device(name)
    assert refused.value.option == "device"
    assert require_device("cpu") == "cpu"


def test_blocks_of_one_thread_that_overlap_leave_the_number_of_threads_as_it_was() -> None:
    entered, left = Event(), Event()

    def second() -> int:
        with one_thread():
            entered.set()
            left.wait(timeout=60)
        return torch.get_num_threads()

    with limited_threads(3), ThreadPoolExecutor(1) as pool:
        with one_thread(), one_thread():
            later = pool.submit(second)
            entered.wait(timeout=60)
            assert torch.get_num_threads() == 1
        left.set()
        assert later.result() == torch.get_num_threads() == 3
        with ThreadPoolExecutor(1) as new:
            assert new.submit(torch.get_num_threads).result() == 3


def test_objects_of_large_imports_are_left_out_of_searches_for_circles_which_go_on_afterwards() -> None:
    code = (
        "import gc; from wordless.base.imports import large_imports\n"
        "with large_imports():\n    assert not gc.isenabled()\n    import torch\n"
        "assert gc.isenabled() and gc.get_freeze_count() > 100_000\n"
        "later, frozen = [[]], gc.get_freeze_count()\n"
        "with large_imports():\n    pass\n"
        "assert gc.is_tracked(later) and gc.get_freeze_count() == frozen, 'a later job leaves its own in the search'"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
