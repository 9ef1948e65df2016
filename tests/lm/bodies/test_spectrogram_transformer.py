"""The Audio Spectrogram Transformer against that of transformers, its weights from local folders, and AST as a body."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import ASTConfig, ASTModel, DeiTConfig, DeiTModel, ViTConfig, ViTForImageClassification

from lm.bodies.body import read_states
from lm.bodies.clips import StoredClips
from lm.bodies.options import LAYERS, AstConfig, AugmentationConfig
from lm.bodies.spectrogram_transformer import (
    AUDIOSET_STATISTICS,
    OPTION,
    TOKEN,
    AstBody,
    AstEncoder,
    Statistics,
    filter_bank,
    filter_bank_stream,
    frames_of,
    patches_of,
    resize_positions,
)
from lm.finetuned import FineTunedModel, create_network, open_body
from lm.finetuning import AstOptions, ClassificationOptions
from lm.heads import ClassificationTask
from tests.pipelines.tiny import sweep
from wordless.audio.waveform import FloatArray
from wordless.base.errors import InputError

TINY_SIZES = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}


def filter_banks(frames: int, batch: int = 1, seed: int = 0) -> Tensor:
    return -4 + 4 * torch.randn(batch, frames, 128, generator=torch.Generator().manual_seed(seed))


def create_ast(config: AstConfig, frames: int, *, seed: int) -> AstEncoder:
    """An encoder with positions for so many frames."""
    body = AstBody.of(config, option=OPTION, clip_vector=True, positions=max(frames - 16, 0) // 10 + 1)
    return body.create(seed=seed, weights=None if config.weights is None else Path(config.weights), option=OPTION)


@pytest.fixture(scope="module")
def encoder() -> AstEncoder:
    return create_ast(AstConfig(layers=(4, 11)), frames_of(8), seed=0).eval()


def perturbed(model: torch.nn.Module) -> torch.nn.Module:
    """The model with biases and positions that are not zero."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model.eval()


@torch.no_grad()
def test_at_the_length_trained_on_it_is_transformers_own(encoder: AstEncoder) -> None:
    sound = filter_banks(frames_of(8), batch=2)
    normalised = (sound - AUDIOSET_STATISTICS.mean) / (2 * AUDIOSET_STATISTICS.std)
    expected = encoder.transformer(normalised, output_hidden_states=True)
    states = encoder.states(sound, torch.tensor([frames_of(8)] * 2))
    torch.testing.assert_close(states[TOKEN][0][:, 0], expected.pooler_output)
    for layer in (4, 11):
        found, _ = states[f"layer_{layer}"]
        over_time = expected.hidden_states[layer][:, 2:].unflatten(1, (12, 8)).mean(1)
        torch.testing.assert_close(found, over_time, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("frames", [126, 86])
def test_weights_of_an_ast_are_its_own(frames: int, tmp_path: Path) -> None:
    """At 126 frames, those it was trained on, it is the saved model; at fewer the positions are cut to the middle."""
    saved = perturbed(ASTModel(ASTConfig(**TINY_SIZES, max_length=126)))
    saved.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"mean": -6.0, "std": 5.0}))
    encoder = create_ast(AstConfig(weights=str(tmp_path)), frames, seed=0).eval()
    positions = saved.embeddings.position_embeddings[:, 2:].unflatten(1, (12, 12))
    found = encoder.transformer.embeddings.position_embeddings[:, 2:].unflatten(1, (12, -1))
    torch.testing.assert_close(found, positions[:, :, 2:10] if frames == 86 else positions)
    if frames == 126:
        sound = filter_banks(126)
        states = encoder.states(sound, torch.tensor([126]))
        torch.testing.assert_close(states[TOKEN][0][:, 0], saved((sound + 6) / 10).pooler_output)


@torch.no_grad()
def test_weights_of_image_transformers_are_adapted(tmp_path: Path) -> None:
    deit = perturbed(DeiTModel(DeiTConfig(**TINY_SIZES, image_size=96)))
    deit.save_pretrained(tmp_path / "deit")
    vit = perturbed(ViTForImageClassification(ViTConfig(**TINY_SIZES, image_size=224)))
    vit.save_pretrained(tmp_path / "vit")
    for name, image in (("deit", deit), ("vit", vit.vit)):
        encoder = create_ast(AstConfig(weights=str(tmp_path / name)), frames_of(4), seed=0)
        embeddings = encoder.transformer.embeddings
        grey = image.embeddings.patch_embeddings.projection.weight.sum(1, keepdim=True)
        torch.testing.assert_close(embeddings.patch_embeddings.projection.weight, grey)
        torch.testing.assert_close(embeddings.cls_token, image.embeddings.cls_token)
        last = (model.layer[11].output.dense.weight for model in (encoder.transformer.encoder, image.encoder))
        torch.testing.assert_close(*last)
    kept = vit.vit.embeddings.position_embeddings[:, 1:].unflatten(1, (14, 14))[:, 1:13, 5:9]
    torch.testing.assert_close(embeddings.position_embeddings[:, 2:].unflatten(1, (12, 4)), kept)
    torch.testing.assert_close(embeddings.distillation_token, vit.vit.embeddings.cls_token)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 20), st.integers(1, 20))
