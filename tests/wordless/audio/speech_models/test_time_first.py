"""Convolutions whose values lie in memory frame by frame."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModel, PreTrainedModel

from tests.wordless.audio.speech_models.checkpoints import save_checkpoint
from wordless.audio.speech_models.encoder import TimeFirstConvolution, compute_time_first
from wordless.base.errors import InputError
from wordless.training.precision import require_right_in_bfloat16

SAMPLES = torch.randn(3, 1700, generator=torch.Generator().manual_seed(0))


def _both(folder: Path, kind: str) -> tuple[PreTrainedModel, PreTrainedModel]:
    """Return a model as it is in transformers, and the same model after the change."""
    save_checkpoint(folder, kind)
    plain, changed = (AutoModel.from_pretrained(folder).eval() for _ in range(2))
    compute_time_first(changed.feature_extractor)
    return plain, changed


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm", "data2vec-audio", "hubert-base"])
def test_values_and_gradients_are_those_of_transformers(tmp_path: Path, kind: str) -> None:
    plain, changed = _both(tmp_path, kind)
    assert [*changed.state_dict()] == [*plain.state_dict()]
    wanted, found = (each.feature_extractor(SAMPLES) for each in (plain, changed))
    torch.testing.assert_close(found, wanted)
    weights = torch.randn_like(wanted)
    for each in (found, wanted):
        (each * weights).sum().backward()
    for name, parameter in plain.feature_extractor.named_parameters():
        given = changed.feature_extractor.get_parameter(name).grad
        torch.testing.assert_close(given, parameter.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert-base"])
def test_without_gradients_the_bits_are_those_of_transformers(tmp_path: Path, kind: str) -> None:
    plain, changed = _both(tmp_path, kind)
    with torch.no_grad():
        wanted, found = (each.feature_extractor(SAMPLES) for each in (plain, changed))
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_rounds_and_no_more(tmp_path: Path, training: bool) -> None:
    _, changed = _both(tmp_path, "wav2vec2")
    try:
        require_right_in_bfloat16(changed.feature_extractor, "fit")
    except InputError as error:
        pytest.skip(f"training would refuse this processor: {error}")
    changed.train(training)  # in training, transformers also computes gradients of the samples
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            values = changed.feature_extractor(SAMPLES).float()
        learned = [*changed.feature_extractor.parameters()]
        found.append([values.detach(), *torch.autograd.grad(values.square().sum(), learned)])
    for exact, rounded in zip(*found, strict=True):
        assert float((exact - rounded).norm() / exact.norm()) < 0.05


def test_frozen_weights_have_the_bits_of_transformers(tmp_path: Path) -> None:
    both = _both(tmp_path, "wav2vec2")
    for each in both:
        each.freeze_feature_encoder()
    wanted, found = (each.train().feature_extractor(SAMPLES) for each in both)
    assert torch.equal(found, wanted)


def test_training_keeps_values_frame_by_frame(tmp_path: Path) -> None:
    _, changed = _both(tmp_path, "wav2vec2")
    seen = list[Tensor]()
    for layer in changed.feature_extractor.conv_layers:
        assert isinstance(layer.conv, TimeFirstConvolution)
        layer.conv.register_forward_hook(lambda module, inputs, output: seen.append(output))
    changed.feature_extractor(SAMPLES)
    assert [each.transpose(1, 2).is_contiguous() for each in seen] == [True] * len(seen)
    seen.clear()
    with torch.no_grad():
        changed.feature_extractor(SAMPLES)
    assert not any(each.transpose(1, 2).is_contiguous() for each in seen)


def test_layers_without_layer_normalisation_stay(tmp_path: Path) -> None:
    _, changed = _both(tmp_path, "hubert-base")
    assert not any(isinstance(layer.conv, TimeFirstConvolution) for layer in changed.feature_extractor.conv_layers)
