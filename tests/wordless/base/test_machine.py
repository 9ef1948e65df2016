"""Devices."""

from pathlib import Path

import pytest
import torch

from wordless.base.errors import InputError
from wordless.base.machine import multiplies_bf16, require_device

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
