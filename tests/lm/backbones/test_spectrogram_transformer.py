"""The Audio Spectrogram Transformer against that of transformers, weights from local folders, and AST as a backbone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import ASTConfig, ASTModel, DeiTConfig, DeiTModel, ViTConfig, ViTForImageClassification

from lm.backbones.clips import AugmentationConfig, StoredClips
from lm.backbones.spectrogram_transformer import (
    AST_OPTION,
    AUDIOSET_STATISTICS,
    TOKEN,
    AstBackbone,
    AstConfig,
    AstEncoder,
    SpectrogramStatistics,
    filter_bank,
    filter_bank_stream,
    patches_of,
    resize_positions,
    spectrogram_frames_of,
)
from lm.finetuned import FineTunedModel, create_network, read_states
from lm.finetuning import ClassificationOptions
from lm.heads import ClassificationTask
from pipelines.backbones.ast_backbone import AstFinetuneSettings
from wordless.base.messages import InputError

TINY_SIZES = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}


def filter_banks(frames: int, batch: int = 1) -> Tensor:
    return -4 + 4 * torch.randn(batch, frames, 128, generator=torch.Generator().manual_seed(frames))


def create_ast(config: AstConfig, frames: int) -> AstEncoder:
    """An encoder with positions for so many frames."""
    backbone = AstBackbone.of(config, option=AST_OPTION, clip_vector=True, positions=max(frames - 16, 0) // 10 + 1)
    return backbone.create(seed=0, weights=None if config.weights is None else Path(config.weights), option=AST_OPTION)


@pytest.fixture(scope="module")
def encoder() -> AstEncoder:
    return create_ast(AstConfig(layers=(4, 11)), spectrogram_frames_of(8)).eval()


def perturbed(model: torch.nn.Module) -> torch.nn.Module:
    """The model with biases and positions that are not zero."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model.eval()


@torch.no_grad()
def test_at_the_length_trained_on_it_is_transformers_own(encoder: AstEncoder) -> None:
    sound, lengths = filter_banks(spectrogram_frames_of(8), batch=2), torch.tensor([spectrogram_frames_of(8)] * 2)
    normalised = (sound - AUDIOSET_STATISTICS.mean) / (2 * AUDIOSET_STATISTICS.std)
    expected = encoder.transformer(normalised, output_hidden_states=True)
    states = encoder.states(sound, lengths)
    torch.testing.assert_close(states[TOKEN][0][:, 0], expected.pooler_output)
    means = [each[:, 2:].unflatten(1, (12, 8)).mean(1) for each in expected.hidden_states]
    for layer in (4, 11):
        torch.testing.assert_close(states[f"layer_{layer}"][0], means[layer], rtol=1e-4, atol=1e-4)
    backbone = AstBackbone(ast=AstConfig(patches=8)).create(seed=0).eval()  # of all layers, for heads and probes
    backbone.transformer.load_state_dict(encoder.transformer.state_dict())
    stored = (sound - AUDIOSET_STATISTICS.mean) / AUDIOSET_STATISTICS.std
    layers = backbone.layer_states(stored, lengths)
    torch.testing.assert_close(layers[10], means[11], rtol=1e-4, atol=1e-4)
    wanted = encoder.transformer.layernorm(layers[11])
    torch.testing.assert_close(backbone(stored, lengths)[0], wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("frames", [126, 86])
def test_weights_of_an_ast_are_its_own(frames: int, tmp_path: Path) -> None:
    """At 126 frames, those it was trained on, it is the saved model; at fewer the positions are cut to the middle."""
    saved = perturbed(ASTModel(ASTConfig(**TINY_SIZES, max_length=126)))
    saved.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"mean": -6.0, "std": 5.0}))
    encoder = create_ast(AstConfig(weights=str(tmp_path)), frames).eval()
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
        encoder = create_ast(AstConfig(weights=str(tmp_path / name)), spectrogram_frames_of(4))
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
        create_ast(AstConfig(weights=str(tmp_path)), 96)


def test_a_classifier_has_a_vector_for_each_piece_and_keeps_its_statistics(tmp_path: Path) -> None:
    task = ClassificationTask(options=ClassificationOptions(), classes=("a", "b", "c"), normalised=True)
    backbone = AstBackbone(
        ast=AstConfig(), clip_vector=True, positions=9, statistics=SpectrogramStatistics(mean=-7.0, std=4.0)
    )
    model = FineTunedModel(create_network(backbone, backbone.create(seed=0), task, seed=0), backbone, task)
    model.write(tmp_path)
    clips = StoredClips.together([filter_banks(frames)[0].numpy() for frames in (70, 1200)])
    again = FineTunedModel.from_pretrained(tmp_path)
    assert all(map(np.array_equal, again.outputs(clips), model.outputs(clips)))
    assert float(again.network.backbone.mean) == -7
    whole, network = torch.from_numpy(clips.clip(1))[None], model.network.backbone
    with torch.no_grad():
        vectors = [network(piece, torch.tensor([piece.shape[1]]))[0] for piece in (whole[:, :1016], whole[:, 1010:])]
        states, _ = read_states(network, backbone.reading, whole, torch.tensor([1200]))
    torch.testing.assert_close(states, torch.cat(vectors, dim=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_samples", [0, 1, 2800, 2801, 16_000, 33_333, 1200 + 1600 * 10])
def test_filter_banks_in_pieces_are_those_of_the_padded_whole(num_samples: int) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, num_samples).astype(np.float32)
    blocks = np.array_split(samples, 7)
    pieces = list(filter_bank_stream(blocks, patches=5))
    total = patches_of(num_samples)
    assert [len(piece) for piece in pieces] == [
        spectrogram_frames_of(min(5, total - start)) for start in range(0, total, 5)
    ]
    whole = filter_bank(torch.from_numpy(np.pad(samples, (0, 1200 + 1600 * total - num_samples))))
    assert len(whole) == spectrogram_frames_of(total)
    for number, piece in enumerate(pieces):
        torch.testing.assert_close(piece, whole[50 * number : 50 * number + len(piece)])
    assert 1600 * total + 1200 >= num_samples
    assert total == 1 or 1600 * (total - 1) + 1200 < num_samples
    backbone = AstBackbone(ast=AstConfig(patches=4))
    inputs = backbone.front_end(Path(), device="cpu")(blocks)
    stored = (whole - AUDIOSET_STATISTICS.mean) / AUDIOSET_STATISTICS.std
    np.testing.assert_allclose(inputs, stored, rtol=1e-2, atol=1e-2)
    assert (len(inputs), total) == (backbone.num_inputs(num_samples), backbone.reading.num_states(len(inputs)))


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"backbone\.weights=.*config\.json\b"):
        AstFinetuneSettings(weights=str(tmp_path)).open({})
    with pytest.raises(InputError, match=r"augmentation\.crop\b.*\b0\.5\b"):
        AstFinetuneSettings(augmentation=AugmentationConfig(crop=0.5))
    with pytest.raises(InputError, match=r"model\.weights\b.*\bhere\b.*backbone\.weights\b"):
        AstFinetuneSettings(model=AstConfig(weights="here"))
