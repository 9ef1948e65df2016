import pytest
import torch

from lm.samples.model import CachedTransformer, continue_levels
from lm.samples.networks import SampleTransformer
from tests.lm.samples.reference import uncached_logits
from tests.lm.samples.tiny import CONFIGS, TRANSFORMER, WAVENET, lively, random_levels
from vocoder.sampling import Sampling
from vocoder.wavenet.mu_law import silence

GREEDY = Sampling(temperature=0.0, engine="torch")


@pytest.mark.parametrize("spare", [0, 3, 9])  # samples that are known beyond the history
@pytest.mark.parametrize("name", ["transformer", "contextual"])
def test_cached_logits_are_those_of_whole_forward_passes(name: str, spare: int) -> None:
    config, time = CONFIGS[name], 40
    model = lively(config)
    assert isinstance(model, SampleTransformer)
    previous = random_levels(2, config.history + spare + time)
    expected = uncached_logits(model, previous)[:, spare:]
    with torch.inference_mode():
        # a cache has room for 20 positions: three of them, one after the other, read all samples
        cached = CachedTransformer(model, previous[:, : config.history + spare], positions=20)
        found = torch.stack([cached.read(levels) for levels in previous[:, config.history + spare :].T], dim=1)
        parallel = model(previous, time + spare)[:, spare:]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(parallel, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("known", [0, 5, 100])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_most_probable_levels_are_those_of_the_parallel_network(name: str, known: int) -> None:
    config, samples = CONFIGS[name], 30
    model, prompt = lively(config), random_levels(2, known)
    made = continue_levels(model, prompt, samples, sampling=GREEDY)
    before = torch.full((2, max(config.history + 1 - known, 0)), silence())
    everything = torch.cat([before, prompt, made], dim=1)[:, -(config.history + 1 + samples) :]
    with torch.inference_mode():
        logits = model(everything[:, :-1], samples)
    assert torch.equal(logits.argmax(2), made)


def test_the_compiled_engine_generates_the_levels_of_the_slow_one() -> None:
    model, prompt = lively(WAVENET), random_levels(2, 5)
    slow, fast = (
        continue_levels(model, prompt, 150, sampling=Sampling(temperature=1.0, engine=engine))
        for engine in ("torch", "numba")
    )
    assert torch.equal(slow, fast)


@pytest.mark.parametrize("name", ["wavenet", "transformer"])
def test_the_seed_decides_the_sound(name: str) -> None:
    model = lively(CONFIGS[name])
    first, again, other = (
        continue_levels(model, random_levels(2, 0), 40, sampling=Sampling(seed=seed, engine="torch"))
        for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first[1], other[0])  # each clip has a seed of its own: that of the first, and one more


def test_progress_counts_samples() -> None:
    seen: list[tuple[int, int]] = []
    sampling = Sampling(temperature=1.0)
    continue_levels(
        lively(TRANSFORMER), random_levels(1, 0), 7, sampling=sampling, progress=lambda *done: seen.append(done)
    )
    assert seen == [(7, 7)]
