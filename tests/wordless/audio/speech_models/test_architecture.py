"""Architectures of speech models as plain values."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from tests.wordless.audio.speech_models.checkpoints import FIELD, KINDS, SIZES, STRIDE, save_checkpoint
from wordless.audio.speech_models.encoder import Architecture
from wordless.base.configuration import build
from wordless.base.errors import InputError


@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_a_folder_are_loaded_or_created_from_plain_values(kind: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, kind, sample_rate=8000, normalises=False)
    own = Architecture.of_folder(tmp_path, option="weights")
    assert (own.sample_rate, own.normalises) == (8000, False)
    convolutions = own.described.convolutions
    assert (convolutions.stride, convolutions.receptive_field) == (STRIDE, FIELD)
    assert build(Architecture, json.loads(json.dumps(asdict(own))), name="") == own
    loaded, random = own.load_network(tmp_path, option="weights"), own.create(seed=3)
    shapes = {name: tensor.shape for name, tensor in loaded.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in random.state_dict().items()}
    assert own.parameters == sum(weight.numel() for weight in random.parameters())
    again = own.create(seed=3).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in random.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"model_type": "bert"}, r"model_type.*bert.*wav2vec2"),
        ({"model_type": None}, r"model_type.*None.*wav2vec2"),
        ({"num_hidden_layers": 10**6}, r"num_hidden_layers.*\b1000000\b.*\b1000\b"),
        ({"conv_kernel": [3], "conv_stride": [1, 2]}, r"kernels.*strides"),
        ({"num_conv_pos_embeddings": 10**9}, r"num_conv_pos_embeddings.*\b1000000000\b.*\b1000\b"),
    ],
)
def test_sizes_of_no_speech_model_are_refused(changes: dict[str, object], problem: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path)
    own = Architecture.of_folder(tmp_path, option="weights")
    with pytest.raises(InputError, match=problem):
        Architecture(config=own.config | changes)


def test_a_file_names_no_code_of_the_attention(tmp_path: Path) -> None:
    save_checkpoint(tmp_path)
    own = Architecture.of_folder(tmp_path, option="weights")
    changes = {"attn_implementation": "someone/kernel", "_attn_implementation_internal": "someone/kernel"}
    model = Architecture(config=own.config | changes | {"auto_map": {"AutoModel": "planted.Model"}}).create(seed=0)
    assert model.config._attn_implementation in ("sdpa", "eager")
    assert type(model).__name__ == "Wav2Vec2Model"


def test_an_adapter_above_the_layers_is_left_out(tmp_path: Path) -> None:
    config = Wav2Vec2Config(**SIZES, add_adapter=True)
    Wav2Vec2Model(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    own = Architecture.of_folder(tmp_path, option="weights")
    loaded = own.load_network(tmp_path, option="weights").state_dict()
    assert loaded.keys() == own.create(seed=0).state_dict().keys()
