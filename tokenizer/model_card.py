"""The README.md beside a tokenizer's weights."""

# Only for codebooks with several levels, so that the card of a single level does not change.
LEVELS = "| residual levels of each band, coarse to fine | {config.levels} |\n"
MODEL_CARD = """---
library_name: wordless
tags: [audio, tokenizer, discrete-units]
---
# A tokenizer of sound

{format.codebook_size} codes, {format.streams} stream(s), {format.codes_per_second:g} time steps per second at \
{format.sample_rate} Hz: {format.bits_per_second:.0f} bits per second.

```python
from tokenizer.tokenizer import Tokenizer

tokenizer = Tokenizer.from_pretrained("this/folder")
codes = tokenizer.encode(samples, sample_rate)  # mono float32
```

| | |
|---|---|
| window, hop | {config.audio.window_length}, {config.audio.hop_length} samples |
| mel bands | {config.audio.n_mels} |
| patch | {config.patch.frames} frames of {config.height} mel bands |
| bottleneck | {config.autoencoder.bottleneck} |
{levels}| fingerprint of front end and autoencoder | {format.tokenizer} |
| fingerprint of the codebook | {format.codebook} |
"""
