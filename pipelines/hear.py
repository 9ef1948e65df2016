"""The HEAR benchmark's common API over a finished run: its tokenizer and language model as an audio embedding.

Turian et al., "HEAR: Holistic Evaluation of Audio Representations", 2022 (arXiv:2203.03022); the API:
https://hearbenchmark.com/hear-api.html. ``model_file_path`` is the folder of a run; the module to name is
``pipelines.hear``. The benchmark has its recordings at 16,000, 22,050, 32,000, 44,100 and 48,000 Hz: train with
``audio.sample_rate`` set to one of them.

A timestamp is the centre of what its code stands for, in milliseconds::

    samples      |<- code 0 ->|<- code 1 ->|<- code 2 ->|
    timestamps         x            x            x          the last within the sound
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from lm.model import LanguageModel
from lm.options import PARTS, Pooling, VectorConfig
from lm.pooled_states import layer_features, states_over_time
from lm.probing.vectors import ALL_POOLINGS
from pipelines.results.run_record import read_results
from pipelines.store.run_folder import RESULTS, part_of, run_of
from pipelines.store.stored_features import GPT, WITH_INPUT
from tokenizer.codes import Codes, require_same_codebook
from tokenizer.tokenizer import Tokenizer
from wordless.audio.mono import mono
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError
from wordless.base.saved_models import holds_rates


class HearModel(nn.Module):
    """Tokenizer and language model of a run, and which of the model's layers speak for the sound."""

    def __init__(
        self, tokenizer: Tokenizer, language_model: LanguageModel, *, layers: Sequence[int], pooling: Pooling
    ) -> None:
        super().__init__()
        require_same_codebook(language_model.format, tokenizer.format, owner=language_model.name)
        self.tokenizer = tokenizer
        self.gpt = language_model.gpt  # so that .to(device) moves it; `language_model` holds the same object
        self.language_model = language_model
        self.layers = tuple(layers)
        self.pooling: Pooling = pooling
        self.eval()

    @property
    def sample_rate(self) -> int:
        """Sample rate of the expected audio in Hz."""
        return self.tokenizer.format.sample_rate

    @property
    def timestamp_embedding_size(self) -> int:
        """Dimensions of an embedding of one time step."""
        return len(self.layers) * self.gpt.config.model_dim

    @property
    def scene_embedding_size(self) -> int:
        """Dimensions of an embedding of a whole sound."""
        return self.timestamp_embedding_size * PARTS[self.pooling]


def load_model(model_file_path: str = "") -> HearModel:
    """Load the model of a run's folder, on the CPU.

    Its layers and pooling are those that the probe chose on validation. Without a probe they are the middle third
    of the layers, over the sound's three thirds.
    """
    if not str(model_file_path):
        problem = "model_file_path is empty, and no weights come with the package"
        raise InputError(f"{problem}; give the folder of a run, such as load_model('runs/<date>_<time>')")
    folder = run_of(Path(model_file_path))
    if holds_rates(part_of(folder, "tokenizer")):
        raise InputError(f"{folder} has codes at several rates, HEAR reads one; name a run with tokenizer.rates=null")
    tokenizer = Tokenizer.from_pretrained(part_of(folder, "tokenizer"))
    language_model = LanguageModel.from_pretrained(part_of(folder, "lm"))
    count = language_model.gpt.config.layers
    layers, pooling = tuple(range(count // 3 + 1, max(count - count // 3, count // 3 + 1) + 1)), "thirds"
    comparison = read_results(folder).get("comparison") if (folder / RESULTS).is_file() else None
    row = comparison.tested.get(GPT) if comparison else None
    if row is not None and row.candidate is not None:
        found = re.fullmatch(rf"layer_([0-9]{{1,6}})|all_layers(?:{WITH_INPUT})?", row.layer or "")
        if found is None or row.pooling not in ALL_POOLINGS or not 1 <= int(found[1] or 1) <= count:
            raise InputError(
                f"the probe of {folder} chose {row.candidate}; HEAR reads the states of the model's {count} layers; "
                "compare with compare.states=[residual], or copy the run without results.json to take the middle layers"
            )
        layers, pooling = (int(found[1]),) if found[1] else tuple(range(1, count + 1)), row.pooling
    return HearModel(tokenizer, language_model, layers=layers, pooling=cast(Pooling, pooling))


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """Embed sounds ``(n_sounds, n_samples)`` in [-1, 1] at the model's rate: ``(n_sounds, scene_embedding_size)``.

    The result is float32, on the device of the audio. Other shapes, integers, and empty or infinite audio are refused.
    """
    codes = _codes(audio, model)
    pooled = layer_features(model.language_model, codes, vectors=VectorConfig(poolings=(model.pooling,)))
    layers = [pooled[f"layer_{layer}:{model.pooling}"] for layer in model.layers]  # (n_sounds, dim)
    return torch.from_numpy(np.concatenate(layers, axis=1)).to(audio.device)


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """Compute embeddings ``(n_sounds, n_timestamps, timestamp_embedding_size)`` and their timestamps.

    Timestamps are ``(n_sounds, n_timestamps)`` in milliseconds; both are float32, on the device of the audio. A code
    whose centre lies after the sound's end has no embedding. An embedding depends on the sound up to the end of its
    code, and on nothing after it.
    """
    codes = _codes(audio, model)
    step = codes[0].format.samples_per_code
    count = max((2 * audio.shape[1] + step - 1) // (2 * step), 1)
    centres = (np.arange(count) + 0.5) * step / model.sample_rate * 1000
    timestamps = np.minimum(centres, audio.shape[1] / model.sample_rate * 1000).astype(np.float32)
    states = [states_over_time(model.language_model, each, model.layers)[:count].to(audio.device) for each in codes]
    return torch.stack(states).float(), torch.from_numpy(timestamps).to(audio.device).repeat(len(codes), 1)


def _codes(audio: object, model: HearModel) -> list[Codes]:
    """Encode each sound by itself."""
    if not isinstance(audio, Tensor) or audio.ndim != 2 or not audio.is_floating_point() or 0 in audio.shape:
        given = f"{audio.dtype} of shape {tuple(audio.shape)}" if isinstance(audio, Tensor) else type(audio).__name__
        rule = "it must be floating point, (n_sounds, n_samples), a tensor with at least one of each"
        raise InputError(f"audio is {given}; {rule}")
    sounds = [Waveform(samples=mono(sound, name="audio"), sample_rate=model.sample_rate) for sound in audio]
    return [model.tokenizer.encode(sound) for sound in sounds]
