"""Samples that a network draws, and blocks that are drawn again."""

import gc
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import generated_by_the_parallel_model, shaped_by_samples
from tests.vocoder.sounds import SPECTROGRAM, lively, noise, tiny_config
from vocoder import generation
from vocoder.generation import Generation, GenerationInput, LoudnessRange, RunawayGuard, generate, shaped
from vocoder.vocoder_options import Sampling
from vocoder.wavenet import WaveNet, create_wavenet, mu_law_decode, mu_law_encode
from wordless.base.messages import InputError

HOP = SPECTROGRAM.hop_length
LIVELY = lively(tiny_config(levels=32, groups=("ann", "bob")))


def clip(frames: int, seed: int, group: int = -1) -> GenerationInput:
    spectrogram = torch.randn(frames, SPECTROGRAM.n_mels, generator=torch.Generator().manual_seed(seed))
    return GenerationInput(spectrogram=spectrogram, group=group, seed=seed)


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_samples_equal_the_parallel_model_on_the_growing_sequence_and_chunks_leave_no_seam(
    temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, sampling = [clip(3, 3, group=1), clip(5, 4)], Sampling(temperature=temperature)
    wanted = [generated_by_the_parallel_model(LIVELY, one, temperature) for one in inputs]
    engines: list[tuple[int, Literal["torch", "numba"]]] = [(64, "torch"), (64, "numba"), (2, "numba")]
    for frames, engine in engines:
        monkeypatch.setattr(generation, "CHUNK_FRAMES", frames)
        found = generate(LIVELY, inputs, sampling=sampling, engine=engine)
        assert [levels.tolist() for levels in found] == wanted


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), cut=st.integers(0, 300))
def test_draws_of_a_voice_are_uniform_differences_in_pieces_of_any_length(seed: int, cut: int) -> None:
    drawn = torch.Generator().manual_seed(seed)
    draws, voiced = torch.rand(1, 302, generator=drawn), torch.rand(1, 300, generator=drawn).mul(2).sub(0.5).clamp(0, 1)
    whole = shaped(draws, voiced)
    pieces = [shaped(draws[:, : 2 + cut], voiced[:, :cut]), shaped(draws[:, cut:], voiced[:, cut:])]
    assert torch.equal(torch.cat(pieces, dim=1), whole)
    wanted = shaped_by_samples(draws[0].tolist(), voiced[0].tolist())
    np.testing.assert_allclose(whole[0], wanted, atol=1e-6)


