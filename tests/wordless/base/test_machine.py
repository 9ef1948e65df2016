"""Devices."""

from pathlib import Path

import pytest
import torch

from wordless.base.machine import multiplies_bf16

CPU_FLAGS = Path("/proc/cpuinfo")


@pytest.mark.skipif(not CPU_FLAGS.is_file(), reason="needs Linux, which lists the instructions of the processor")
def test_bfloat16_instructions_are_those_that_the_system_lists() -> None:
    assert multiplies_bf16(torch.device("cpu")) == ("avx512_bf16" in CPU_FLAGS.read_text().split())
