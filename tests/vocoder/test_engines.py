"""Every engine against the parallel network."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba import njit
from torch import Tensor

from tests.calling import SOON, assert_waits, beside, python
from tests.reference import cheapest_groups
from tests.vocoder.sounds import lively, tiny_config
from vocoder import engines, numba_streams
from vocoder.engines import Engine, Streams, bookmark, choose_engine, step_cost, streams_side_by_side
from vocoder.generation import AS_LEARNED
from vocoder.numba_streams import NumbaStreams, exponential, gate, numba_multiplies_bf16
from vocoder.vocoder_options import TAPS, VOICE_INPUTS, Sampling, WaveNetConfig
from vocoder.wavenet import TorchStreams, WaveNet, silence
from wordless.base import compiling as locks
from wordless.base.compiling import call_kernel, compiling

LOGIT_TOLERANCE = 1e-4
BF16_TOLERANCE = 0.03  # of the largest logit; bfloat16 has 8 bits
FAINT = 0.12  # logits below are what rectifiers leave of larger numbers, whose rounding they keep


def engine(name: str, model: WaveNet, clips: int, threads: int = 1) -> Streams:
    """An engine by the name of a test's parameter."""
    if name == "torch":
        return TorchStreams(model, clips)
    if name == "numba_bf16" and not numba_multiplies_bf16():
        pytest.skip("needs a CPU with AVX512_BF16")
    return NumbaStreams(model, clips, threads=threads, bf16=name == "numba_bf16")


# conditions (clips, frames, inputs), levels (clips, samples), groups (clips,) and phase
Asked = tuple[Tensor, Tensor, Tensor, Tensor | None]
ENGINES = pytest.mark.parametrize("name", ["torch", "numba", "numba_bf16"])


def path(config: WaveNetConfig, clips: int, frames: int) -> Asked:
    generator = torch.Generator().manual_seed(clips)
    spectrogram = torch.randn(clips, frames, config.condition_inputs, generator=generator)
    levels = torch.randint(config.levels, (clips, frames * config.hop_length), generator=generator)
    phase = random_phase(levels, config, generator) if config.pitch else None
    return spectrogram, levels, torch.arange(clips) % (len(config.groups) + 1) - 1, phase


def random_phase(levels: Tensor, config: WaveNetConfig, generator: torch.Generator) -> Tensor:
    """What a network reads of a voice that nobody has, as of `vocoder.frames.voice_inputs`."""
    least = config.hop_length + TAPS // 2
    lag = torch.randint(least, 2 * least, levels.shape, generator=generator)
    sound = 0.1 * torch.randn(*levels.shape, VOICE_INPUTS, generator=generator)
    return torch.cat([torch.rand(*levels.shape, 2, generator=generator), lag[..., None], sound], dim=2)


@torch.inference_mode()
def parallel_logits(
    model: WaveNet, spectrogram: Tensor, levels: Tensor, groups: Tensor, phase: Tensor | None
) -> Tensor:
    """``(clips, samples, levels)``"""
    start = torch.full((len(levels), 1), silence(levels=model.config.levels))
    previous = torch.cat([start, levels[:, :-1]], dim=1)
    return model(previous, spectrogram, groups, phase).transpose(1, 2)


@torch.inference_mode()
def stepped_logits(
    streams: Streams, model: WaveNet, spectrogram: Tensor, levels: Tensor, groups: Tensor, phase: Tensor | None
) -> Tensor:
    """The same by an engine, in two calls that part at a frame."""
    device, hop = model.embedding.weight.device, model.config.hop_length
    conditions = model.conditions(spectrogram.to(device), groups.to(device))
    carried = None if phase is None else model.carried(phase.to(device), levels.to(device))
    logits, draws = torch.zeros(*levels.shape, model.config.levels), torch.zeros(levels.shape)
    cut = spectrogram.shape[1] // 2
    for first, last in ((0, cut), (cut, spectrogram.shape[1])):
        here = slice(first * hop, last * hop)
        if last > first:
            added = None if carried is None else carried[:, here]
            streams.advance(
                conditions[:, first:last], levels[:, here], draws[:, here], AS_LEARNED, added, logits[:, here]
            )
    return logits


