"""The Triton engine against the slow reference: on a GPU if there is one, else in Triton's interpreter."""

import functools
import os
import subprocess
import sys
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from tests.reference import generated_by_the_parallel_model
from tests.vocoder.engines.test_choice import lively, parallel_logits, path, stepped_logits
from tests.vocoder.sounds import tiny_config
from vocoder.engines.choice import choose_engine
from vocoder.engines.torch_streams import TorchStreams
from vocoder.generation import GenerationInput
from vocoder.options import Sampling, WaveNetConfig
from vocoder.wavenet import WaveNet

pytest.importorskip("triton")
from triton.runtime import interpreter

from vocoder.engines import choice, triton_streams
from vocoder.engines.triton_streams import TritonStreams

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
    "several blocks of gates": {"layers": 2, "hop_length": 3, "gate_channels": 150, "skip_channels": 70, "levels": 32},
}


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the interpreter prepare each function once, not at each call, which takes most of its time."""
    monkeypatch.setattr(interpreter, "_patch_lang", functools.cache(interpreter._patch_lang))


def clips_of(config: WaveNetConfig, count: int, frames: int) -> list[GenerationInput]:
    noise = torch.randn(count, frames, config.condition_inputs, generator=torch.Generator().manual_seed(3))
    return [
        GenerationInput(spectrogram=each, group=seed % (len(config.groups) + 1) - 1, seed=seed)
        for seed, each in enumerate(noise)
    ]


@torch.inference_mode()
def generated(
    model: WaveNet, clips: list[GenerationInput], temperature: float, group: Literal[1, 16]
) -> list[list[int]]:
    """Levels of each clip, in two calls that part at a frame."""
    hop, model = model.config.hop_length, model.to(DEVICE)
    spectrogram = torch.stack([clip.spectrogram for clip in clips]).to(DEVICE)
    conditions = model.conditions(spectrogram, torch.tensor([clip.group for clip in clips], device=DEVICE))
    steps, streams = spectrogram.shape[1] * hop, TritonStreams(model, len(clips), group=group)
    draws = torch.stack([torch.rand(steps, generator=torch.Generator().manual_seed(clip.seed)) for clip in clips])
    nothing, sampling = torch.full((len(clips), steps), -1), Sampling(temperature=temperature)
    first = streams.advance(conditions[:, :1], nothing[:, :hop], draws[:, :hop], sampling)
    rest = streams.advance(conditions[:, 1:], nothing[:, hop:], draws[:, hop:], sampling)
    model.cpu()
    return [row.tolist() for row in torch.cat([first, rest], dim=1)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("count", "group"), [(1, 1), (3, 1), (3, 16)])
def test_levels_equal_the_parallel_network_on_the_growing_sequence(
    monkeypatch: pytest.MonkeyPatch, size: str, count: int, group: Literal[1, 16]
) -> None:
    monkeypatch.setattr(triton_streams, "LAUNCH", 4)
    model = lively(tiny_config(**SIZES[size]))
    clips = clips_of(model.config, count, 3)
    wanted = [generated_by_the_parallel_model(model, clip, 1.0) for clip in clips]
    assert len({level for levels in wanted for level in levels}) > 4
    assert generated(model, clips, 1.0, group) == wanted


@pytest.mark.parametrize("group", [1, 16])
def test_the_most_probable_levels_are_those_of_the_parallel_network(group: Literal[1, 16]) -> None:
    model = lively(tiny_config(**SIZES["tiny, with groups"]))
    clips = clips_of(model.config, 2, 2)
    assert generated(model, clips, 0.0, group) == [generated_by_the_parallel_model(model, each, 0.0) for each in clips]


@pytest.mark.parametrize(("fp16", "tolerance"), [(False, 1e-4), (True, 2e-3)])
@pytest.mark.parametrize("group", [1, 16])
def test_logits_equal_the_parallel_networks(group: Literal[1, 16], fp16: bool, tolerance: float) -> None:
    model = lively(tiny_config(**SIZES["tiny, with groups"]))
    asked = path(model.config, 2, 2)
    wanted = parallel_logits(model, *asked)
    streams = TritonStreams(model.to(DEVICE), 2, fp16=fp16, group=group)
    torch.testing.assert_close(stepped_logits(streams, model, *asked), wanted, atol=tolerance, rtol=tolerance)


@torch.inference_mode()
def test_a_nucleus_given_levels_and_bookmarks_are_those_of_the_reference_engine() -> None:
    model, sampling = lively(tiny_config(levels=32, hop_length=4, layers=2)), Sampling(temperature=0.6, top_p=0.8)
    conditions = torch.randn(2, 2, 2, 16, generator=torch.Generator().manual_seed(1))
    draws, given = torch.rand(2, 8, generator=torch.Generator().manual_seed(2)), torch.full((2, 8), -1)
    given[0, :5] = torch.arange(5)
    wanted = TorchStreams(model, 2).advance(conditions, given, draws, sampling)
    streams = TritonStreams(model.to(DEVICE), 2, group=1)
    go_back = streams.bookmark()

    def advance() -> Tensor:
        return streams.advance(conditions.to(DEVICE), given, draws, sampling)

    found, later = advance(), advance()
    assert torch.equal(found, wanted)
    assert torch.equal(found[0, :5], given[0, :5])
    go_back()
    assert torch.equal(advance(), found)
    assert torch.equal(advance(), later)


def test_the_engine_is_confirmed_where_it_is_right_and_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU the interpreter stands in for a GPU, and it is slower than anything."""
    monkeypatch.setattr(choice, "SAMPLES", 3)
    monkeypatch.setattr(choice, "WIDTHS", (1, 2))
    model = lively(tiny_config(**SIZES["channels of the default"])).to(DEVICE)
    found = choice.compare(model, "triton", "torch")
    assert found.difference < 1e-5
    speedy, slow = ((2.0, 1.0), (3.0, 2.0)), ((2.0, 1.0), (2.0, 3.0))
    assert choice.EngineComparison(difference=found.difference, rates=speedy).chooses
    assert not choice.EngineComparison(difference=found.difference, rates=slow).chooses
    assert not choice.EngineComparison(difference=0.01, rates=speedy).chooses
    chosen, line = choice.compared(model, "triton", "torch", "this device")
    assert line.startswith(f"engine on this device: {'triton' if chosen else 'torch'};")
    monkeypatch.setattr(triton_streams, "go_on", None)
    chosen, line = choice.compared(model, "triton", "torch", "this device")
    assert not chosen
    assert "torch, since its comparison with triton fails with TypeError" in line


