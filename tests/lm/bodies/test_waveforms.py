"""Views of waveforms: what each change does to sounds of which it is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lm.bodies.augmentation import RATE, augment_waveforms
from lm.bodies.options import WaveformAugmentationConfig
from wordless.audio.reading import resample_blocks
from wordless.base.errors import InputError

NOTHING = WaveformAugmentationConfig(crop=1.0, rate=0.0, mix=0.0, noise=0.0, time_masks=0)
LENGTHS = torch.tensor([400, 300, 120])


def tones() -> Tensor:
    """Three tones of different frequency and level, with zeros beyond their ends."""
    time = torch.arange(int(LENGTHS.max()))
    sounds = [level * torch.sin(0.05 * (row + 1) * time) for row, level in enumerate((0.1, 0.5, 1.0))]
    return torch.stack(sounds) * (time < LENGTHS[:, None])


def view(config: WaveformAugmentationConfig, seed: int = 0) -> tuple[Tensor, Tensor]:
    return augment_waveforms(tones(), LENGTHS, torch.Generator().manual_seed(seed), config=config)


def levels(views: Tensor, lengths: Tensor) -> Tensor:
    return (views.square().sum(1) / lengths).sqrt()


def test_nothing_changes_nothing() -> None:
    views, lengths = view(NOTHING)
    assert torch.equal(views, tones())
    assert torch.equal(lengths, LENGTHS)


def test_one_seed_makes_one_view() -> None:
    config = WaveformAugmentationConfig()
    assert torch.equal(view(config, 3)[0], view(config, 3)[0])
    assert view(config, 3)[0].shape != view(config, 4)[0].shape


def test_a_crop_is_a_passage_from_any_sample() -> None:
    starts = set()
    for seed in range(20):
        views, lengths = view(replace(NOTHING, crop=0.5), seed)
        assert (lengths >= LENGTHS // 2).all()
        assert (lengths <= LENGTHS).all()
        whole, part = tones()[0], views[0, : int(lengths[0])]
        places = [start for start in range(401 - len(part)) if torch.equal(whole[start : start + len(part)], part)]
        starts |= set(places)
        assert places
    assert len(starts) > 10


def test_another_rate_is_that_of_the_resampler() -> None:
    views, lengths = view(replace(NOTHING, rate=0.25))
    for row, (length, whole) in enumerate(zip(lengths.tolist(), LENGTHS.tolist(), strict=True)):
        assert whole / 1.26 < length < whole * 1.26
        close = [rate for rate in range(7900, 12600) if -(-whole * rate // RATE) == length]
        found = views[row, :length].numpy()
        errors = [
            np.abs(np.concatenate([*resample_blocks([tones()[row, :whole].numpy()], RATE, rate)]) - found).max()
            for rate in close
        ]
        assert min(errors) < 1e-6
        assert not views[row, length:].any()


def test_another_clip_is_added_softly() -> None:
    views, lengths = view(replace(NOTHING, mix=1.0, mix_db=10.0))
    added = views - tones()
    for row in range(3):
        passage = int(min(LENGTHS[row], LENGTHS[LENGTHS[row] != LENGTHS].max()))
        softer = 20 * torch.log10(levels(tones(), LENGTHS)[row] / added[row, :passage].square().mean().sqrt())
        assert 9 < softer < 26  # the shortest clip ends early, which makes the mean softer
    assert not any(views[row, length:].any() for row, length in enumerate(lengths.tolist()))


def test_noise_is_relative_to_the_clip() -> None:
    views, lengths = view(replace(NOTHING, noise=0.5))
    ratio = levels(views - tones(), lengths) / levels(tones(), LENGTHS)
    assert (ratio > 0).all()
    assert (ratio < 0.55).all()


def test_a_mask_silences_a_passage() -> None:
    views, _ = view(replace(NOTHING, time_masks=1, time_mask=0.5), 2)
    silenced = (views == 0) & (tones() != 0)
    assert silenced.any()
    assert all(row.sum() <= length / 2 for row, length in zip(silenced, LENGTHS.tolist(), strict=True))
    assert torch.equal(views[~silenced], tones()[~silenced])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"crop": 0.0}, r"crop\b.*\b0\b"),
        ({"rate": 2.0}, r"rate\b.*\b2\b"),
        ({"noise": -1.0}, r"noise\b.*-1\b"),
        ({"mix": 1.5}, r"mix\b.*\b1\.5\b"),
    ],
)
def test_amounts_that_cannot_be_are_refused(values: dict[str, float], told: str) -> None:
    with pytest.raises(InputError, match=told):
        replace(NOTHING, **values)
