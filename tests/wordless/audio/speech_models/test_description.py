"""Descriptions of speech models: folders of transformers, and what is no such folder."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.wordless.audio.speech_models.checkpoints import FIELD, KINDS, STRIDE, save_checkpoint
from wordless.audio.options import Convolutions
from wordless.audio.speech_models import describe_speech_model
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
        ({"config.json": {"model_type": "hubert"}, "pytorch_model.bin": "x"}, r"pickle.*\(pytorch_model\.bin\)"),
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
            r"strides.*kernels",
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


SHAPES = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5)), min_size=1, max_size=4)


@given(shapes=SHAPES, samples=st.integers(1, 400))
def test_frames_are_those_that_the_convolutions_give(shapes: list[tuple[int, int]], samples: int) -> None:
    own = Convolutions(kernels=[kernel for kernel, _ in shapes], strides=[stride for _, stride in shapes])
    network = nn.Sequential(*(nn.Conv1d(1, 1, kernel, stride) for kernel, stride in shapes))
    filled = max(samples, own.receptive_field)
    wanted = network(torch.zeros(1, 1, filled)).shape[2]
    assert own.frames(samples) == wanted
    assert own.frames_of(torch.tensor([samples])).tolist() == [wanted]
    assert own.samples(wanted) <= filled < own.samples(wanted + 1)


def test_those_of_the_paper() -> None:
    own = Convolutions(kernels=(10, 3, 3, 3, 3, 2, 2), strides=(5, 2, 2, 2, 2, 2, 2))
    assert (own.stride, own.receptive_field) == (320, 400)
    assert own.frames(16_000) == 49
    assert own.frames(1) == 1


@pytest.mark.parametrize(("kernels", "strides"), [((), ()), ((3, 2), (1,)), ((3,), (0,))])
def test_shapes_that_cannot_be_are_refused(kernels: tuple[int, ...], strides: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"strides.*kernels"):
        Convolutions(kernels=kernels, strides=strides)