architectures = st.builds(
    lambda layers, cycles, **sizes: tiny_config(layers=layers * cycles, cycles=cycles, levels=40, **sizes),
    layers=st.integers(1, 6),
    cycles=st.integers(1, 3),
    kernel_size=st.integers(2, 3),
    residual_channels=st.sampled_from([1, 5, 32, 33]),
    gate_channels=st.sampled_from([2, 14, 64, 70]),
    skip_channels=st.sampled_from([3, 32, 37]),
    hop_length=st.sampled_from([1, 7, 16, 30]),
    condition_layers=st.integers(1, 2),
    groups=st.sampled_from([(), ("ann", "bob")]),
    pitch=st.booleans(),
)


NARROW: dict[str, Any] = {
    **{"cycles": 3, "levels": 40, "kernel_size": 2, "residual_channels": 1, "gate_channels": 2, "skip_channels": 3},
    "groups": (),
}


@ENGINES
@settings(max_examples=25, deadline=None)
@given(config=architectures, clips=st.sampled_from([1, 3, 6]), frames=st.integers(1, 5))
@example(config=tiny_config(**NARROW, layers=9, hop_length=7, condition_layers=1), clips=1, frames=1)
@example(config=tiny_config(**NARROW, layers=6, hop_length=30, condition_layers=2), clips=3, frames=3)
def test_logits_equal_the_parallel_networks(name: str, config: WaveNetConfig, clips: int, frames: int) -> None:
    model = lively(config)
    asked = path(config, clips, frames)
    wanted = parallel_logits(model, *asked)
    stepped = stepped_logits(engine(name, model, clips), model, *asked)
    coarse = BF16_TOLERANCE * max(float(wanted.abs().max()), FAINT)
    absolute, relative = (coarse, 0) if name == "numba_bf16" else (LOGIT_TOLERANCE, LOGIT_TOLERANCE)
    torch.testing.assert_close(stepped, wanted, atol=absolute, rtol=relative)


@torch.inference_mode()
def drawn(streams: Streams, model: WaveNet, clips: range, sampling: Sampling) -> Tensor:
    """Levels ``(clips, 4 frames)`` of some of twenty clips, in chunks of 1 and 3 frames."""
    hop, config, generator = model.config.hop_length, model.config, torch.Generator().manual_seed(1)
    conditions = torch.randn(20, 4, config.layers, config.gate_channels, generator=generator)[clips.start : clips.stop]
    conditions = conditions.to(model.embedding.weight.device)
    draws = torch.rand(20, 4 * hop, generator=generator)[clips.start : clips.stop]
    asked = torch.full((len(clips), 4 * hop), -1)
    first = streams.advance(conditions[:, :1], asked[:, :hop], draws[:, :hop], sampling)
    return torch.cat([first, streams.advance(conditions[:, 1:], asked[:, hop:], draws[:, hop:], sampling)], dim=1)


@pytest.mark.parametrize("sampling", [AS_LEARNED, Sampling(temperature=0.6), Sampling(temperature=0)])
@ENGINES
def test_neither_company_nor_threads_change_a_clip(name: str, sampling: Sampling) -> None:
    model = lively(tiny_config(levels=32))
    together = drawn(engine(name, model, 20, threads=1), model, range(20), sampling)
    shared = drawn(engine(name, model, 20, threads=3), model, range(20), sampling)
    few = drawn(engine(name, model, 3), model, range(4, 7), sampling)
    alone = drawn(engine(name, model, 1), model, range(19, 20), sampling)
    assert torch.equal(together, shared)
    assert torch.equal(together[4:7], few)
    assert torch.equal(together[19:], alone)
    assert len(together.unique()) > 8


