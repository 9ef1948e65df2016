"""The model card beside a language model of samples."""

from lm.samples.generation import SampleModel
from lm.samples.wavenet import SampleWaveNet

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
