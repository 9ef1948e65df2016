"""Model cards of language models, and exports: ONNX, and the Llama layout that `AutoModelForCausalLM` loads.

The only real difference of the Llama layout is the rotary embedding: fairseq2 rotates neighbouring pairs of a head's
dimensions (as Su et al., 2021, arXiv:2104.09864, write them), Hugging Face rotates dimension ``i`` with
``i + head_dim / 2``. So the rows of the query and key projections are reordered.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lm.gpt import GPT
from lm.options import GPTConfig
from lm.tokens import Merges
from tokenizer.codes import CodesFormat
from wordless.base.causal_transformer import make_exportable
from wordless.base.errors import InputError
from wordless.base.files import write_aside
from wordless.base.text import escape_markdown

if TYPE_CHECKING:
    from lm.model import LanguageModel  # which writes these cards

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
| fingerprint of the tokenizer | `{codes.tokenizer}` |
| fingerprint of the codebook | `{codes.codebook}` |
| codes | {codes.codebook_size} of each of {codes.streams} stream(s), {codes.codes_per_second:g} time steps per second |
| id of code c of stream s | s * {codes.codebook_size} + c, time step after time step, stream after stream |
{merges}| id of begin-of-sequence | {tokens.bos}: each sequence begins with it |
| id of padding | {tokens.pad} |
| end of sequence | none: ask for as many ids as you want |

Only codes of this codebook mean anything to the model; `config.json` names it under `wordless`, too.

```python
import torch
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("path/of/this/folder")
ids = torch.tensor([[{tokens.bos}, *codes_of_a_recording]])  # ids as in the table; none: a recording from its beginning
more = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, max_new_tokens={new})
codes = {made}
```

With several streams `generate` does not know whose turn it is: keep of each position's logits those of its stream, or
use `lm.model.LanguageModel`, which does. To hear codes, decode them with the vocoder of the same run.
"""


