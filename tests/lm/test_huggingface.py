"""Export to the Hugging Face Llama layout."""

from pathlib import Path

import torch
from safetensors import safe_open

from lm.huggingface import export_huggingface
from lm.model import LanguageModel
from tests.lm.tiny import random_codes


@torch.no_grad()
def test_transformers_loads_a_model_with_equal_logits(model: LanguageModel, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    export_huggingface(model, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokens = model.tokens(random_codes(8, streams=model.format.streams).values)[None]
    torch.testing.assert_close(loaded(tokens).logits, model.gpt.token_logits(tokens), rtol=0, atol=1e-5)
    assert type(loaded).__name__ == "LlamaForCausalLM"
    vocabulary = model.gpt.vocabulary
    for config in (loaded.config, loaded.generation_config):
        assert (config.bos_token_id, config.pad_token_id, config.eos_token_id) == (vocabulary.bos, vocabulary.pad, None)


def test_its_generate_draws_no_token_that_is_no_sound(model: LanguageModel, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    export_huggingface(model, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.manual_seed(0)
    tokens = loaded.generate(max_new_tokens=20, do_sample=True, num_return_sequences=8)
    assert int(tokens[:, 1:].max()) < model.gpt.vocabulary.codes


def test_the_weights_carry_one_metadata_key(model: LanguageModel, tmp_path: Path) -> None:
    export_huggingface(model, tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as weights:
        assert weights.metadata() == {"format": "pt"}
