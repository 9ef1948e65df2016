"""Descriptions of speech models: folders of transformers, and what is no such folder."""

import json
from pathlib import Path

import pytest

from tests.wordless.audio.speech_models.checkpoints import FIELD, KINDS, STRIDE, save_checkpoint
from wordless.audio.speech_models.description import describe_speech_model
from wordless.base.errors import InputError

OPTION = "wav2vec2.weights"


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_of_transformers_is_described(kind: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, kind, sample_rate=8000, normalises=False)
    found = describe_speech_model(tmp_path, option=OPTION)
    assert (found.layers, found.width, found.sample_rate, found.normalises) == (3, 32, 8000, False)
    assert (found.convolutions.stride, found.convolutions.receptive_field) == (STRIDE, FIELD)
    assert found.name in ("wav2vec 2.0", "HuBERT", "WavLM", "data2vec")
    found.require_rate(8000, option=OPTION)
    with pytest.raises(InputError, match=r"weights=\S+ .*\b8000 Hz\b.* audio\.sample_rate=8000"):
        found.require_rate(16_000, option=OPTION)


def test_without_a_description_of_inputs_they_are_those_of_transformers(tmp_path: Path) -> None:
    save_checkpoint(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    found = describe_speech_model(tmp_path, option=OPTION)
    assert (found.sample_rate, found.normalises) == (16_000, True)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"config\.json\b.*download"),
        ({"config.json": "{"}, r"config\.json\b"),
        ({"config.json": {"model_type": "bert"}}, r"\bbert\b.*\bwav2vec2, hubert\b"),
        ({"config.json": {}}, r"\bnull\b"),
        ({"config.json": {"model_type": "hubert"}}, r"weights\b.*model\.safetensors"),
        (
            {"config.json": {"model_type": "hubert"}, "pytorch_model.bin": "x"},
            r"pickle.*\(pytorch_model\.bin\)",
        ),
        (
            {"config.json": {"model_type": "hubert", "num_hidden_layers": 0}, "model.safetensors": "x"},
            r"damaged .*num_hidden_layers\b.*\b0\b",
        ),
        (
            {"config.json": {"model_type": "hubert", "conv_stride": [5, "2"]}, "model.safetensors": "x"},
            r"conv_stride\b.* whole numbers",
        ),
        (
            {"config.json": {"model_type": "hubert", "conv_stride": [5, 2]}, "model.safetensors": "x"},
            r"kernels.*strides",
        ),
        (
            {"config.json": {"model_type": "wavlm"}, "model.safetensors": "x", "preprocessor_config.json": "[]"},
            r"preprocessor_config\.json\b",
        ),
        (
            {"config.json": {"model_type": "wavlm", "hidden_size": 50_000}, "model.safetensors": "x"},
            r"\b12 layers\b.*\b50000\b.*model\.safetensors\b.*\b1 bytes",
        ),
    ],
)
def test_other_folders_are_refused(files: dict[str, object], message: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError, match=message) as refused:
        describe_speech_model(tmp_path, option=OPTION)
    assert str(refused.value).startswith(f"{OPTION}={tmp_path} ")
    assert "\n" not in str(refused.value)
