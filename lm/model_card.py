"""The model card that lies beside a language model."""

from foundation.markdown import escape
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


_EXPORT = """---
library_name: transformers
pipeline_tag: text-generation
tags: [audio, unit-language-model, wordless]
---

# Unit language model, in the Llama layout

A decoder-only transformer that continues recordings as discrete codes. **It has no text tokenizer**: its input and
output are the numbers of codes, which a Wordless tokenizer makes of sound.

| | |
|---|---|
| fingerprint of the tokenizer | `{tokenizer}` |
| fingerprint of the codebook | `{codebook}` |
| codes | {codebook_size} of each of {streams} stream(s), {codes_per_second:g} time steps per second |
| id of code c of stream s | s * {codebook_size} + c, time step after time step, stream after stream |
| id of begin-of-sequence | {bos}: each sequence begins with it |
| id of padding | {pad} |
| end of sequence | none: ask for as many ids as you want |

Only codes of this codebook mean anything to the model; `config.json` names it under `wordless`, too.

```python
import torch
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("path/of/this/folder")
ids = torch.tensor([[{bos}, *codes_of_a_recording]])  # ids as in the table; none: a recording from its beginning
more = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, max_new_tokens={new})
codes = more[0, ids.shape[1] :] % {codebook_size}
```

With several streams `generate` does not know whose turn it is: keep of each position's logits those of its stream, or
use `lm.model.LanguageModel`, which does. To hear codes, decode them with the vocoder of the same run.
"""


def export_card(gpt: GPT, codes_format: CodesFormat) -> str:
    """Write Markdown for the Llama layout: ids of codes, the codebook, and how to load the model."""
    return _EXPORT.format(
        tokenizer=escape(codes_format.tokenizer),
        codebook=escape(codes_format.codebook),
        codebook_size=codes_format.codebook_size,
        streams=codes_format.streams,
        codes_per_second=codes_format.codes_per_second,
        bos=gpt.vocabulary.bos,
        pad=gpt.vocabulary.pad,
        new=min(50, gpt.config.context // 2),
    )


def model_card(gpt: GPT, codes_format: CodesFormat) -> str:
    """Write Markdown with the model's sizes, its codebook and how to call it."""
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
        tokenizer=escape(codes_format.tokenizer),
        codebook=escape(codes_format.codebook),
    )
