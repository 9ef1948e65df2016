"""The Triton engine against the slow reference: on a GPU if there is one, else in Triton's interpreter."""

import functools
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from tests.vocoder.sounds import lively, tiny_config
from tests.vocoder.test_engines import drawn, parallel_logits, path, stepped_logits
from vocoder.engines import bookmark
from vocoder.vocoder_options import Sampling
from vocoder.wavenet import TorchStreams

pytest.importorskip("triton")
from triton.runtime import interpreter

from vocoder import triton_streams
from vocoder.triton_streams import TritonStreams

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SIZES: dict[str, dict[str, Any]] = {
    "narrow, three taps, no condition": {
        **{"layers": 2, "cycles": 1, "kernel_size": 3, "residual_channels": 5, "gate_channels": 14},
        **{"skip_channels": 3, "levels": 20, "hop_length": 7, "condition": "none"},
    },
    "tiny, with groups": {"layers": 4, "hop_length": 5, "levels": 40, "groups": ("ann", "bob"), "cycles": 2},
    "channels of the default": {
        **{"layers": 3, "cycles": 1, "residual_channels": 64, "gate_channels": 128, "skip_channels": 128},
        **{"hop_length": 3, "levels": 256},
    },
    "with pitch": {"layers": 2, "cycles": 1, "hop_length": 3, "levels": 20, "pitch": True},
    "several blocks of gates": {"layers": 2, "hop_length": 3, "gate_channels": 150, "skip_channels": 70, "levels": 32},
}


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the interpreter prepare each function once, not at each call, which takes most of its time."""
    monkeypatch.setattr(interpreter, "_patch_lang", functools.cache(interpreter._patch_lang))


@pytest.mark.parametrize("size", [size for size in SIZES if size != "with pitch"])
@pytest.mark.parametrize(("count", "group", "temperature"), [(1, 1, 1.0), (3, 1, 0.0), (3, 16, 1.0)])
def test_levels_are_those_of_the_reference_engine(
    monkeypatch: pytest.MonkeyPatch, size: str, count: int, group: Literal[1, 16], temperature: float
) -> None:
    monkeypatch.setattr(triton_streams, "LAUNCH", 4)
    model, sampling = lively(tiny_config(**SIZES[size])), Sampling(temperature=temperature)
    wanted = drawn(TorchStreams(model, count), model, range(count), sampling)
    assert len(wanted.unique()) > (4 if temperature else 1)
    found = drawn(TritonStreams(model.to(DEVICE), count, group=group), model, range(count), sampling)
    assert torch.equal(found.cpu(), wanted)


@pytest.mark.parametrize("size", ["tiny, with groups", "with pitch"])
@pytest.mark.parametrize("group", [1, 16])
def test_logits_equal_the_parallel_networks(size: str, group: Literal[1, 16]) -> None:
    model = lively(tiny_config(**SIZES[size]))
    asked = path(model.config, 2, 2)
    wanted = parallel_logits(model, *asked)
    streams = TritonStreams(model.to(DEVICE), 2, group=group)
    torch.testing.assert_close(stepped_logits(streams, model, *asked), wanted, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_a_temperature_given_levels_and_bookmarks_are_those_of_the_reference_engine() -> None:
    model, sampling = lively(tiny_config(levels=32, hop_length=4, layers=2)), Sampling(temperature=0.6)
    conditions = torch.randn(2, 2, 2, 16, generator=torch.Generator().manual_seed(1))
    draws, given = torch.rand(2, 8, generator=torch.Generator().manual_seed(2)), torch.full((2, 8), -1)
    given[0, :5] = torch.arange(5)
    wanted = TorchStreams(model, 2).advance(conditions, given, draws, sampling)
    streams = TritonStreams(model.to(DEVICE), 2, group=1)
    go_back = bookmark(streams)

    def advance() -> Tensor:
        return streams.advance(conditions.to(DEVICE), given, draws, sampling)

    found, later = advance(), advance()
    assert torch.equal(found, wanted)
    assert torch.equal(found[0, :5], given[0, :5])
    go_back()
    assert torch.equal(advance(), found)
    assert torch.equal(advance(), later)
