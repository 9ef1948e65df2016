"""Blur, flips and removed blocks of spectrograms, and their part in the keys of trainings."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lm.baselines.augmentation import AugmentationConfig, augment
from lm.baselines.image_augmentation import blur, flip_bands, flip_time
from tests.lm.baselines.reference import blurred_by_loops
from wordless.base.errors import InputError

NOTHING = AugmentationConfig(crop=1, speed=0, formant=0, gain_db=0, mix=0, noise=0, time_masks=0, mel_masks=0)
LENGTHS = torch.tensor([9, 14, 5])


def clips() -> Tensor:
    made = torch.randn(3, 14, 6, generator=torch.Generator().manual_seed(1))
    return made * (torch.arange(14) < LENGTHS[:, None])[:, :, None]


def views(config: AugmentationConfig, spectrograms: Tensor, lengths: Tensor) -> Tensor:
    return augment(
        spectrograms, lengths, config, torch.Generator().manual_seed(0), std=torch.ones(spectrograms.shape[2])
    )[0]


def test_blur_is_that_of_a_loop_over_neighbours() -> None:
    deviations = torch.tensor([0.0, 0.7, 1.3])
    blurred = blur(clips(), LENGTHS, deviations, largest=1.3)
    for made, clip, length, deviation in zip(blurred, clips(), LENGTHS.tolist(), deviations.tolist(), strict=True):
        wanted = blurred_by_loops(clip[:length].tolist(), max(deviation, 1e-3), radius=4)
        torch.testing.assert_close(made[:length], torch.tensor(wanted), atol=1e-5, rtol=1e-5)
        assert not made[length:].any()
    assert torch.equal(blurred[0], clips()[0])  # no deviation, no blur


def test_blur_keeps_a_constant() -> None:
    ones = torch.ones(3, 14, 6) * (torch.arange(14) < LENGTHS[:, None])[:, :, None]
    torch.testing.assert_close(blur(ones, LENGTHS, torch.tensor([2.0, 0.3, 1.0]), largest=2.0), ones)


def test_flips_reverse_the_chosen_clips_within_their_lengths() -> None:
    chosen = torch.tensor([True, False, True])
    in_time, in_bands = flip_time(clips(), LENGTHS, chosen), flip_bands(clips(), chosen)
    for row, (clip, length) in enumerate(zip(clips(), LENGTHS.tolist(), strict=True)):
        order = range(length)[::-1] if chosen[row] else range(length)
        assert in_time[row, :length].tolist() == [clip[place].tolist() for place in order]
        assert not in_time[row, length:].any()
        assert in_bands[row].tolist() == [band[::-1] if chosen[row] else band for band in clip.tolist()]


@pytest.mark.parametrize("name", ["time_flip", "mel_flip"])
def test_a_share_of_the_clips_is_flipped(name: str) -> None:
    many = torch.randn(200, 8, 6, generator=torch.Generator().manual_seed(1))
    lengths = torch.full((200,), 8)
    unchanged = (views(replace(NOTHING, **{name: 0.25}), many, lengths) == many).all(2).all(1)
    assert 0.65 < unchanged.float().mean() < 0.85
    everything = views(replace(NOTHING, **{name: 1.0}), many, lengths)
    assert torch.equal(everything, many.flip(1 if name == "time_flip" else 2))


def test_blocks_are_removed_rectangles() -> None:
    ones = torch.ones(100, 20, 10)
    removed = views(replace(NOTHING, blocks=1, block=0.5), ones, torch.full((100,), 20)) == 0
    times, bands = removed.any(2), removed.any(1)
    assert torch.equal(removed, times[:, :, None] & bands[:, None, :])
    assert times.sum(1).max() <= 10
    assert bands.sum(1).max() <= 5
    assert times.sum(1).float().mean() > 2
    assert not times.all(1).any()


def test_without_them_views_are_those_of_before() -> None:
    """Zeros draw no random number."""
    plain = AugmentationConfig()
    assert torch.equal(views(plain, clips(), LENGTHS), views(replace(plain, block=0.9), clips(), LENGTHS))


@pytest.mark.parametrize(("name", "value"), [("block", 1.5), ("blur", -1.0), ("time_flip", 2.0), ("blocks", -1)])
def test_what_cannot_be_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"augmentation\.{name}\b.*{value}"):
        replace(NOTHING, **{name: value})