def export_card(gpt: GPT, codes_format: CodesFormat, *, merges: Merges | None = None) -> str:
    """Write Markdown for the Llama layout: ids of codes, the codebook, and how to load the model."""
    new = min(50, gpt.config.context // 2)
    made, rows = f"more[0, ids.shape[1] :] % {codes_format.codebook_size}", ""
    if merges is not None:
        made = "more[0, ids.shape[1] :]  # ids below the number of codes are codes, others runs of them"
        rows = f"| ids from {codes_format.codebook_size} | runs of codes: each merge in `config.json` joins two ids |\n"
    return _EXPORT.format(tokens=gpt.vocabulary, codes=_escaped(codes_format), new=new, made=made, merges=rows)


def model_card(
    gpt: GPT, codes_format: CodesFormat, *, merges: Merges | None = None, began_at: str | None = None
) -> str:
    """Write a model's sizes, codebook and use; its training began at weights with the SHA-256 ``began_at``."""
    predicted, reads, more = codes_format.formats[-1], "", ""
    if gpt.conditions is None:
        if merges is not None:
            more = f"| tokens | {merges.num_tokens} codes and runs of codes (BPE) |\n"
        if began_at is not None:
            more += f"| training began at the weights with the SHA-256 | `{began_at[:16]}` |\n"
        more += _USE.format(these="this codebook")
    else:
        coarser = ", ".join(f"{each.codes_per_second:g}" for each in codes_format.formats[:-1])
        next_codes = f"the covering code and the next {gpt.conditions.look_ahead}"
        reads = f"| reads | codes of {coarser} time steps per second: {next_codes} |\n"
    table = _TABLE.format(
        parameters=sum(parameter.numel() for parameter in gpt.parameters()),
        config=gpt.config,
        # with merges of one code or more each
        seconds=f"{'' if merges is None else 'at least '}{gpt.capacity / predicted.codes_per_second:.1f}",
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


ROTATED = ("q_proj.weight", "k_proj.weight")
_NAMES = {  # parts of names
    "decoder_frontend.embed.": "model.embed_tokens.",
    "decoder.layers.": "model.layers.",
    ".self_attn.q_proj.": ".self_attn.q_proj.",
    ".self_attn.k_proj.": ".self_attn.k_proj.",
    ".self_attn.v_proj.": ".self_attn.v_proj.",
    ".self_attn.output_proj.": ".self_attn.o_proj.",
    ".self_attn_layer_norm.": ".input_layernorm.",
    ".ffn.gate_proj.": ".mlp.gate_proj.",
    ".ffn.inner_proj.": ".mlp.up_proj.",
    ".ffn.output_proj.": ".mlp.down_proj.",
    ".ffn_layer_norm.": ".post_attention_layernorm.",
    "decoder.layer_norm.": "model.norm.",
}


def export_huggingface(model: LanguageModel, folder: Path | str) -> None:
    """Write config.json, generation_config.json, model.safetensors and README.md of a `LlamaForCausalLM`.

    As there is no text tokenizer, config.json names the codebook and the mapping of codes to ids (``wordless``). Its
    tokens are those of `lm.tokens`: a sequence begins with ``bos_token_id`` and has no end token. Of a model that reads
    merged codes config.json has the merges, too. With one stream
    its `generate` draws from the same probabilities as `LanguageModel`; with several it does not know the next stream.

    A model that reads several codes at a position is refused, because the Llama layout cannot represent it.
    """
    if model.gpt.conditions is not None:
        raise InputError(f"{model.name} reads codes of coarser rates, which the Llama layout cannot; export rate 1")
    if model.gpt.by_step:
        raise InputError(
            f"{model.name} has lm.gpt.interleaving=parallel, {model.format.streams} codes at each position, which the "
            "Llama layout cannot read; train one with lm.gpt.interleaving=flattening to export it"
        )
    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        _name(name): _to_halves(weight, model.gpt.config) if name.endswith(ROTATED) else weight.contiguous()
        for name, weight in model.gpt.transformer.state_dict().items()
        if name != "final_proj.weight"  # the output projection is the tied embedding
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    vocabulary = model.gpt.vocabulary
    special = {"bos_token_id": vocabulary.bos, "eos_token_id": None, "pad_token_id": vocabulary.pad}
    never = {"suppress_tokens": [*range(vocabulary.codes, vocabulary.size)]}  # never a target in training
    _write(folder / "generation_config.json", {**special, **never})
    write_aside(folder / "README.md", export_card(model.gpt, model.format, merges=model.merges))
    merges = {} if model.merges is None else {"merges": model.merges.pairs}
    about = {"torch_dtype": "float32", "wordless": {**model.format.as_dict(), **merges}}
    _write(folder / "config.json", {**_config(model.gpt.config, vocabulary.size), **special, **about})


def _config(config: GPTConfig, vocabulary_size: int) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary_size,
        "hidden_size": config.model_dim,
        "intermediate_size": config.ffn_dim,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.heads,
        "head_dim": config.model_dim // config.heads,
        "hidden_act": "silu",
        "max_position_embeddings": config.context,
        "rms_norm_eps": 1e-5,  # fairseq2's
        "rope_theta": config.rope_theta,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
    }


def _write(path: Path, values: dict[str, object]) -> None:
    write_aside(path, json.dumps(values, indent=2) + "\n")


def _name(name: str) -> str:
    parts = [part for part in _NAMES if part in name]
    assert len(parts) == 1 + name.startswith("decoder.layers."), f"{name} has no name of Hugging Face's"
    for part in parts:
        name = name.replace(part, _NAMES[part])
    return name


def _to_halves(weight: Tensor, config: GPTConfig) -> Tensor:
    """Reorder the rows of each head from pairs (0 1)(2 3)... to halves (0 2 ...)(1 3 ...)."""
    pairs = weight.reshape(config.heads, -1, 2, config.model_dim)  # (D, M) -> (H, head_dim / 2, 2, M)
    return pairs.transpose(1, 2).reshape(weight.shape).contiguous()  # -> (D, M)


class CodesToLogits(nn.Module):
    """Codes ``(batch, time, streams)``, int64 -> logits ``(batch, time * streams + 1, codes)``.

    Logits ``p`` are of code ``p``, counted time-major and stream-minor, given all codes before it; the last ones are
    of the code that would follow. Time is at most `lm.gpt.GPT.capacity`.
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        if model.gpt.conditions is not None:
            raise InputError(f"{model.name} reads codes of coarser rates, which is not written as ONNX; export rate 1")
        if model.merges is not None:
            raise InputError(
                f"{model.name} reads merged codes, which are not written as ONNX; train it with lm.bpe=null"
            )
        self.gpt = deepcopy(model.gpt).cpu().eval()
        make_exportable(self.gpt)

    def forward(self, codes: Tensor) -> Tensor:
        """Compute the logits of windows that begin at the start of a recording, or anywhere else."""
        vocabulary = self.gpt.vocabulary
        first = vocabulary.first_tokens
        begin = torch.full_like(codes[:, :1, 0], vocabulary.bos)  # (N, 1)
        tokens = torch.cat([begin, (codes + first).flatten(1)], dim=1)
        steps = vocabulary.steps(tokens) if self.gpt.by_step else tokens[..., None]  # (N, positions, tokens of each)
        states = self.gpt.decoded_steps(steps)
        return self.gpt.logits(states)[:, : tokens.shape[1]]
