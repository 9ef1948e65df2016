"""Model cards of language models."""

from dataclasses import replace

from lm.gpt import GPT
from tokenizer.codes import CodesFormat
from wordless.base.text import escape_markdown

_HEAD = """---
library_name: wordless
tags: [audio, unit-language-model]
---

"""
_TABLE = """
| | |
|---|---|
| parameters | {parameters:,} |
| layers, width, heads | {config.layers}, {config.model_dim}, {config.heads} |
| context | {config.context} positions ({config.interleaving}): {seconds} s |
| codebook | {codes.codebook_size} codes x {codes.streams} stream(s), {codes.codes_per_second:g} time steps per second |
{reads}| fingerprint of the tokenizer | `{codes.tokenizer}` |
| fingerprint of the codebook | `{codes.codebook}` |
"""
_USE = """
```python
import wordless

model = wordless.LanguageModel.from_pretrained("path/of/this/folder")
more = model.generate(codes, seconds=3)  # codes: what the tokenizer of {these} made of a recording
```

It knows only the sounds that it was trained on, and may continue a voice: say so wherever what it makes is published.
"""

_GPT = """# Unit language model

A decoder-only transformer that continues recordings as discrete codes, without text. It belongs to one codebook: codes
of another are refused.
"""

_UPSAMPLER = """# Upsampler of a unit language model

A decoder-only transformer that predicts the codes of one rate from earlier codes of this rate, and from the coarser
codes that cover them. It works together with the models of the coarser rates, in the folders beside it.
"""

_RATES = """# Unit language model of several rates

A GPT continues recordings as codes of the coarsest rate, and an upsampler for each finer rate adds its codes.

| rate | time steps per second | model | folder |
|---|---|---|---|
{rows}

The fingerprint of the codebooks of all rates together is `{codes.codebook}`; codes of others are refused.
"""


def model_card(gpt: GPT, codes_format: CodesFormat, *, began_at: str | None = None) -> str:
    """Write a model's sizes, codebook and use; its training began at weights with the SHA-256 ``began_at``."""
    predicted, reads, more = codes_format.formats[-1], "", ""
    if gpt.conditions is None:
        if began_at is not None:
            more = f"| training began at the weights with the SHA-256 | `{began_at[:16]}` |\n"
        more += _USE.format(these="this codebook")
    else:
        coarser = ", ".join(f"{each.codes_per_second:g}" for each in codes_format.formats[:-1])
        next_codes = f"the covering code and the next {gpt.conditions.look_ahead}"
        reads = f"| reads | codes of {coarser} time steps per second: {next_codes} |\n"
    table = _TABLE.format(
        parameters=sum(parameter.numel() for parameter in gpt.parameters()),
        config=gpt.config,
        seconds=f"{gpt.capacity / predicted.codes_per_second:.1f}",
        codes=_escaped(predicted),
        reads=reads,
    )
    return _HEAD + (_GPT if gpt.conditions is None else _UPSAMPLER) + table + more


def rates_card(codes_format: CodesFormat) -> str:
    rows = [
        f"| {number} | {own.codes_per_second:g} | {'GPT' if number == 1 else 'upsampler'} | `rate_{number}` |"
        for number, own in enumerate(codes_format.formats, 1)
    ]
    about = _RATES.format(codes=_escaped(codes_format), rows="\n".join(rows))
    return _HEAD + about + _USE.format(these="these codebooks")


def _escaped(codes_format: CodesFormat) -> CodesFormat:
    tokenizer, codebook = escape_markdown(codes_format.tokenizer), escape_markdown(codes_format.codebook)
    return replace(codes_format, tokenizer=tokenizer, codebook=codebook)
