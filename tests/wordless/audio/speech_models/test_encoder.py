"""Encoders against the same models as transformers runs them: on one clip at a time, without padding."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoFeatureExtractor, AutoModel

from tests.wordless.audio.speech_models.checkpoints import FIELD, KINDS, STRIDE, save_checkpoint
from wordless.audio import speech_models as reading
from wordless.audio.audio_options import Convolutions
from wordless.audio.speech_models import SpeechEncoder, SpeechModel, compute_time_first, load_speech_encoder
from wordless.base.messages import InputError
from wordless.base.options import build
from wordless.base.saved_models import hugging_face_hash

OPTION = "wav2vec2.weights"
LENGTHS = (2000, 900, 1333, 7)
ALL = (0, 1, 2, 3)


def reference(folder: Path, model: Any, samples: torch.Tensor) -> list[torch.Tensor]:
    """States of one clip ``(frames, width)`` after each layer, with the inputs that transformers prepares."""
    prepared = AutoFeatureExtractor.from_pretrained(folder)(samples.numpy(), sampling_rate=16_000, return_tensors="pt")
    backbone = getattr(model, "wav2vec2", model)
    with torch.no_grad():
        return [each[0] for each in backbone(prepared.input_values, output_hidden_states=True).hidden_states]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalises", [True, False])
def test_a_batch_has_the_states_of_each_clip_alone(kind: str, normalises: bool, tmp_path: Path) -> None:
    model = save_checkpoint(tmp_path, kind, normalises=normalises)
    own = load_speech_encoder(tmp_path, option="weights")
    samples, lengths = 0.1 + 0.2 * torch.randn(4, 2000), torch.tensor(LENGTHS)
    with torch.no_grad():
        found = own.states(samples, lengths, layers=ALL)
    assert found.shape == (4, 4, own.convolutions.frames(2000), 32)
    for row, length in enumerate(LENGTHS[:3]):
        frames = own.convolutions.frames(length)
        wanted = reference(tmp_path, model, samples[row, :length])
        for layer in ALL:
            torch.testing.assert_close(found[layer, row, :frames], wanted[layer], atol=2e-5, rtol=1e-4)
        assert not found[:, row, frames:].any()
    assert not found[:, 3, 1:].any()  # shorter than the receptive field: a single frame


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert-base"])
def test_a_recording_is_read_whole_or_in_pieces(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = save_checkpoint(tmp_path, kind, normalises=False)
    own = load_speech_encoder(tmp_path, option="weights")
    samples = torch.randn(STRIDE * 30 + 17)
    frames = own.convolutions.frames(len(samples))
    with torch.no_grad():
        (whole,) = own.pieces(samples.numpy(), ALL, frames=frames)
        for layer, wanted in enumerate(reference(tmp_path, model, samples)):
            torch.testing.assert_close(whole[layer], wanted, atol=2e-5, rtol=1e-4)
        monkeypatch.setattr(reading, "PIECE_FRAMES", 12)
        parts = [*own.pieces(samples.numpy(), ALL, frames=frames)]
    assert [part.shape[1] for part in parts] == [10, 10, 10]  # each sees only itself
    alone = samples[10 * STRIDE : 19 * STRIDE + FIELD]
    with torch.no_grad():
        torch.testing.assert_close(parts[1], own.states(alone[None], torch.tensor([len(alone)]), layers=ALL)[:, 0])


def test_hidden_frames_are_hidden_and_nothing_else(tmp_path: Path) -> None:
    model = save_checkpoint(tmp_path)
    own = SpeechEncoder(model.wav2vec2.train(), normalises=True)
    samples, lengths, masked = torch.randn(2, 1000), torch.tensor([1000, 700]), torch.zeros(2, 12, dtype=torch.bool)
    masked[0, 3:5] = True
    torch.nn.Module.eval(own.transformer)
    with torch.no_grad():
        plain, hidden = (own.states(samples, lengths, masked=each)[0] for each in (None, masked))
    assert not torch.allclose(plain[0], hidden[0], atol=1e-3)
    torch.testing.assert_close(plain[1], hidden[1])


def test_weights_in_several_files_are_those_of_one(tmp_path: Path) -> None:
    model = save_checkpoint(tmp_path / "one")
    model.save_pretrained(tmp_path / "several", max_shard_size="50KB")
    assert not (tmp_path / "several" / "model.safetensors").exists()
    one, several = (load_speech_encoder(tmp_path / name, option="weights") for name in ("one", "several"))
    found = several.transformer.state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in one.transformer.state_dict().items())
    first = hugging_face_hash(tmp_path / "several")
    for shard in (tmp_path / "several").glob("model-*.safetensors"):
        shard.write_bytes(shard.read_bytes()[:-4] + bytes(4))
    assert hugging_face_hash(tmp_path / "several") != first


def test_weights_that_do_not_belong_to_the_config_are_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "hubert-base")
    weights = load_file(tmp_path / "model.safetensors")
    for change, message in (
        ({"encoder.layers.1.attention.k_proj.weight": None}, r"'encoder\.layers\.1\.attention\.k_proj\.weight'"),
        ({"encoder.layer_norm.weight": torch.full((32,), torch.nan)}, r"'encoder\.layer_norm\.weight'"),
        ({"encoder.layer_norm.weight": torch.ones(31)}, "LayerNorm"),
    ):
        changed = {name: value for name, value in {**weights, **change}.items() if value is not None}
        save_file(changed, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(InputError, match=message):
            load_speech_encoder(tmp_path, option="weights")
    (tmp_path / "model.safetensors").write_bytes(b"no weights" * 10_000)
    with pytest.raises(InputError, match=r"weights=\S+ .*damaged"):
        load_speech_encoder(tmp_path, option="weights")


@pytest.mark.parametrize("kind", KINDS)
def test_folders_are_described_and_networks_loaded_or_created_from_plain_values(kind: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, kind, sample_rate=8000, normalises=False)
    found = SpeechModel.of_folder(tmp_path, option=OPTION)
    assert (found.layers, found.width, found.sample_rate, found.normalises) == (3, 32, 8000, False)
    assert (found.convolutions.stride, found.convolutions.receptive_field) == (STRIDE, FIELD)
    assert found.name in ("wav2vec 2.0", "HuBERT", "WavLM", "data2vec")
    found.require_rate(8000, given="weights=x")
    with pytest.raises(InputError, match=r"weights=x .*\b8000 Hz\b.* audio\.sample_rate=8000"):
        found.require_rate(16_000, given="weights=x")
    assert build(SpeechModel, json.loads(json.dumps(asdict(found))), name="") == found
    loaded = load_speech_encoder(tmp_path, option="weights").transformer.state_dict()
    random, again = (found.create(seed=3).state_dict() for _ in range(2))
    shapes = [{name: tensor.shape for name, tensor in each.items()} for each in (loaded, random)]
    assert shapes[0] == shapes[1]
    assert all(torch.equal(tensor, again[name]) for name, tensor in random.items())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"num_hidden_layers": 10**6}, r"num_hidden_layers.*\b1000000\b.*\b1000\b"),
        ({"conv_kernel": [3], "conv_stride": [1, 2]}, "conv_kernel"),
        ({"conv_kernel": [], "conv_stride": []}, "conv_kernel"),
        ({"conv_kernel": [10, 3, 3], "conv_stride": [5, 4, 0]}, r"strides.*kernels"),
        ({"num_conv_pos_embeddings": 10**9}, r"num_conv_pos_embeddings.*\b1000000000\b.*\b1000\b"),
    ],
)
def test_sizes_of_no_speech_model_are_refused(changes: dict[str, object], problem: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path)
    own = SpeechModel.of_folder(tmp_path, option="weights")
    with pytest.raises(InputError, match=problem):
        SpeechModel(config=own.config | changes)


def test_a_file_names_no_code_of_the_attention(tmp_path: Path) -> None:
    save_checkpoint(tmp_path)
    own = SpeechModel.of_folder(tmp_path, option="weights")
    changes = {"attn_implementation": "someone/kernel", "_attn_implementation_internal": "someone/kernel"}
    model = SpeechModel(config=own.config | changes | {"auto_map": {"AutoModel": "planted.Model"}}).create(seed=0)
    assert model.config._attn_implementation in ("sdpa", "eager")
    assert type(model).__name__ == "Wav2Vec2Model"


SAMPLES = torch.randn(3, 1700, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm", "data2vec-audio", "hubert-base"])
def test_values_and_gradients_are_those_of_transformers(tmp_path: Path, kind: str) -> None:
    save_checkpoint(tmp_path, kind)
    plain, changed = (AutoModel.from_pretrained(tmp_path).eval() for _ in range(2))
    compute_time_first(changed.feature_extractor)
    assert [*changed.state_dict()] == [*plain.state_dict()]
    with torch.no_grad():
        assert torch.equal(*(each.feature_extractor(SAMPLES) for each in (plain, changed)))
    wanted, found = (each.feature_extractor(SAMPLES) for each in (plain, changed))
    torch.testing.assert_close(found, wanted)
    weights = torch.randn_like(wanted)
    for each in (found, wanted):
        (each * weights).sum().backward()
    for name, parameter in plain.feature_extractor.named_parameters():
        given = changed.feature_extractor.get_parameter(name).grad
        torch.testing.assert_close(given, parameter.grad, atol=1e-4, rtol=1e-4)


def test_without_a_description_of_inputs_they_are_those_of_transformers(tmp_path: Path) -> None:
    save_checkpoint(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    found = SpeechModel.of_folder(tmp_path, option=OPTION)
    assert (found.sample_rate, found.normalises) == (16_000, True)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"config\.json\b.*download"),
        ({"config.json": {"model_type": "bert"}}, r"\bbert\b.*\bwav2vec2, hubert\b"),
        ({"config.json": {"model_type": "hubert"}}, r"weights\b.*model\.safetensors"),
        ({"config.json": {"model_type": "hubert"}, "pytorch_model.bin": "x"}, r"pickle.*save_pretrained"),
        ({"config.json": {"model_type": "hubert", "num_hidden_layers": 0}, "model.safetensors": "x"},
         r"num_hidden_layers\b.*\b0\b"),
        ({"config.json": {"model_type": "hubert", "conv_stride": [5, 2, 2, 2, 2, 2, "2"]}, "model.safetensors": "x"},
         r"conv_stride\b.* whole numbers"),
        ({"config.json": {"model_type": "wavlm"}, "model.safetensors": "x", "preprocessor_config.json": "[]"},
         r"preprocessor_config\.json\b"),
        ({"config.json": {"model_type": "wavlm", "hidden_size": 50_000}, "model.safetensors": "x"},
         r"\b12 layers\b.*\b50000\b.*model\.safetensors\b.*\b1 bytes"),
    ],
)  # fmt: skip
def test_other_folders_are_refused(files: dict[str, object], message: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError, match=message) as refused:
        SpeechModel.of_folder(tmp_path, option=OPTION)
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
    assert own.stride == math.prod(stride for _, stride in shapes)
