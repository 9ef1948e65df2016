"""Devices and memory of the process."""

import os
import platform
from pathlib import Path

import pytest
import torch

from wordless.base.machine import keep_freed_memory, multiplies_bf16

CPU_FLAGS = Path("/proc/cpuinfo")


@pytest.mark.skipif(not CPU_FLAGS.is_file(), reason="needs Linux, which lists the instructions of the processor")
def test_bfloat16_instructions_are_those_that_the_system_lists() -> None:
    assert multiplies_bf16(torch.device("cpu")) == ("avx512_bf16" in CPU_FLAGS.read_text().split())


MEGABYTE = 2**20


def resident() -> int:
    """Bytes of this process in main memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep memory")
def test_freed_memory_is_kept_for_the_time_of_the_block() -> None:
    before = resident()
    with keep_freed_memory():
        tensor = torch.ones(64 * MEGABYTE, dtype=torch.uint8)
        assert tensor.sum() == 64 * MEGABYTE
        del tensor
        assert resident() - before > 60 * MEGABYTE
    assert resident() - before < 30 * MEGABYTE
