"""``auto`` is bfloat16 where all devices have instructions for it; ``auto_gpu`` where all of them are such GPUs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch

from tests.wordless.training.test_fit import CONFIG
from wordless.training.fit import Precision, choose_precision, fast_products, with_precision
from wordless.training.gangs import Gang
from wordless.training.options import FitConfig

AUTO = replace(CONFIG, precision="auto")
MEANINGS = pytest.mark.parametrize(("supported", "precision"), [(True, "bf16"), (False, "fp32")])


class Mixed(Gang):
    """A process among others, one of which has a processor without the instructions."""

    def sum(self, values: Sequence[float]) -> list[float]:
        return [value + 1 for value in values]


@dataclass(frozen=True)
class Stage:
    """Options of a stage, which hold others, as in the settings of a run."""

    fit: FitConfig
    inner: "Stage | None" = None


def alone(kind: type[Gang] = Gang) -> Gang:
    return kind(torch.device("cpu"))


@MEANINGS
def test_auto_is_replaced_at_every_depth_and_nothing_else_is(
    supported: bool, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wordless.training.fit.multiplies_bf16", lambda device: supported)
    named = [replace(CONFIG, precision=each) for each in ("fp32", "bf16")]
    settings = Stage(fit=named[0], inner=Stage(fit=AUTO, inner=Stage(fit=named[1])))
    expected = Stage(fit=named[0], inner=Stage(fit=replace(CONFIG, precision=precision), inner=Stage(fit=named[1])))
    assert with_precision(settings, alone()) == expected


def test_bf16_is_taken_where_all_processors_or_gpus_multiply_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wordless.training.fit.multiplies_bf16", lambda device: True)
    assert choose_precision(alone()) == "bf16"
    assert choose_precision(alone(Mixed)) == "fp32"
    config = replace(CONFIG, precision="auto_gpu")
    gpu = Gang(torch.device("cuda"))
    monkeypatch.setattr(gpu, "sum", list)
    assert with_precision(config, alone()).precision == "fp32"
    assert with_precision(config, gpu).precision == "bf16"


def test_products_are_fast_on_gpus_alone_and_only_in_training() -> None:
    for device, wanted in (("cpu", False), ("cuda", True)):
        with fast_products(torch.device(device)):
            assert torch.backends.cuda.matmul.allow_tf32 == wanted
        assert not torch.backends.cuda.matmul.allow_tf32
