"""Exports of a language model: ONNX, and the Llama layout that `AutoModelForCausalLM` loads.

The only real difference of the Llama layout is the rotary embedding: fairseq2 rotates neighbouring pairs of a head's
dimensions (as Su et al., 2021, arXiv:2104.09864, write them), Hugging Face rotates dimension ``i`` with
``i + head_dim / 2``. So the rows of the query and key projections are reordered.
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lm.model_card import export_card
from lm.options import GPTConfig
from wordless.base.causal_transformer import make_exportable
from wordless.base.errors import InputError
from wordless.base.files import write_aside

if TYPE_CHECKING:
    from lm.model import LanguageModel

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
            f"{model.name} has lm.gpt.interleaving=parallel, {model.predicted.streams} codes at each position, which "
            "the Llama layout cannot read; train one with lm.gpt.interleaving=flattening to export it"
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
    write_aside(folder / "README.md", export_card(model.gpt, model.predicted, merges=model.merges))
    merges = {} if model.merges is None else {"merges": model.merges.pairs}
    about = {"torch_dtype": "float32", "wordless": {**model.predicted.as_dict(), **merges}}
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
        if model.predicted.pitch is not None:
            raise InputError(
                f"{model.name} reads the pitch among the codes, which is not written as ONNX; train it with "
                "lm.pitch=beside"
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
