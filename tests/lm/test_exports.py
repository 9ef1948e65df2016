"""Export to the Hugging Face Llama layout."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lm.exports import export_huggingface
from lm.model import LanguageModel
from tests.lm.tiny import TINY, codes_format, random_codes
from wordless.base.errors import InputError


@pytest.fixture(params=[1, 3], ids=["one_stream", "three_streams"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return LanguageModel.create(TINY, codes_format(request.param), seed=0)


@torch.no_grad()
def test_transformers_loads_a_model_with_equal_logits(model: LanguageModel, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    export_huggingface(model, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokens = model.tokens(random_codes(8, streams=model.format.streams).values)[None]
    torch.testing.assert_close(
        loaded(tokens).logits, model.gpt.transformer.final_proj(model.gpt.decoded(tokens)), rtol=0, atol=1e-5
    )
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


def test_a_model_of_several_codes_at_a_position_is_refused(tmp_path: Path) -> None:
    model = LanguageModel.create(replace(TINY, interleaving="parallel"), codes_format(3), seed=0)
    with pytest.raises(InputError, match="interleaving=flattening"):
        export_huggingface(model, tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_the_readme_says_how_codes_become_ids_and_its_example_runs(model: LanguageModel, tmp_path: Path) -> None:
    export_huggingface(model, tmp_path)
    card, config = (tmp_path / "README.md").read_text(), json.loads((tmp_path / "config.json").read_text())
    assert "no text tokenizer" in card
    assert config["wordless"] == model.format.as_dict()
    assert f"`{model.format.codebook}`" in card
    example = card.partition("```python\n")[2].partition("```")[0].replace("path/of/this/folder", str(tmp_path))
    prompt = model.tokens(random_codes(4, streams=model.format.streams).values)[1:].tolist()
    names: dict[str, Any] = {"codes_of_a_recording": prompt}
    exec(example, names)
    assert names["ids"].tolist() == [[model.gpt.vocabulary.bos, *prompt]]
    assert 0 <= int(names["codes"].min()) <= int(names["codes"].max()) < model.format.codebook_size