def test_positions_keep_their_range_and_are_cut_to_the_middle(rows: int, columns: int, high: int, wide: int) -> None:
    grid = torch.arange(float(rows * columns)).reshape(1, 1, rows, columns)
    found = resize_positions(grid, (high, wide))
    assert found.shape == (1, 1, high, wide)
    assert -1e-4 <= found.min() <= found.max() <= grid.max() + 1e-4
    if high == rows and wide == columns:
        torch.testing.assert_close(found, grid)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (None, r"config\.json\b.*download"),
        ({"model_type": "wav2vec2"}, r"\bwav2vec2\b.*\baudio-spectrogram-transformer, deit\b"),
        ({"model_type": "deit"}, r"hidden_size 768\b.*\bast\.model\.size=tiny\b.*\b192\b.*\bast\.model\.size\b"),
        ({"model_type": "vit", **TINY_SIZES, "patch_size": 32}, r"patch_size\b.*\b32\b"),
        ({"model_type": "vit", **TINY_SIZES}, r"weights\b.*model\.safetensors"),
    ],
)
def test_folders_that_do_not_fit_are_refused(config: dict[str, object] | None, told: str, tmp_path: Path) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=told):
        create_ast(AstConfig(weights=str(tmp_path)), 96, seed=0)


def test_a_classifier_has_a_vector_for_each_piece_and_keeps_its_statistics(tmp_path: Path) -> None:
    task = ClassificationTask(options=ClassificationOptions(), classes=("a", "b", "c"), normalised=True)
    body = AstBody(ast=AstConfig(), clip_vector=True, positions=9, statistics=Statistics(mean=-7.0, std=4.0))
    model = FineTunedModel(create_network(body, body.create(seed=0), task, seed=0), body, task)
    model.write(tmp_path)
    clips = StoredClips.together([filter_banks(frames, seed=frames)[0].numpy() for frames in (70, 1200)])
    again = FineTunedModel.from_pretrained(tmp_path)
    assert all(map(np.array_equal, again.outputs(clips), model.outputs(clips)))
    assert float(again.network.body.mean) == -7
    whole, network = torch.from_numpy(clips.clip(1))[None], model.network.body
    with torch.no_grad():
        vectors = [network(piece, torch.tensor([piece.shape[1]]))[0] for piece in (whole[:, :1016], whole[:, 1010:])]
        states, _ = read_states(network, body.reading, whole, torch.tensor([1200]))
    torch.testing.assert_close(states, torch.cat(vectors, dim=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_samples", [0, 1, 2800, 2801, 16_000, 33_333, 1200 + 1600 * 10])
def test_filter_banks_in_pieces_are_those_of_the_padded_whole(num_samples: int) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, num_samples).astype(np.float32)
    pieces = list(filter_bank_stream(np.array_split(samples, 7), patches=5))
    total = patches_of(num_samples)
    assert [len(piece) for piece in pieces] == [frames_of(min(5, total - start)) for start in range(0, total, 5)]
    whole = filter_bank(torch.from_numpy(np.pad(samples, (0, 1200 + 1600 * total - num_samples))))
    assert len(whole) == frames_of(total)
    for number, piece in enumerate(pieces):
        torch.testing.assert_close(piece, whole[50 * number : 50 * number + len(piece)])
    assert 1600 * total + 1200 >= num_samples
    assert total == 1 or 1600 * (total - 1) + 1200 < num_samples


BODY = AstBody(ast=AstConfig(patches=4))


@pytest.fixture(scope="module")
def network() -> AstEncoder:
    return BODY.create(seed=0).eval()


def read(samples: FloatArray) -> torch.Tensor:
    """The inputs of a sound, whose blocks are uneven."""
    blocks = np.array_split(samples, [1000, 1001, 7000])
    return torch.from_numpy(BODY.front_end(Path(), device="cpu")(blocks).astype(np.float32))


@pytest.mark.parametrize("seconds", [0.03, 0.175, 0.2, 0.9, 2.1])
def test_inputs_are_as_long_as_they_are_said_to_be(seconds: float) -> None:
    samples = sweep(seconds, 16_000)
    inputs = read(samples)
    assert inputs.shape == (BODY.num_inputs(len(samples)), 128)
    assert BODY.reading.num_states(len(inputs)) == max(-(-(len(samples) - 1200) // 1600), 1)


def test_states_are_the_normalised_means_over_frequency(network: AstEncoder) -> None:
    clips = [read(sweep(seconds, 16_000)) for seconds in (0.3, 0.45)]
    inputs = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    lengths = torch.tensor([len(clip) for clip in clips])
    with torch.no_grad():
        states, counts = network(inputs, lengths)
        layers = network.layer_states(inputs, lengths)
        prepared = network.prepare(clips[0][None], lengths[:1])
        own = network.states(prepared, lengths[:1])[f"layer_{LAYERS}"][0][0]
    assert counts.tolist() == [3, 4]
    torch.testing.assert_close(layers[-1, 0, :3], own, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(states[0, :3], network.transformer.layernorm(own), atol=1e-4, rtol=1e-3)


def test_all_weights_are_loaded_from_a_folder(network: AstEncoder, tmp_path: Path) -> None:
    assert len(network.stack) == 1 + LAYERS
    network.transformer.save_pretrained(tmp_path)
    source = open_body(AstOptions(model=AstConfig(patches=4), weights=str(tmp_path)), {})
    loaded = source.create(seed=5).state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in network.state_dict().items())
    assert replace(source.body, epsilon=BODY.epsilon) == BODY  # type: ignore[type-var]  # a dataclass
    assert source.fingerprint


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"body\.weights=.*config\.json\b"):
        open_body(AstOptions(weights=str(tmp_path)), {})
    with pytest.raises(InputError, match=r"augmentation\.crop\b.*\b0\.5\b"):
        AstOptions(augmentation=AugmentationConfig(crop=0.5))
    with pytest.raises(InputError, match=r"model\.weights\b.*\bhere\b.*body\.weights\b"):
        AstOptions(model=AstConfig(weights="here"))
