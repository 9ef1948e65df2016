"""Views of spectrograms and of waveforms, and their part in the keys of trainings."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lm.bodies.clips import RATE, augment, augment_waveforms, blur, flip_time
from lm.bodies.options import AugmentationConfig, WaveformAugmentationConfig
from tests.lm.reference import blurred_by_loops
from wordless.audio.reading import resample_blocks

NOTHING = AugmentationConfig(crop=1, speed=0, formant=0, gain_db=0, mix=0, noise=0, time_masks=0, mel_masks=0)
LENGTHS = torch.tensor([20, 31, 7, 40])
STD = torch.linspace(1, 3, 16)


def _clips() -> Tensor:
    clips = torch.randn(4, 40, 16, generator=torch.Generator().manual_seed(1))
    return clips * (torch.arange(40) < LENGTHS[:, None])[:, :, None]


def _views(
    config: AugmentationConfig, seed: int = 0, clips: Tensor | None = None, lengths: Tensor = LENGTHS
) -> tuple[Tensor, Tensor]:
    given = _clips() if clips is None else clips
    return augment(given, lengths, torch.Generator().manual_seed(seed), config=config, std=STD)


def test_views_follow_from_the_seed_and_nothing_changes_unasked() -> None:
    views, lengths = _views(NOTHING)
    assert torch.equal(views, _clips())
    assert torch.equal(lengths, LENGTHS)
    one, again, other = (_views(AugmentationConfig(), seed) for seed in (0, 0, 1))
    assert torch.equal(one[0], again[0])
    assert torch.equal(one[1], again[1])
    assert not torch.equal(one[0][:, :5], other[0][:, :5])


@pytest.mark.parametrize("seed", range(5))
def test_beyond_a_view_all_is_zero(seed: int) -> None:
    views, lengths = _views(AugmentationConfig(), seed)
    assert views.shape[1] == lengths.max()
    for view, length in zip(views, lengths.tolist(), strict=True):
        assert length >= 1
        assert not view[length:].any()


def test_a_crop_is_a_passage_of_its_clip() -> None:
    views, lengths = _views(replace(NOTHING, crop=0.5))
    for view, length, clip, whole in zip(views, lengths.tolist(), _clips(), LENGTHS.tolist(), strict=True):
        assert 0.5 * whole - 1 <= length <= whole
        starts = [
            start for start in range(whole - length + 1) if torch.equal(clip[start : start + length], view[:length])
        ]
        assert len(starts) == 1


def test_speed_changes_lengths_within_bounds() -> None:
    lengths = torch.stack([_views(replace(NOTHING, speed=0.25), seed)[1] for seed in range(20)])
    assert (lengths >= LENGTHS / 1.25 - 1).all()
    assert (lengths <= LENGTHS * 1.25 + 1).all()
    assert len(lengths[:, 3].unique()) > 5


def test_gain_is_the_same_number_of_decibels_in_every_band() -> None:
    views, _ = _views(replace(NOTHING, gain_db=6))
    nats = (views - _clips())[:, :7] * STD
    assert torch.allclose(nats, nats[:, :1, :1].expand_as(nats), atol=1e-5)
    assert nats.abs().max() <= 6 * math.log(10) / 10
    assert len(nats[:, 0, 0].unique()) == 4


def test_a_mixture_has_the_power_of_both() -> None:
    mean = -5.0
    views, _ = _views(replace(NOTHING, mix=1, mix_db=3))
    powers, before = ((clips * STD + mean).exp() for clips in (views, _clips()))
    added = (powers - before)[:, :7]  # all four sound there
    assert (added > 0).all()
    ratios = {
        (clip, other): added[clip] / before[other, :7] for clip in range(4) for other in range(4) if clip != other
    }
    # Each has one other behind it, softer by one amount; fp32 forgets what is far softer, hence the median.
    found = {pair for pair, ratio in ratios.items() if (ratio / ratio.median() - 1).abs().median() < 1e-3}
    assert len(found) == 4
    for pair in found:
        assert 3 - 1e-2 <= -10 * math.log10(float(ratios[pair].median())) <= 6 + 1e-2


def test_masks_blot_out_a_passage_and_a_range_of_bands() -> None:
    ones = torch.ones(50, 30, 16)
    config = replace(NOTHING, time_masks=1, time_mask=0.5, mel_masks=1, mel_mask=0.5)
    views, _ = _views(config, clips=ones, lengths=torch.full((50,), 30))
    blotted = views == 0
    times, bands = blotted.all(2).sum(1), blotted.all(1).sum(1)
    assert times.max() <= 15
    assert bands.max() <= 8
    assert times.float().mean() > 3
    assert bands.float().mean() > 1
    outside = ~(blotted.all(2)[:, :, None] | blotted.all(1)[:, None, :])
    assert (views[outside] == 1).all()


def test_blur_is_that_of_a_loop_over_neighbours_and_keeps_a_constant() -> None:
    deviations = torch.tensor([0.0, 0.7, 1.3, 0.2])
    blurred = blur(_clips(), LENGTHS, deviations, largest=1.3)
    for made, clip, length, deviation in zip(blurred, _clips(), LENGTHS.tolist(), deviations.tolist(), strict=True):
        wanted = blurred_by_loops(clip[:length].tolist(), max(deviation, 1e-3), radius=4)
        torch.testing.assert_close(made[:length], torch.tensor(wanted), atol=1e-5, rtol=1e-5)
        assert not made[length:].any()
    assert torch.equal(blurred[0], _clips()[0])  # no deviation, no blur
    ones = torch.ones(4, 40, 16) * (torch.arange(40) < LENGTHS[:, None])[:, :, None]
    torch.testing.assert_close(blur(ones, LENGTHS, torch.tensor([2.0, 0.3, 1.0, 0.1]), largest=2.0), ones)


def test_flips_reverse_the_chosen_clips_within_their_lengths() -> None:
    chosen = torch.tensor([True, False, True, False])
    in_time = flip_time(_clips(), LENGTHS, chosen)
    for row, (clip, length) in enumerate(zip(_clips(), LENGTHS.tolist(), strict=True)):
        order = range(length)[::-1] if chosen[row] else range(length)
        assert in_time[row, :length].tolist() == [clip[place].tolist() for place in order]
        assert not in_time[row, length:].any()


@pytest.mark.parametrize("name", ["time_flip", "mel_flip"])
def test_a_share_of_the_clips_is_flipped(name: str) -> None:
    many = torch.randn(200, 8, 16, generator=torch.Generator().manual_seed(1))
    lengths = torch.full((200,), 8)
    unchanged = (_views(replace(NOTHING, **{name: 0.25}), clips=many, lengths=lengths)[0] == many).all(2).all(1)
    assert 0.65 < unchanged.float().mean() < 0.85
    everything, _ = _views(replace(NOTHING, **{name: 1.0}), clips=many, lengths=lengths)
    assert torch.equal(everything, many.flip(1 if name == "time_flip" else 2))


def test_blocks_are_removed_rectangles() -> None:
    ones, lengths = torch.ones(100, 20, 16), torch.full((100,), 20)
    removed = _views(replace(NOTHING, blocks=1, block=0.5), clips=ones, lengths=lengths)[0] == 0
    times, bands = removed.any(2), removed.any(1)
    assert torch.equal(removed, times[:, :, None] & bands[:, None, :])
    assert times.sum(1).max() <= 10
    assert bands.sum(1).max() <= 8
    assert times.sum(1).float().mean() > 2
    assert not times.all(1).any()


def test_the_size_of_blocks_that_are_not_removed_draws_no_random_number() -> None:
    plain = AugmentationConfig()
    assert torch.equal(_views(plain)[0], _views(replace(plain, block=0.9))[0])


NO_CHANGE = WaveformAugmentationConfig(crop=1.0, rate=0.0, mix=0.0, noise=0.0, time_masks=0)
WAVE_LENGTHS = torch.tensor([400, 300, 120])


def tones() -> Tensor:
    """Three tones of different frequency and level, with zeros beyond their ends."""
    time = torch.arange(int(WAVE_LENGTHS.max()))
    sounds = [level * torch.sin(0.05 * (row + 1) * time) for row, level in enumerate((0.1, 0.5, 1.0))]
    return torch.stack(sounds) * (time < WAVE_LENGTHS[:, None])


def view(config: WaveformAugmentationConfig, seed: int = 0) -> tuple[Tensor, Tensor]:
    return augment_waveforms(tones(), WAVE_LENGTHS, torch.Generator().manual_seed(seed), config=config)


def levels(views: Tensor, lengths: Tensor) -> Tensor:
    return (views.square().sum(1) / lengths).sqrt()


def test_views_of_waveforms_follow_from_the_seed_and_nothing_changes_unasked() -> None:
    views, lengths = view(NO_CHANGE)
    assert torch.equal(views, tones())
    assert torch.equal(lengths, WAVE_LENGTHS)
    config = WaveformAugmentationConfig()
    assert torch.equal(view(config, 3)[0], view(config, 3)[0])
    assert view(config, 3)[0].shape != view(config, 4)[0].shape


def test_a_crop_is_a_passage_from_any_sample() -> None:
    starts = set()
    for seed in range(20):
        views, lengths = view(replace(NO_CHANGE, crop=0.5), seed)
        assert (lengths >= WAVE_LENGTHS // 2).all()
        assert (lengths <= WAVE_LENGTHS).all()
        whole, part = tones()[0], views[0, : int(lengths[0])]
        places = [start for start in range(401 - len(part)) if torch.equal(whole[start : start + len(part)], part)]
        starts |= set(places)
        assert places
    assert len(starts) > 10


def test_another_rate_is_that_of_the_resampler() -> None:
    views, lengths = view(replace(NO_CHANGE, rate=0.25))
    for row, (length, whole) in enumerate(zip(lengths.tolist(), WAVE_LENGTHS.tolist(), strict=True)):
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
    views, lengths = view(replace(NO_CHANGE, mix=1.0, mix_db=10.0))
    added = views - tones()
    for row in range(3):
        passage = int(min(WAVE_LENGTHS[row], WAVE_LENGTHS[WAVE_LENGTHS[row] != WAVE_LENGTHS].max()))
        softer = 20 * torch.log10(levels(tones(), WAVE_LENGTHS)[row] / added[row, :passage].square().mean().sqrt())
        assert 9 < softer < 26  # the shortest clip ends early, which makes the mean softer
    assert not any(views[row, length:].any() for row, length in enumerate(lengths.tolist()))


def test_noise_is_relative_to_the_clip() -> None:
    views, lengths = view(replace(NO_CHANGE, noise=0.5))
    ratio = levels(views - tones(), lengths) / levels(tones(), WAVE_LENGTHS)
    assert (ratio > 0).all()
    assert (ratio < 0.55).all()


def test_a_mask_silences_a_passage() -> None:
    views, _ = view(replace(NO_CHANGE, time_masks=1, time_mask=0.5), 2)
    silenced = (views == 0) & (tones() != 0)
    assert silenced.any()
    assert all(row.sum() <= length / 2 for row, length in zip(silenced, WAVE_LENGTHS.tolist(), strict=True))
    assert torch.equal(views[~silenced], tones()[~silenced])
