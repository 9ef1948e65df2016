"""Batches of clips of different lengths, padded or read by length."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import Wav2Vec2Model

from lm.bodies.wav2vec2 import create_masked_prediction
from tests.lm.bodies.speech import SMALL
from tests.wordless.audio.speech_models.checkpoints import save_checkpoint
from wordless.audio.padding import (
    EQUAL_RATIO,
    SIMILAR_RATIO,
    ConvolutionsByLength,
    group_by_length,
    inside,
    join_groups,
    read_by_length,
)
from wordless.audio.speech_models.encoder import load_speech_encoder


def test_frames_before_the_end_of_a_clip_are_its_own() -> None:
    found = inside(torch.zeros(3, 4, 2), torch.tensor([4, 0, 2]))
    assert found.tolist() == [[True] * 4, [False] * 4, [True, True, False, False]]


def test_groups_become_one_batch_in_its_order() -> None:
    """Clips 2 and 0 are one group of a single frame; clip 1 has two frames and is the other group."""
    short, long = torch.tensor([[[2.0]], [[5.0]]]), torch.tensor([[[3.0], [4.0]]])
    joined = join_groups([short, long], torch.tensor([2, 0, 1]))
    assert joined.tolist() == [[[5.0], [0.0]], [[3.0], [4.0]], [[2.0], [0.0]]]


def test_time_is_the_last_axis_but_one() -> None:
    groups = [torch.ones(1, 3, 2, 5), torch.ones(2, 3, 4, 5)]
    assert join_groups(groups, torch.tensor([0, 1, 2])).sum((1, 3)).tolist() == [[15.0, 15.0, 0.0, 0.0]] + 2 * [
        [15.0] * 4
    ]
    assert join_groups([each[:, :0] for each in groups], torch.tensor([0, 1, 2])).shape == (3, 0, 4, 5)


LENGTHS = torch.tensor([2000, 900, 1333, 1300])
GROUPS = [(3, 1333), (1, 2000)]  # clips and samples
SAMPLES = torch.randn(4, 2000, generator=torch.Generator().manual_seed(0)) * (torch.arange(2000) < LENGTHS[:, None])


def shapes_read(convolutions: nn.Module) -> list[tuple[int, int]]:
    """Return a list that receives the shape of each batch of samples that the first convolution reads."""
    seen = list[tuple[int, int]]()
    first = convolutions.get_submodule("conv_layers.0")
    first.register_forward_pre_hook(lambda module, inputs: seen.append((len(inputs[0]), inputs[0].shape[2])))
    return seen


def test_a_drawn_example_of_groups() -> None:
    lengths = torch.tensor([30, 10, 16, 15, 10, 31])
    assert [rows.tolist() for rows in group_by_length(lengths, ratio=1.5)] == [[1, 4, 3], [2], [0, 5]]
    assert [rows.tolist() for rows in group_by_length(lengths, ratio=EQUAL_RATIO)] == [[1, 4], [3], [2], [0], [5]]
    assert [rows.tolist() for rows in group_by_length(lengths, ratio=torch.inf)] == [[1, 4, 3, 2, 0, 5]]


@pytest.mark.parametrize("ratio", [EQUAL_RATIO, SIMILAR_RATIO, torch.inf])
def test_values_come_back_in_the_order_of_the_batch(ratio: float) -> None:
    lengths = torch.tensor([30, 10, 16, 15, 10, 31])
    calls = list[int]()

    def read(rows: Tensor, longest: int) -> Tensor:
        calls.extend(rows.tolist())
        assert longest == int(lengths[rows].max())
        return torch.where(torch.arange(longest) < lengths[rows, None], rows[:, None] + 1, 0)[:, None, :, None]

    found = read_by_length(read, lengths, ratio=ratio)
    assert found.shape == (6, 1, 31, 1)
    for row, length in enumerate(lengths.tolist()):
        assert (found[row, 0, :length] == row + 1).all()
        assert not found[row, 0, length:].any()
    assert sorted(calls) == [0, 1, 2, 3, 4, 5]


def test_convolutions_by_length_have_the_frames_and_gradients_of_one_padded_batch(tmp_path: Path) -> None:
    save_checkpoint(tmp_path)
    plain, own = (Wav2Vec2Model.from_pretrained(tmp_path) for _ in range(2))
    grouped = ConvolutionsByLength(own.feature_extractor)
    assert [*grouped.state_dict()] == [*plain.feature_extractor.state_dict()]
    wanted, seen = plain.feature_extractor(SAMPLES), shapes_read(grouped)
    with grouped.reading(LENGTHS):
        found = grouped(SAMPLES)
    assert seen == GROUPS
    frames = plain._get_feat_extract_output_lengths(LENGTHS)
    counted = torch.arange(wanted.shape[2]) < frames[:, None]
    weights = torch.randn_like(wanted) * counted[:, None]
    torch.testing.assert_close(found * counted[:, None], wanted * counted[:, None])
    for each in (found, wanted):
        (each * weights).sum().backward()
    for name, parameter in plain.feature_extractor.named_parameters():
        torch.testing.assert_close(grouped.get_parameter(name).grad, parameter.grad, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(grouped(SAMPLES), wanted)  # without lengths, all samples count


def test_encoders_and_the_pre_training_read_clips_by_length(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "layer")
    save_checkpoint(tmp_path / "group", "hubert-base")
    for name, groups in (("layer", GROUPS), ("group", [(1, 900), (1, 1300), (1, 1333), (1, 2000)])):
        encoder = load_speech_encoder(tmp_path / name, option="weights")
        seen = shapes_read(encoder.transformer.get_submodule("feature_extractor"))
        encoder.states(SAMPLES, LENGTHS)
        assert seen == groups
    model = create_masked_prediction(SMALL, diversity_weight=0.5, seed=0)
    seen = shapes_read(model.model.wav2vec2.feature_extractor)
    frames = int(SMALL.convolutions.frames_of(LENGTHS).max())
    masked = torch.zeros(4, frames, dtype=torch.bool)
    masked[:, :4] = True
    places = masked.flatten().nonzero()[:, 0]
    model(SAMPLES, LENGTHS, masked, places, torch.zeros(len(places), 2, dtype=torch.long), 1.0)
    assert seen == GROUPS
