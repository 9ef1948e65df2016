"""Model cards of language models."""

from lm.gpt import GPT
from tokenizer.codes import CodesFormat
from wordless.base.text import escape_markdown

_CARD = """---
library_name: wordless
tags: [audio, unit-language-model]
---

# {title}

{about}

| | |
|---|---|
{rows}

```python
import wordless

model = wordless.LanguageModel.from_pretrained("path/of/this/folder")
more = model.generate(codes, seconds=3)  # codes: what the tokenizer of this codebook made of a recording
```

It knows only the sounds that it was trained on, and may continue a voice: say so wherever what it makes is published.
"""
_GPT = "A decoder-only transformer that continues recordings as discrete codes, without text."
_UPSAMPLER = (
    "A decoder-only transformer that predicts the codes of one rate from earlier codes of this rate, and from the "
    "coarser codes that cover them. It works together with the models of the coarser rates, in the folders beside it."
)
_RATES = (
    "A GPT continues recordings as codes of the coarsest rate, and an upsampler for each finer rate adds its codes: "
    "the folders `rate_1` to `rate_{count}`."
)


def model_card(gpt: GPT, codes_format: CodesFormat, *, began_at: str | None = None) -> str:
    """Write a model's sizes, codebook and use; its training began at weights with the SHA-256 ``began_at``."""
    config, predicted = gpt.config, codes_format.formats[-1]
    seconds, rate = gpt.capacity / predicted.codes_per_second, f"{predicted.codes_per_second:g} time steps per second"
    rows = {
        "parameters": f"{sum(parameter.numel() for parameter in gpt.parameters()):,}",
        "layers, width, heads": f"{config.layers}, {config.model_dim}, {config.heads}",
        "context": f"{config.context} positions ({config.interleaving}): {seconds:.1f} s",
        "codebook": f"{predicted.codebook_size} codes x {predicted.streams} stream(s), {rate}",
    }
    if gpt.conditions is not None:
        coarser = ", ".join(f"{each.codes_per_second:g}" for each in codes_format.formats[:-1])
        next_codes = f"the covering code and the next {gpt.conditions.look_ahead}"
        rows["reads"] = f"codes of {coarser} time steps per second: {next_codes}"
    if began_at is not None:
        rows["training began at the weights with the SHA-256"] = f"`{began_at[:16]}`"
    if gpt.conditions is None:
        return _card("Unit language model", _GPT, rows, predicted)
    return _card("Upsampler of a unit language model", _UPSAMPLER, rows, predicted)


def rates_card(codes_format: CodesFormat) -> str:
    """Write the rates and codebooks of a model of several rates."""
    rates = enumerate(codes_format.formats, 1)
    rows = {f"`rate_{number}`": f"{own.codes_per_second:g} time steps per second" for number, own in rates}
    about = _RATES.format(count=len(codes_format.formats))
    return _card("Unit language model of several rates", about, rows, codes_format)


def _card(title: str, about: str, rows: dict[str, str], codes: CodesFormat) -> str:
    """Write a card; the model belongs to the codebooks of a format, and codes of others are refused."""
    prints = {"tokenizer": codes.tokenizer, "codebook; codes of others are refused": codes.codebook}
    rows = rows | {f"fingerprint of the {of}": f"`{escape_markdown(each)}`" for of, each in prints.items()}
    return _CARD.format(
        title=title, about=about, rows="\n".join(f"| {name} | {value} |" for name, value in rows.items())
    )
