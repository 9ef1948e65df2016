"""The README.md beside a tokenizer's weights."""

from tokenizer.codes import CodesFormat

# Only for codes of a speech model, or with several levels, so that other cards do not change.
SPEECH_LAYER = "| source of the codes | layer {layer.layer} of {layer.model}, a copy of which is in `speech_model` |\n"
LEVELS = "| residual levels of each band, coarse to fine | {config.levels} |\n"
MODEL_CARD = """---
library_name: wordless
tags: [audio, tokenizer, discrete-units]
---
# A tokenizer of sound

{format.codebook_size} codes, {format.streams} stream(s), {format.codes_per_second:g} time steps per second at \
{format.sample_rate} Hz: {format.bits_per_second:.0f} bits per second.

```python
import wordless

tokenizer = wordless.Tokenizer.from_pretrained("this/folder")
codes = tokenizer.encode(samples, sample_rate)  # mono or stereo, float or int16
```

| | |
|---|---|
| window, hop | {config.audio.window_length}, {config.audio.hop_length} samples |
| mel bands | {config.audio.n_mels} |
| patch | {config.patch.frames} frames of {config.height} mel bands |
| bottleneck | {config.autoencoder.bottleneck} |
| make-up gain of sound of the codes | {gain:g} dB |
{speech_layer}{levels}| fingerprint of front end and autoencoder | {format.tokenizer} |
| fingerprint of the codebook | {format.codebook} |
"""


_RATES_CARD = """---
library_name: wordless
tags: [audio, tokenizer, discrete-units]
---
# A tokenizer of sound at {count} rates

A recording becomes codes at each of these rates, coarse to fine: {bits:.0f} bits per second together. The same number
means another sound at each rate. The folders `rate_1` to `rate_{count}` hold a tokenizer each, which also works alone.

| rate | codes per second | codes | bits per second | fingerprint of the codebook |
|---|---|---|---|---|
{rows}

```python
import wordless

tokenizer = wordless.Tokenizer.from_pretrained("this/folder")
codes = tokenizer.encode(samples, sample_rate)  # mono or stereo, float or int16
coarse, *finer = codes.by_rate
```
"""


def rates_card(codes_format: CodesFormat) -> str:
    """Write Markdown about a tokenizer of several rates."""
    formats = codes_format.formats
    rows = [
        f"| {number} | {own.codes_per_second:g} x {own.streams} | {own.codebook_size} | {own.bits_per_second:.0f} "
        f"| {own.codebook} |"
        for number, own in enumerate(formats, 1)
    ]
    return _RATES_CARD.format(count=len(formats), bits=codes_format.bits_per_second, rows="\n".join(rows))
