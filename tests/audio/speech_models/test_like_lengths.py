"""Clips that are read together because their lengths are alike."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import Wav2Vec2Model

from audio.speech_models.like_lengths import (
    EQUAL,
    ConvolutionsByLength,
    like_lengths,
    make_activations_contiguous,
    read_by_length,
)
from tests.audio.speech_models.checkpoints import save_checkpoint


def test_a_drawn_example_of_groups() -> None:
    lengths = torch.tensor([30, 10, 16, 15, 10, 31])
    assert [rows.tolist() for rows in like_lengths(lengths)] == [[1, 4, 3], [2], [0, 5]]
    assert [rows.tolist() for rows in like_lengths(lengths, ratio=EQUAL)] == [[1, 4], [3], [2], [0], [5]]
    assert [rows.tolist() for rows in like_lengths(lengths, ratio=10.0)] == [[1, 4, 3, 2, 0, 5]]


@pytest.mark.parametrize("ratio", [EQUAL, 1.5, 10.0])
def test_values_come_back_in_the_order_of_the_batch(ratio: float) -> None:
    lengths = torch.tensor([30, 10, 16, 15, 10, 31])
    calls = list[int]()

    def read(rows: Tensor) -> Tensor:
        calls.extend(rows.tolist())
        own = lengths[rows]
        steps = torch.arange(int(own.max()))
        return torch.where(steps < own[:, None], rows[:, None] + 1, 0)[:, None, :, None]

    found = read_by_length(read, lengths, ratio=ratio)
    assert found.shape == (6, 1, 31, 1)
    for row, length in enumerate(lengths.tolist()):
        assert (found[row, 0, :length] == row + 1).all()
        assert not found[row, 0, length:].any()
    assert sorted(calls) == [0, 1, 2, 3, 4, 5]


def test_convolutions_by_length_have_the_frames_and_gradients_of_one_padded_batch(tmp_path: Path) -> None:
    save_checkpoint(tmp_path)
    plain, own = (Wav2Vec2Model.from_pretrained(tmp_path) for _ in range(2))
    lengths = torch.tensor([2000, 900, 1333, 1300])
    samples = torch.randn(4, 2000) * (torch.arange(2000) < lengths[:, None])
    make_activations_contiguous(own.feature_extractor)
    grouped = ConvolutionsByLength(own.feature_extractor)
    assert [*grouped.state_dict()] == [*plain.feature_extractor.state_dict()]
    wanted = plain.feature_extractor(samples)
    with grouped.of(lengths):
        found = grouped(samples)
    frames = plain._get_feat_extract_output_lengths(lengths)
    counted = torch.arange(wanted.shape[2]) < frames[:, None]
    weights = torch.randn_like(wanted) * counted[:, None]
    torch.testing.assert_close(found * counted[:, None], wanted * counted[:, None])
    for each in (found, wanted):
        (each * weights).sum().backward()
    for name, parameter in plain.feature_extractor.named_parameters():
        torch.testing.assert_close(grouped.get_parameter(name).grad, parameter.grad, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(grouped(samples), wanted)  # without lengths, all samples count
