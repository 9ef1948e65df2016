"""The model card beside a vocoder."""

from vocoder.wavenet.network import WaveNet
from wordless.base.text import counted, escape_markdown

_CARD = """---
library_name: wordless
tags: [audio, vocoder, wavenet]
---
# Unit vocoder

A conditional WaveNet that turns codes into sound: {known}.

- {config.sample_rate} Hz, {config.levels} mu-law levels, {config.samples_per_code} samples per code
- {config.layers} layers, {parameters:,} parameters, receptive field {config.receptive_field:,} samples
- groups heard in training: {groups}
- {training}
- pitch comb: {comb}

```python
import wordless

tokenizer = wordless.Tokenizer.from_pretrained("run/tokenizer")
sound = wordless.Vocoder.from_pretrained("run/vocoder").decode(codes, tokenizer)
sound.write("sound.wav")
```

What the network samples is filtered towards the spectrum that the codes mean, where they say how loud each band is;
`from_pretrained(..., postfilter=0)` leaves it as it is. It imitates the recordings that it was trained on, voices among
them: ask those whom it can be taken for.
"""


def model_card(
    model: WaveNet, tokenizer: str, *, began_at: str | None = None, steps: int | None = None, comb: bool = False
) -> str:
    """Write Markdown with the network's sizes, its tokenizer (``tokenizer`` is a fingerprint) and how to call it.

    ``began_at`` is the SHA-256 of the weights that its training began with, None for random ones; ``steps`` is its
    length, None if that is unknown. ``comb`` says whether it has a head that predicts the pitch of a comb.
    """
    config = model.config
    owner = f"tokenizer `{escape_markdown(tokenizer)}`"
    known = f"those of {owner}, whatever the size of its codebook"
    if config.condition == "embedding":
        known = f"those of codebook `{escape_markdown(config.codebook)}` of {owner}, and no others"
    start = "random weights" if began_at is None else f"the weights with the SHA-256 `{began_at[:16]}`"
    length = "some steps" if steps is None else counted(steps, "step")
    return _CARD.format(
        known=known,
        config=config,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        groups=", ".join(map(escape_markdown, config.groups)) or "none",
        training=f"training began with {start}, and took {length}",
        comb="yes, it gives the sound of voices their periodicity" if comb else "none",
    )
