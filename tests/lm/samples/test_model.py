import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lm.samples.model import CACHED, SampleLanguageModel
from tests.lm.samples.tiny import CONFIGS, RATE, lively, random_levels
from vocoder.sampling import Sampling
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError


@pytest.mark.parametrize("name", CONFIGS)
def test_a_saved_model_predicts_and_generates_as_before(name: str, tmp_path: Path) -> None:
    config = CONFIGS[name]
    model = SampleLanguageModel(lively(config))
    model.save_pretrained(tmp_path)
    again = SampleLanguageModel.from_pretrained(tmp_path)
    assert again.model.config == config
    previous = random_levels(1, config.history + 4)
    with torch.inference_mode():
        assert torch.equal(again.model(previous, 4), model.model(previous, 4))
    sampling = Sampling(temperature=1.0, seed=1, engine="torch")
    prompt = Waveform(samples=np.linspace(-0.5, 0.5, 30, dtype=np.float32), sample_rate=RATE)
    sounds, expected = (each.generate([None, prompt], seconds=0.02, sampling=sampling) for each in (again, model))
    for sound, wanted in zip(sounds, expected, strict=True):
        np.testing.assert_array_equal(sound.samples, wanted.samples)
        assert (len(sound.samples), sound.sample_rate) == (20, RATE)
    seeds = [model.generate([prompt], seconds=0.02, sampling=sampling, seeds=[seed])[0].samples for seed in (4, 9)]
    both = model.generate([prompt, prompt], seconds=0.02, sampling=sampling, seeds=[9, 4])
    np.testing.assert_array_equal([sound.samples for sound in both], seeds[::-1])
    assert again.engine("torch") == ("torch" if name == "wavenet" else CACHED)
    assert f"{config.parameters:,} parameters" in (tmp_path / "README.md").read_text()


def test_refuses_prompts_of_another_rate_and_sounds_of_no_length() -> None:
    model = SampleLanguageModel(lively(CONFIGS["wavenet"]))
    prompt = Waveform(samples=np.zeros(9, np.float32), sample_rate=8000)
    with pytest.raises(InputError, match=r"prompt\b.*\b8000 Hz\b.*\b1000 Hz\b"):
        model.generate([prompt], seconds=1, sampling=Sampling())
    with pytest.raises(InputError, match=r"seconds\b.*\b0\b"):
        model.generate([None], seconds=0, sampling=Sampling())
    with pytest.raises(InputError, match=r"\b2 seeds\b.*\b1 prompts\b"):
        model.generate([None], seconds=1, sampling=Sampling(), seeds=[1, 2])


def test_refuses_a_folder_with_the_sizes_of_two_networks(tmp_path: Path) -> None:
    SampleLanguageModel(lively(CONFIGS["wavenet"])).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["sample_model"]["transformer"] = {"sample_rate": 8000}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"damaged\b.*sample_model\b"):
        SampleLanguageModel.from_pretrained(tmp_path)


def test_refuses_weights_of_another_size(tmp_path: Path) -> None:
    SampleLanguageModel(lively(CONFIGS["transformer"])).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["sample_model"]["transformer"]["ffn_dim"] = 10**9
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"bytes"):
        SampleLanguageModel.from_pretrained(tmp_path)
