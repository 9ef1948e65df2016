"""The model card that lies beside a language model."""

from lm.gpt import GPT
from tokenizer.codes import CodesFormat

_CARD = """---
library_name: wordless
tags: [audio, unit-language-model]
---

# Unit language model

A decoder-only transformer that continues recordings as discrete codes, without text. It belongs to one codebook: codes
of another are refused.

| | |
|---|---|
| parameters | {parameters:,} |
| layers, width, heads | {layers}, {width}, {heads} |
| context | {context} positions ({interleaving}): {seconds:.1f} s |
| codebook | {codebook_size} codes x {streams} stream(s), {codes_per_second:g} time steps per second |
| fingerprint of the tokenizer | `{tokenizer}` |
| fingerprint of the codebook | `{codebook}` |

```python
from lm.model import LanguageModel

model = LanguageModel.from_pretrained("path/of/this/folder")
more = model.generate(codes, seconds=3)  # codes: what the tokenizer of this codebook made of a recording
```

It knows only the sounds that it was trained on, and may continue a voice: say so wherever what it makes is published.
"""


def model_card(gpt: GPT, codes_format: CodesFormat) -> str:
    """Markdown with the model's sizes, its codebook and how to call it."""
    return _CARD.format(
        parameters=sum(parameter.numel() for parameter in gpt.parameters()),
        layers=gpt.config.layers,
        width=gpt.config.model_dim,
        heads=gpt.config.heads,
        context=gpt.config.context,
        interleaving=gpt.config.interleaving,
        seconds=gpt.capacity / codes_format.codes_per_second,
        codebook_size=codes_format.codebook_size,
        streams=codes_format.streams,
        codes_per_second=codes_format.codes_per_second,
        tokenizer=codes_format.tokenizer,
        codebook=codes_format.codebook,
    )