@ENGINES
@pytest.mark.parametrize("clips", [2, 7])
def test_goes_back_to_a_state(name: str, clips: int) -> None:
    model = lively(tiny_config(levels=32, hop_length=20))
    streams = engine(name, model, clips)
    first = drawn(streams, model, range(clips), AS_LEARNED)
    go_back = bookmark(streams)
    second = drawn(streams, model, range(clips), AS_LEARNED)
    for _ in range(2):
        go_back()
        assert torch.equal(drawn(streams, model, range(clips), AS_LEARNED), second)
    assert not torch.equal(first, second)


def test_bfloat16_is_not_chosen_where_numba_may_not_use_it() -> None:
    ask = "from vocoder.engines import choose_engine; print(choose_engine('auto', 'cpu').engine)"
    done = python("-c", ask, NUMBA_CPU_NAME="generic")
    assert done.stdout == "numba\n", done.stderr


def test_the_choice_falls_back_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_streams, "numba_multiplies_bf16", lambda: True)
    assert choose_engine("auto", "cpu").engine == "numba_bf16"
    assert choose_engine("numba_bf16", "cpu").notice is None
    monkeypatch.setattr(numba_streams, "numba_multiplies_bf16", lambda: False)
    assert "AVX512_BF16" in str(choose_engine("numba_bf16", "cpu").notice)
    assert choose_engine("auto", "cpu").engine == "numba"
    assert choose_engine("auto", "cpu").notice is None
    assert choose_engine("triton", "cpu").engine == "numba"
    assert "GPU" in str(choose_engine("triton", "cpu").notice)
    for missing in (False, True):
        monkeypatch.setattr(engines, "find_spec", lambda name, missing=missing: None if missing else name)
        for wanted in ("auto", "triton"):
            chosen = choose_engine(wanted, "cuda")
            assert chosen.engine == ("torch" if missing else "triton")
            assert ("Triton" in str(chosen.notice)) == missing
        assert "CPU" in str(choose_engine("numba", "cuda").notice)
    monkeypatch.setitem(sys.modules, "vocoder.numba_streams", None)  # as where numba cannot be imported
    assert choose_engine("auto", "cpu").engine == "torch"
    assert "pip install numba" in str(choose_engine("auto", "cpu").notice)


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 40), max_size=9),
    name=st.sampled_from(["torch", "numba", "triton"]),
    wide=st.integers(1, 5),
)
def test_groups_cost_least(lengths: list[int], name: Engine, wide: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "width", lambda engine: wide)
        groups = streams_side_by_side(lengths, name)
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    own = [[lengths[place] for place in group] for group in groups]
    assert sorted(lengths) == [length for group in own for length in group]
    assert all(1 <= len(group) <= wide for group in groups)
    cost = sum(group[-1] * step_cost(name, len(group)) for group in own)
    assert cost == pytest.approx(cheapest_groups(sorted(lengths), wide, partial(step_cost, name)))


def test_the_kernel_is_compiled_by_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "lock_paths", lambda: [tmp_path / "lock"])
    njit(lambda number: number)(1)  # the first function of a process takes longest
    compiled = njit(lambda number: number)
    assert_waits(lambda: call_kernel(compiled, 1), lambda: compiled.overloads)
    with compiling(), beside(lambda: call_kernel(compiled, 2)) as ended:  # it is there, so nothing waits
        assert ended.wait(SOON)


def test_the_kernels_arithmetic_is_as_exact_as_it_says() -> None:
    inputs = np.linspace(-87, 87, 5001, dtype=np.float32)
    np.testing.assert_allclose([exponential(each) for each in inputs], np.exp(inputs.astype(float)), rtol=4e-6)
    rows = np.random.default_rng(0).uniform(-12, 12, (5000, 2)).astype(np.float32)
    wanted = np.tanh(rows[:, 0].astype(float)) * (1 + np.tanh(rows[:, 1].astype(float)))
    np.testing.assert_allclose([gate(a, b) for a, b in rows], wanted, atol=2e-6)
