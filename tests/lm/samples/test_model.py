"""Language models of samples: saved, loaded, and generating."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lm.samples.model import CachedTransformer, SampleLanguageModel, SampleTransformer, continue_levels
from tests.lm.samples.tiny import CONFIGS, RATE, lively, random_levels, uncached_logits
from vocoder.options import Sampling
from vocoder.wavenet import silence
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError


@pytest.mark.parametrize("name", CONFIGS)
def test_a_saved_model_predicts_and_generates_as_before(name: str, tmp_path: Path) -> None:
    model = SampleLanguageModel(lively(CONFIGS[name]))
    model.save_pretrained(tmp_path)
    again = SampleLanguageModel.from_pretrained(tmp_path)
    assert again.model.config == CONFIGS[name]
    sampling = Sampling(temperature=1.0, seed=1, engine="torch")
    prompt = Waveform(samples=np.linspace(-0.5, 0.5, 30, dtype=np.float32), sample_rate=RATE)
    sounds, expected = (each.generate([None, prompt], seconds=0.02, sampling=sampling) for each in (again, model))
    for sound, wanted in zip(sounds, expected, strict=True):
        np.testing.assert_array_equal(sound.samples, wanted.samples)
        assert (len(sound.samples), sound.sample_rate) == (20, RATE)
    one, other = (model.generate([prompt], seconds=0.02, sampling=sampling, seeds=[seed])[0] for seed in (4, 9))
    assert not np.array_equal(one.samples, other.samples)
    both = model.generate([prompt, prompt], seconds=0.02, sampling=sampling, seeds=[9, 4])
    np.testing.assert_array_equal([sound.samples for sound in both], [other.samples, one.samples])
    # Without seeds, each clip has one of its own: that of the first, and one more.
    first, next_seed = (
        continue_levels(model.model, random_levels(2, 0), 40, sampling=Sampling(seed=seed, engine="torch"))
        for seed in (5, 6)
    )
    assert torch.equal(first[1], next_seed[0])
    assert not torch.equal(first, next_seed)


def test_refuses_prompts_of_another_rate_and_sounds_of_no_length() -> None:
    model = SampleLanguageModel(lively(CONFIGS["wavenet"]))
    prompt = Waveform(samples=np.zeros(9, np.float32), sample_rate=8000)
    with pytest.raises(InputError, match=r"prompt\b.*\b8000 Hz\b.*\b1000 Hz\b"):
        model.generate([prompt], seconds=1, sampling=Sampling())
    with pytest.raises(InputError, match=r"seconds\b.*\b0\b"):
        model.generate([None], seconds=0, sampling=Sampling())


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