def test_auto_asks_the_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU the comparison fails, and the engine that needs no confirmation stays."""
    if DEVICE.type == "cuda":
        pytest.skip("the comparison succeeds here")
    asked: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: asked.append(device) or "a card")
    monkeypatch.setattr(choice, "SAMPLES", 3)
    monkeypatch.setattr(choice, "_known", {})
    model = lively(tiny_config(**SIZES["several blocks of gates"]))
    for _ in range(2):
        chosen = choose_engine("auto", "cuda", model)
        assert (chosen.engine, chosen.notice) == ("cuda_graph", None)
        assert str(chosen.measured).startswith("engine on a card: cuda_graph, since")
        assert "NoneType" not in str(chosen.measured)
        monkeypatch.setattr(choice, "compare", None)  # which a second comparison would name
    assert len(asked) == 2
    assert choose_engine("auto", "cuda").measured is None


COMPILE = """
import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from vocoder.engines import triton_streams
from vocoder.options import WaveNetConfig
from vocoder.options import Sampling
from vocoder.wavenet import create_wavenet

class Card:
    get_current_target = staticmethod(lambda: GPUTarget("cuda", {card}, 32))
    get_current_device = get_current_stream = staticmethod(lambda *device: 0)

class Compile:
    def __getitem__(self, grid):
        def launch(*arguments, **options):
            compiled = kernel.warmup(*arguments, grid=grid, **options)
            print(compiled.metadata.target.arch, "bar.sync" in compiled.asm["ptx"], len(kernel.device_caches[0][0]))
        return launch

driver.set_active(Card())
kernel, triton_streams.go_on, triton_streams._precision = triton_streams.go_on, Compile(), lambda device: "tf32x3"
streams = triton_streams.TritonStreams(create_wavenet(WaveNetConfig(), seed=0), 1, fp16={fp16}, group={group})
for frames in (2, 1):
    conditions, given = torch.zeros(1, frames, 20, 128), torch.full((1, 160 * frames), -1)
    streams.advance(conditions, given, torch.rand(given.shape), Sampling())
    streams.score(conditions, given)
"""


@pytest.mark.slow
@pytest.mark.parametrize("card", [80, 90])
@pytest.mark.parametrize("fp16", [False, True])
@pytest.mark.parametrize("group", [1, 16])
def test_compiles_once_for_cards_that_are_not_here(card: int, group: int, fp16: bool) -> None:
    """Translate the kernel to machine code as on an A100 and an H100, which needs neither a card nor a driver."""
    code = COMPILE.format(card=card, group=group, fp16=fp16)
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"{card} True 1"] * 4, done.stderr
