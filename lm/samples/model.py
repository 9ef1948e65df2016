"""A language model of samples as an artifact: saving, loading, and generating sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lm.samples.generation import Progress, continue_levels
from lm.samples.networks import SampleConfig, SampleModel, SampleTransformer, SampleWaveNet, create_sample_model
from lm.samples.options import SampleWaveNetConfig, TransformerConfig
from vocoder.engines.choice import choose_engine
from vocoder.sampling import EngineChoice, Sampling
from vocoder.wavenet.mu_law import decode, encode
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError
from wordless.base.ranges import require, samples_to_generate
from wordless.base.saved_models import SAMPLE_MODEL, WEIGHTS, load_weights, reading, require_size, write_model

CACHED = "fairseq2, cached"  # what generates the transformer's samples
_CARD = """---
library_name: wordless
tags: [audio, generation, {tag}]
---
# Language model of samples

{network} that predicts the next of 256 mu-law levels from the samples before it.

- {rate} Hz, {parameters:,} parameters, reads {history:,} samples ({milliseconds:.0f} ms) before each one

```python
from lm.samples.model import SampleLanguageModel
from vocoder.sampling import Sampling

model = SampleLanguageModel.from_pretrained("folder")
(sound,) = model.generate([None], seconds=2, sampling=Sampling(temperature=1.0))
sound.write("sound.wav")
```

It imitates the recordings that it was trained on, voices among them: ask those whom it can be taken for.
"""


@dataclass(frozen=True, kw_only=True)
class _Architecture:
    """Sizes of one of the two kinds of network."""

    wavenet: SampleWaveNetConfig | None
    transformer: TransformerConfig | None

    @property
    def config(self) -> SampleConfig:
        given = [each for each in (self.wavenet, self.transformer) if each is not None]
        if len(given) != 1:
            raise InputError("sample_model has the sizes of no network, or of two; it has those of one")
        return given[0]


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """The content of ``config.json``."""

    sample_model: _Architecture
    weights_sha256: str


class SampleLanguageModel:
    """A network that predicts each sample from the samples before it, and so generates sound."""

    def __init__(self, model: SampleModel) -> None:
        self.model = model.eval()

    @classmethod
    def from_pretrained(cls, folder: Path | str, *, device: str = "cpu") -> SampleLanguageModel:
        """Load a model that `save_pretrained` wrote; files that are missing or were changed are refused."""
        folder = Path(folder).expanduser()
        remedy = "copy it again from its run, or train it again (wordless run experiment=next_sample)"
        with reading(folder, SAMPLE_MODEL, _Saved, remedy=remedy) as saved:
            config = saved.sample_model.config
            require_size(folder / WEIGHTS, config.parameters)
            model = create_sample_model(config, seed=0)
            load_weights(model, folder, saved.weights_sha256)
        model.to(device)
        return cls(model)

    def save_pretrained(self, folder: Path | str) -> None:
        """Write model.safetensors, README.md and, last, config.json: a folder with a config.json is complete."""
        kind = "wavenet" if isinstance(self.model, SampleWaveNet) else "transformer"
        sizes = {"wavenet": None, "transformer": None, kind: asdict(self.model.config)}
        write_model(Path(folder).expanduser(), self.model, {"sample_model": sizes}, card=model_card(self.model))

    @property
    def sample_rate(self) -> int:
        """Rate of the sound in Hz."""
        return self.model.config.sample_rate

    def engine(self, wanted: EngineChoice) -> str:
        """Name the code that generates samples."""
        if isinstance(self.model, SampleTransformer):
            return CACHED
        return choose_engine(wanted, next(self.model.parameters()).device.type, self.model.network).engine

    def generate(
        self,
        prompts: list[Waveform | None],
        *,
        seconds: float,
        sampling: Sampling,
        seeds: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> list[Waveform]:
        """Generate the sound that follows each prompt, without the prompts; None: a sound from its beginning.

        Args:
            prompts: recordings at the model's sample rate.
            seconds: length of each sound.
            sampling: temperature and top_p; ``engine`` is that of a WaveNet.
            seeds: of each sound; None: sound ``i`` has the seed of ``sampling`` plus i.
            progress: called with the samples done and the samples in all.

        Raises:
            InputError: a prompt has another rate, there are more or fewer seeds than prompts, or nothing is to be
                generated.
        """
        rate = self.sample_rate
        require(bool(prompts), "prompts", prompts, "ask for one sound or more")
        if seeds is not None and len(seeds) != len(prompts):
            raise InputError(f"there are {len(seeds)} seeds for {len(prompts)} prompts; give one each, or none")
        num_samples = samples_to_generate(seconds, rate)
        for prompt in prompts:
            given = prompt.sample_rate if prompt else rate
            require(given == rate, "the prompt's sample rate", f"{given} Hz", f"resample it to the model's {rate} Hz")
        known = [torch.zeros(0) if prompt is None else torch.from_numpy(prompt.samples) for prompt in prompts]
        longest = max(map(len, known))
        levels = torch.stack([encode(torch.nn.functional.pad(each, (longest - len(each), 0))) for each in known])
        made = continue_levels(self.model, levels, num_samples, sampling=sampling, seeds=seeds, progress=progress)
        return [Waveform(samples=each.numpy(), sample_rate=rate) for each in decode(made)]


def model_card(model: SampleModel) -> str:
    """Write Markdown with the network's sizes and how to call it."""
    config, is_wavenet = model.config, isinstance(model, SampleWaveNet)
    context = "" if is_wavenet or model.context is None else " with a context vector of a longer past"
    return _CARD.format(
        tag="wavenet" if is_wavenet else "transformer",
        network="A WaveNet without conditions" if is_wavenet else f"A causal transformer{context}",
        rate=config.sample_rate,
        parameters=config.parameters,
        history=config.history + 1,
        milliseconds=1000 * (config.history + 1) / config.sample_rate,
    )
