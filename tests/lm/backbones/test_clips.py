"""Clips read in place, the order in which training takes them, labelled batches, and augmented views."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from lm.backbones.clips import (
    RATE,
    AugmentationConfig,
    ClipBatchConfig,
    ClipViews,
    LabelledBatches,
    Order,
    StoredClips,
    WaveformAugmentationConfig,
    WaveformBatchConfig,
    augment,
    augment_waveforms,
    batches_by_length,
    blur,
    validation_batches,
)
from wordless.audio.reading import resample_blocks

LABELLED = (3, 9, 1, 5, 7, 2, 8, 4)
# an input is the number of its clip, counted from 1, and its own number in the clip
CODED = StoredClips.together(
    [np.stack([np.full(n, clip), np.arange(n)], 1).astype(np.int32) for clip, n in enumerate(LABELLED, 1)]
)
TARGETS = 10 * torch.arange(1, 1 + len(LABELLED))


def test_clips_are_read_whole_with_zeros_beyond(tmp_path: Path) -> None:
    """Also some of them, followed by others that are mapped from a file; codes stay whole numbers."""
    np.save(tmp_path / "inputs.npy", CODED.sources[0])
    mapped = StoredClips.of(np.load(tmp_path / "inputs.npy", mmap_mode="r"), np.cumsum([0, *LABELLED]))
    both = CODED.of_rows([3, 1]).followed_by(mapped.of_rows([2]))
    for clips, rows, numbers in ((CODED, [1, 2, 0], [1, 2, 0]), (both, [0, 1, 2], [3, 1, 2])):
        found, lengths = clips.read(np.array(rows), at_most=100)
        assert lengths.tolist() == [LABELLED[clip] for clip in numbers]
        assert found.shape == (3, 9, 2)
        assert found.dtype == torch.int64
        for row, clip in enumerate(numbers):
            assert torch.equal(found[row, : LABELLED[clip]], torch.from_numpy(CODED.clip(clip)).long())
            assert not found[row, LABELLED[clip] :].any()


def test_of_a_long_clip_a_passage_is_read() -> None:
    firsts = set()
    for seed in range(30):
        draws = torch.rand(1, generator=torch.Generator().manual_seed(seed))
        found, lengths = CODED.read(np.array([1]), at_most=7, draws=draws)
        assert lengths.tolist() == [7]
        firsts.add(int(found[0, 0, 1]))
        assert found[0, :, 1].diff().tolist() == [1] * 6
    assert firsts == {0, 1, 2}
    assert CODED.read(np.array([1]), at_most=7)[0][0, 0, 1] == 0


def test_waveforms_are_read_on_their_scale() -> None:
    samples = StoredClips.of(np.array([0, 16384, -32768, 1], np.int16), np.array([0, 3, 4]))
    found, lengths = samples.read(np.array([1, 0]), at_most=2)
    assert lengths.tolist() == [1, 2]
    assert found.tolist() == [[1 / 32768, 0.0], [0.0, 0.5]]


@pytest.mark.parametrize("pool_batches", [1, 5])
def test_an_epoch_holds_each_clip_once_beside_clips_of_like_length(pool_batches: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 100, size=40)
    order = Order(lengths, ClipBatchConfig(batch_size=8, pool_batches=pool_batches))
    for epoch in range(3):
        batches = [order.clips(step) for step in range(5 * epoch, 5 * epoch + 5)]
        assert sorted(np.concatenate(batches).tolist()) == list(range(40))
        assert (np.mean([np.ptp(lengths[clips]) for clips in batches]) < 30) == (pool_batches == 5)
    assert order.clips(0).tolist() != order.clips(5).tolist()


def test_a_share_of_draws_takes_each_copy_alike_and_crops_it_as_the_clip() -> None:
    lengths = np.array([3, 9, 5])

    def clips_of(number: int, *rows: int) -> StoredClips:
        """Inputs are the clip, its place, and the number of the copy."""
        sizes = ((row, int(lengths[row])) for row in rows)
        each = [np.stack([np.full(n, row), np.arange(n), np.full(n, number)], 1) for row, n in sizes]
        return StoredClips.together([inputs.astype(np.int32) for inputs in each])

    both = [clips_of(0, *rows).with_copies([clips_of(each, *rows) for each in (1, 2)], 0.6) for rows in ((0, 1), (2,))]
    joined = both[0].followed_by(both[1]).of_rows([2, 0, 1])
    config = WaveformBatchConfig(batch_size=3, max_seconds=4, pool_batches=1).at_rate(1)
    views = ClipViews(joined, config, lambda inputs, lengths, generator: (inputs, lengths))
    heard, apart = list[int](), 0
    for step in range(400):
        rows, (one, other) = views.batch(step, 0, 1, views=2)
        for row, first, second, length in zip(rows, one[0], other[0], one[1].tolist(), strict=True):
            assert (first[:length, 0] == [2, 0, 1][row]).all()
            assert torch.equal(first[:, :2], second[:, :2]), "the same passage"
            assert len({*first[:length, 2].tolist()}) == 1
            heard += [int(first[0, 2]), int(second[0, 2])]
            apart += int(first[0, 2]) != int(second[0, 2])
    shares = np.bincount(heard) / len(heard)
    assert shares == pytest.approx([0.4, 0.3, 0.3], abs=0.04)
    assert apart / 1200 == pytest.approx(1 - 0.4**2 - 2 * 0.3**2, abs=0.04), "each view is drawn by itself"


def test_training_and_validation_hold_every_clip_once_with_its_target() -> None:
    config = WaveformBatchConfig(batch_size=4, max_seconds=2, pool_batches=1).at_rate(50)
    unchanged = ClipViews(CODED, config, lambda inputs, lengths, generator: (inputs, lengths))
    training = LabelledBatches(views=unchanged, targets=TARGETS)
    validation = validation_batches(CODED, TARGETS, batch_size=3, most_inputs=10)
    assert [len(batch.targets) for batch in validation] == [3, 2, 1, 1, 1]  # 3 * 3, 2 * 5, and longer ones alone
    for batches in ([training.batch(step, 0, 1) for step in range(2)], validation):
        clips = torch.cat([batch.inputs[:, 0, 0] for batch in batches])
        assert sorted(clips.tolist()) == list(range(1, 9))
        assert torch.cat([batch.lengths for batch in batches]).tolist() == [LABELLED[clip - 1] for clip in clips]
        assert torch.equal(torch.cat([batch.targets for batch in batches]), 10 * clips)
    moved = validation[0].to(torch.device("meta"))  # the host forms groups of clips by their lengths
    assert [each.device.type for each in (moved.inputs, moved.targets, moved.lengths)] == ["meta", "meta", "cpu"]


def test_the_first_inputs_of_each_clip_alone_are_read() -> None:
    batches = list(batches_by_length(CODED, batch_size=3, at_most=4, most_inputs=8))
    assert [LABELLED[row] for rows, _, _ in batches for row in rows] == sorted(LABELLED)
    assert [lengths.tolist() for _, _, lengths in batches] == [[1, 2], [3, 4], [4, 4], [4, 4]]
    assert [inputs.shape[1] for _, inputs, _ in batches] == [2, 4, 4, 4]
    for _, inputs, lengths in batches:
        for own, length in zip(inputs[..., 1].tolist(), lengths.tolist(), strict=True):
            assert own[:length] == list(range(length))


NOTHING = AugmentationConfig(crop=1, speed=0, formant=0, gain_db=0, mix=0, noise=0, time_masks=0, mel_masks=0)
LENGTHS = torch.tensor([20, 31, 7, 40])
STD = torch.linspace(1, 3, 16)


CLIPS = torch.randn(4, 40, 16, generator=torch.Generator().manual_seed(1))
CLIPS *= (torch.arange(40) < LENGTHS[:, None])[:, :, None]


def _views(
    seed: int = 0, *, of: AugmentationConfig = NOTHING, clips: Tensor = CLIPS, lengths: Tensor = LENGTHS, **changes: Any
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return augment(clips, lengths, generator, config=replace(of, **changes), std=STD)


@pytest.mark.parametrize("sound", ["spectrograms", "waveforms"])
def test_views_follow_from_the_seed_end_in_zeros_and_nothing_changes_unasked(sound: str) -> None:
    if sound == "spectrograms":
        unchanged, clips, changed = _views(), (CLIPS, LENGTHS), partial(_views, of=AugmentationConfig())
    else:
        unchanged, clips = _sounds(), (TONES, WAVE_LENGTHS)
        changed = partial(_sounds, of=WaveformAugmentationConfig())
    assert all(map(torch.equal, unchanged, clips))
    for seed in range(5):
        views, lengths = changed(seed)
        assert all(map(torch.equal, (views, lengths), changed(seed)))
        assert not torch.equal(views[:, :5], changed(seed + 1)[0][:, :5])
        assert views.shape[1] == lengths.max()
        for view, length in zip(views, lengths.tolist(), strict=True):
            assert length >= 1
            assert not view[length:].any()


def test_a_crop_is_a_passage_of_its_clip() -> None:
    views, lengths = _views(crop=0.5)
    for view, length, clip, whole in zip(views, lengths.tolist(), CLIPS, LENGTHS.tolist(), strict=True):
        assert 0.5 * whole - 1 <= length <= whole
        places = [torch.equal(clip[start : start + length], view[:length]) for start in range(whole - length + 1)]
        assert sum(places) == 1


def test_speed_changes_lengths_within_bounds() -> None:
    lengths = torch.stack([_views(seed, speed=0.25)[1] for seed in range(20)])
    assert (lengths >= LENGTHS / 1.25 - 1).all()
    assert (lengths <= LENGTHS * 1.25 + 1).all()
    assert len(lengths[:, 3].unique()) > 5


def test_gain_is_the_same_number_of_decibels_in_every_band() -> None:
    nats = (_views(gain_db=6)[0] - CLIPS)[:, :7] * STD
    assert torch.allclose(nats, nats[:, :1, :1].expand_as(nats), atol=1e-5)
    assert nats.abs().max() <= 6 * math.log(10) / 10
    assert len(nats[:, 0, 0].unique()) == 4


def test_a_mixture_has_the_power_of_both() -> None:
    powers, before = ((clips * STD - 5).exp() for clips in (_views(mix=1, mix_db=3)[0], CLIPS))
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
    ones, ends = torch.ones(50, 30, 16), torch.full((50,), 30)
    views, _ = _views(clips=ones, lengths=ends, time_masks=1, time_mask=0.5, mel_masks=1, mel_mask=0.5)
    times, bands = (views == 0).all(2), (views == 0).all(1)
    for each, most, mean in ((times.sum(1), 15, 3), (bands.sum(1), 8, 1)):
        assert each.max() <= most
        assert each.float().mean() > mean
    outside = ~(times[:, :, None] | bands[:, None, :])
    assert (views[outside] == 1).all()


def test_blur_is_that_of_scipy_within_each_clip_and_keeps_a_constant() -> None:
    deviations = torch.tensor([0.0, 0.7, 1.3, 0.2])
    blurred = blur(CLIPS, LENGTHS, deviations, largest=1.3)
    for made, clip, length, deviation in zip(blurred, CLIPS, LENGTHS.tolist(), deviations.tolist(), strict=True):
        smooth = partial(gaussian_filter, sigma=max(deviation, 1e-3), mode="constant", radius=4)
        wanted = smooth(clip[:length].double()) / smooth(np.ones((length, 16)))
        torch.testing.assert_close(made[:length].double(), torch.from_numpy(wanted), atol=1e-5, rtol=1e-5)
        assert not made[length:].any()
    assert torch.equal(blurred[0], CLIPS[0])  # no deviation, no blur
    ones = torch.ones(4, 40, 16) * (torch.arange(40) < LENGTHS[:, None])[:, :, None]
    torch.testing.assert_close(blur(ones, LENGTHS, torch.tensor([2.0, 0.3, 1.0, 0.1]), largest=2.0), ones)


@pytest.mark.parametrize("name", ["time_flip", "mel_flip"])
def test_a_share_of_the_clips_is_flipped_within_their_lengths(name: str) -> None:
    many, ends = CLIPS.repeat(50, 1, 1), LENGTHS.repeat(50)
    views, everything = (_views(clips=many, lengths=ends, **{name: share})[0] for share in (0.25, 1.0))
    for view, flipped, clip, length in zip(views, everything, many, ends.tolist(), strict=True):
        wanted = clip.clone()
        wanted[:length] = clip[:length].flip(0 if name == "time_flip" else 1)
        assert torch.equal(flipped, wanted)
        assert torch.equal(view, wanted) or torch.equal(view, clip)
    assert 0.65 < (views == many).all(2).all(1).float().mean() < 0.85


def test_blocks_are_removed_rectangles() -> None:
    removed = _views(clips=torch.ones(100, 20, 16), lengths=torch.full((100,), 20), blocks=1, block=0.5)[0] == 0
    times, bands = removed.any(2), removed.any(1)
    assert torch.equal(removed, times[:, :, None] & bands[:, None, :])
    assert times.sum(1).max() <= 10
    assert bands.sum(1).max() <= 8
    assert times.sum(1).float().mean() > 2
    assert not times.all(1).any()


NO_CHANGE = WaveformAugmentationConfig(crop=1.0, rate=0.0, mix=0.0, noise=0.0, time_masks=0)
WAVE_LENGTHS, PLACES = torch.tensor([400, 300, 120]), torch.arange(400)
TONES = torch.stack([level * torch.sin(0.05 * (row + 1) * PLACES) for row, level in enumerate((0.1, 0.5, 1.0))])
TONES *= WAVE_LENGTHS[:, None] > PLACES


def _sounds(seed: int = 0, *, of: WaveformAugmentationConfig = NO_CHANGE, **changes: Any) -> tuple[Tensor, Tensor]:
    return augment_waveforms(TONES, WAVE_LENGTHS, torch.Generator().manual_seed(seed), config=replace(of, **changes))


def test_a_crop_is_a_passage_from_any_sample() -> None:
    starts = set[int]()
    for seed in range(20):
        views, lengths = _sounds(seed, crop=0.5)
        assert (lengths >= WAVE_LENGTHS // 2).all()
        assert (lengths <= WAVE_LENGTHS).all()
        part = views[0, : int(lengths[0])]
        places = [start for start in range(401 - len(part)) if torch.equal(TONES[0, start : start + len(part)], part)]
        starts |= {*places}
        assert places
    assert len(starts) > 10


def test_another_rate_is_that_of_the_resampler() -> None:
    views, lengths = _sounds(rate=0.25)
    for view, tone, length, whole in zip(views, TONES, lengths.tolist(), WAVE_LENGTHS.tolist(), strict=True):
        assert whole / 1.26 < length < whole * 1.26
        close = [rate for rate in range(7900, 12600) if -(-whole * rate // RATE) == length]
        made = (np.concatenate([*resample_blocks([tone[:whole].numpy()], RATE, rate)]) for rate in close)
        assert min(np.abs(each - view[:length].numpy()).max() for each in made) < 1e-6


def test_another_clip_and_noise_are_added_softly() -> None:
    def level(sounds: Tensor, row: int, until: int) -> float:
        return float(sounds[row, :until].square().mean().sqrt())

    mixed, noisy = (_sounds(**changes)[0] - TONES for changes in ({"mix": 1.0, "mix_db": 10.0}, {"noise": 0.5}))
    for row, length in enumerate(WAVE_LENGTHS.tolist()):
        passage = int(min(WAVE_LENGTHS[row], WAVE_LENGTHS[length != WAVE_LENGTHS].max()))
        softer = 20 * math.log10(level(TONES, row, length) / level(mixed, row, passage))
        assert 9 < softer < 26  # the shortest clip ends early, which makes the mean softer
        assert 0 < level(noisy, row, length) / level(TONES, row, length) < 0.55


def test_a_mask_silences_a_passage() -> None:
    views, _ = _sounds(2, time_masks=1, time_mask=0.5)
    silenced = (views == 0) & (TONES != 0)
    assert silenced.any()
    assert all(row.sum() <= length / 2 for row, length in zip(silenced, WAVE_LENGTHS.tolist(), strict=True))
    assert torch.equal(views[~silenced], TONES[~silenced])
