"""A step of every training: how many operators it takes, and that it neither waits for a device nor mixes two."""

import pytest
import torch
from torch import nn

from pipelines.benchmarks.counting import CPU, META, Placement, PlacementError, count_compiled, count_step
from pipelines.benchmarks.trainings import TRAININGS

QUICK = ("autoencoder", "gpt", "simclr", "supervised", "gpt_sound")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in TRAININGS]
)
def test_a_step_keeps_its_bounds_and_its_tensors_on_one_device(name: str) -> None:
    kind = TRAININGS[name]
    counts = count_step(kind)
    assert counts.kernels <= kind.most_kernels
    assert counts.waits <= kind.waits
    assert counts.copies_to_host == 1  # the loss and its items


@pytest.mark.slow  # compiles for a minute
def test_a_compiled_step_of_the_gpt_has_a_third_of_the_operators() -> None:
    operators, kernels = count_compiled(TRAININGS["gpt"])
    plain = count_step(TRAININGS["gpt"])
    assert operators <= plain.operators / 3
    assert kernels <= plain.kernels / 2


def test_devices_are_not_mixed() -> None:
    there, here = torch.ones(2, 2, device=META), torch.ones(2, 2)
    with Placement():
        assert (there * torch.tensor(2.0)).is_meta  # a GPU takes a single number of the host
        for work in (
            lambda: there @ here,
            lambda: there[torch.tensor([0, 1])],
            lambda: nn.functional.linear(here, there),
        ):
            with pytest.raises(PlacementError):
                work()


def test_waits_and_copies_are_counted() -> None:
    there = torch.ones(2, 2, device=META)
    with Placement() as found:
        torch.ones(3).to(META, non_blocking=True)
        there.to(CPU, non_blocking=True)
    assert (found.waits, found.copies_to_device, found.copies_to_host, found.bytes_to_device) == (0, 1, 1, 12)
    for work in (lambda: float(there.sum()), lambda: torch.ones(3).to(META), there.cpu, there.tolist):
        with Placement() as found:
            work()
        assert found.waits >= 1