def test_draws_of_a_voice_have_the_distribution_of_others_and_little_power_at_low_frequencies() -> None:
    draws = torch.rand(1, 1 << 16, generator=torch.Generator().manual_seed(0))
    for share in (0.3, 0.7, 1.0):
        made = shaped(draws, torch.full((1, (1 << 16) - 2), share))[0]
        assert made.min() >= 0
        assert made.max() < 1
        np.testing.assert_allclose(torch.histc(made, 16, 0, 1) / len(made), 1 / 16, atol=0.005)
    power = torch.fft.rfft(made - made.mean()).abs().square()  # of a voice alone
    assert power[: len(power) // 8].mean() < 0.05 * power.mean()  # below 1 kHz at 16 kHz


def bytes_of_tensors() -> int:
    """Of all plain tensors there are. By their exact type: other tests leave weak proxies behind, which may be dead."""
    gc.collect()
    tensors = [each for each in gc.get_objects() if type(each) is torch.Tensor]
    return sum(
        {storage.data_ptr(): storage.nbytes() for storage in map(torch.Tensor.untyped_storage, tensors)}.values()
    )


def test_memory_of_a_stream_does_not_grow() -> None:
    stream = Generation(LIVELY, [clip(0, 0)], Sampling(), "numba", None)
    blocks = (torch.zeros(16, SPECTROGRAM.n_mels) for _ in range(24))
    seen = [bytes_of_tensors() for _ in stream.levels([blocks])]
    assert len(seen) == 6
    assert max(seen) - min(seen) < 64 * HOP * 4  # less than the levels of one chunk


@pytest.mark.parametrize("engine", ["torch", "numba"])
def test_a_prompt_is_what_a_clip_begins_with(engine: Literal["torch", "numba"]) -> None:
    """Clips between two with prompts are drawn as alone."""
    prompt = torch.randint(32, (HOP + 9,), generator=torch.Generator().manual_seed(1))
    begun = [replace(clip(3, seed), prompt=prompt) for seed in (0, 3)]
    clips = [begun[0], clip(3, 1), clip(3, 2), begun[1]]
    found = generate(LIVELY, clips, engine=engine)
    for levels, each in zip(found, clips, strict=True):
        assert torch.equal(levels, generate(LIVELY, [each], engine=engine)[0])
    for levels in (found[0], found[3]):
        assert torch.equal(levels[: len(prompt)], prompt.to(torch.int32))
    assert not torch.equal(found[0], generate(LIVELY, [clip(3, 0)], engine=engine)[0])


RATE = SPECTROGRAM.sample_rate


@settings(max_examples=50, deadline=None)
@given(samples=st.integers(1, 3 * 64 * RATE // 8), rate=st.sampled_from([RATE, 11_025]))
def test_the_range_of_a_long_recording_is_that_of_its_windows(samples: int, rate: int) -> None:
    draw = np.random.default_rng(samples).standard_normal(samples)
    sound = (32768 * draw * np.linspace(0.001, 0.2, samples)).astype(np.int16)
    step = round(rate / 8)
    starts = range(0, max(samples - 4 * step, 0) + 1, step)
    powers = [np.mean((sound[start : start + 4 * step] / 32768) ** 2) for start in starts]
    low, high = np.quantile(10 * np.log10(np.maximum(powers, 1e-12)), [0.005, 0.995])
    found = LoudnessRange.of([sound], rate)
    assert (found.lowest, found.highest) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))
    assert LoudnessRange.of([], rate) is None


def of_two_minds(loud: float) -> WaveNet:
    """Draws silence, or with some probability full scale."""
    model = create_wavenet(tiny_config(levels=16), seed=0).eval()
    torch.nn.init.zeros_(model.output.weight)
    levels = mu_law_encode(torch.tensor([0.0, 0.99]), levels=16)
    model.output.bias.data.fill_(-20.0)
    model.output.bias.data[levels] = torch.tensor([1 - loud, loud]).log()
    return model


def drawn_again(model: WaveNet, clip: GenerationInput, guard: RunawayGuard) -> torch.Tensor:
    """One block of a network without memory, attempt after attempt: what `generate` should give."""
    steps, temperature, seed, levels = len(clip.spectrogram) * HOP, 1.0, clip.seed, torch.zeros(0)
    for attempt in range(3):
        draws = torch.rand(steps, generator=torch.Generator().manual_seed(seed))
        cumulative = torch.softmax(model.output.bias.detach() / temperature, dim=0).cumsum(0)
        levels = torch.searchsorted(cumulative, draws * cumulative[-1], right=True)
        fault = guard.fault(mu_law_decode(levels, levels=16), RATE, meant=float(clip.spectrogram.mean()))
        if fault is None:
            break
        temperature *= {"loud": 0.8, "silent": 1 / 0.8}[fault]
        seed = int(np.random.SeedSequence([clip.seed, 0, attempt + 1]).generate_state(1)[0])
    return levels.to(torch.int32)


@pytest.mark.parametrize(
    ("loud", "lowest", "highest", "found"),
    [
        (1e-4, -23, 0, 5),  # all are silent first, then one after the other comes right at a higher temperature
        (1e-3, -31, -31, 2),  # one is loud and one is silent, of five in one batch
    ],
)
def test_silent_blocks_are_drawn_again_warmer_and_loud_ones_cooler(
    loud: float, lowest: float, highest: float, found: int
) -> None:
    model, loudness = of_two_minds(loud), LoudnessRange(lowest=lowest, highest=highest)
    audible = torch.ones(20, SPECTROGRAM.n_mels)  # means more than the average level, so silence is wrong
    inputs = [GenerationInput(spectrogram=audible, seed=seed) for seed in range(5)]
    guard = RunawayGuard(loudness)
    drawn = generate(model, inputs, engine="numba", guard=guard)
    expected = [drawn_again(model, each, RunawayGuard(loudness)) for each in inputs]
    backwards = generate(model, inputs[::-1], engine="numba", guard=RunawayGuard(loudness))[::-1]
    before = generate(model, inputs, engine="numba")
    assert all(torch.equal(*pair) for pair in zip(drawn + drawn, expected + backwards, strict=True))
    assert (guard.found, guard.left) == (found, 0)
    assert sum(not torch.equal(*pair) for pair in zip(drawn, before, strict=True)) == found


def test_good_sound_after_a_loud_prompt_is_not_blamed_for_it() -> None:
    loud, running = torch.full((64 * HOP,), 15), of_two_minds(0.9)
    cases = [  # model, frames, samples of the prompt, loudest, blocks that are found and left
        (running, 64, 64, -60.0, (0, 0)),  # a recording may
        (of_two_minds(1e-9), 128, 64, -20.0, (0, 0)),
        (of_two_minds(1e-9), 128, 30, -20.0, (0, 0)),  # a prompt that ends within a chunk
        (running, 128, 64, -20.0, (1, 1)),  # what runs away after it is found all the same
        (running, 128, 0, -60.0, (2, 2)),  # each block that stays odd counts once
    ]
    for model, frames, spoken, highest, wanted in cases:
        guard = RunawayGuard(LoudnessRange(lowest=-100, highest=highest))
        one = GenerationInput(spectrogram=torch.zeros(frames, SPECTROGRAM.n_mels), prompt=loud[: spoken * HOP])
        levels = generate(model, [one], guard=guard)[0]
        assert (guard.found, guard.left) == wanted
        assert torch.equal(levels[: spoken * HOP], loud[: spoken * HOP].int())
        if not guard.found:
            assert torch.equal(levels, generate(model, [one])[0])
    with pytest.raises(InputError, match=r"loudness\b.*\[0, -10\]"):
        LoudnessRange(lowest=0, highest=-10)


@pytest.mark.parametrize("before", [0, 1000, 2999])
@pytest.mark.parametrize(
    ("first", "second", "seconds", "meant", "fault"),
    [
        (0.1, 0.1, 1, 1.0, None),
        (0.3, 0.1, 1, 1.0, None),
        (0.1, 0.3, 0.5, 1.0, "loud"),
        (0.1, 0.3, 1, -1.0, "loud"),
        (0.1, 1e-4, 0.625, 1.0, "silent"),
        (0.1, 1e-4, 1, 1.0, "silent"),
        (0.1, 1e-4, 1, -1.0, None),
        (0.0, 0.1, 0.2, 1.0, None),
    ],
)
def test_half_a_second_too_loud_or_silent_after_what_is_known_is_a_fault(
    first: float, second: float, seconds: float, meant: float, fault: str | None, before: int
) -> None:
    guard = RunawayGuard(LoudnessRange(lowest=-40, highest=-18))
    parts = (before, first), (RATE if 0.5 <= seconds < 1 else 0, 0.1), (round(seconds * RATE), second)
    samples = torch.from_numpy(np.concatenate([noise(count, level=level) for count, level in parts]))
    assert guard.fault(samples, RATE, meant=meant, before=before) == fault
