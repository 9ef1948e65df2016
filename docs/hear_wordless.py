"""The HEAR API (https://hearbenchmark.com/hear-api.html) over a run of one rate, with the states of the middle layer.

Copy this file to the current folder, or put its folder into PYTHONPATH:

    hear-validator hear_wordless --model runs/x
"""

import torch
from torch import Tensor

import wordless


class HearModel(torch.nn.Module):
    """The tokenizer and the language model of a run."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self.tokenizer = wordless.Tokenizer.from_pretrained(f"{run}/tokenizer")
        self.language_model = wordless.LanguageModel.from_pretrained(f"{run}/lm")
        self.gpt = self.language_model.gpt  # so that .to(device) moves it
        self.layer = (self.gpt.config.layers + 1) // 2
        self.sample_rate = self.tokenizer.format.sample_rate
        self.timestamp_embedding_size = self.scene_embedding_size = self.gpt.config.model_dim
        self.eval()


def load_model(model_file_path: str = "") -> HearModel:
    """Load the models of a run's folder."""
    return HearModel(model_file_path)


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """Return the states of sounds ``(sounds, samples)``, ``(sounds, time, dim)``, and their centres in ms."""
    step, samples = model.tokenizer.format.samples_per_code, audio.shape[1]
    count = max((2 * samples + step - 1) // (2 * step), 1)  # codes whose centre lies within the sound
    times = ((torch.arange(count) + 0.5) * step).clamp(max=samples) / model.sample_rate * 1000
    states = []
    for sound in audio:
        codes = model.tokenizer.encode(sound.cpu().numpy(), model.sample_rate)
        found = model.language_model.hidden_states(codes, [model.layer])[0]  # (time * streams, dim)
        states.append(found.view(len(codes), -1, found.shape[1]).mean(1)[:count])
    return torch.stack(states).to(audio.device), times.to(audio.device).repeat(len(audio), 1)


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """Return a vector of each sound, the mean of its states over time: ``(sounds, dim)``."""
    return get_timestamp_embeddings(audio, model)[0].mean(1)
