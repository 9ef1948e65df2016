"""Hidden spans and their negatives, drawn from a seed alone."""

import numpy as np
import pytest

from lm.baselines.masking import MaskConfig, draw_masks, draw_negatives
from wordless.base.errors import InputError

FRAMES = np.array([40, 12, 25])
CONFIG = MaskConfig(share=0.5, length=5)


def test_spans_lie_within_their_clip_and_follow_from_the_seed() -> None:
    one, again, other = (draw_masks(FRAMES, CONFIG, seed=seed, least=1) for seed in (3, 3, 4))
    assert one.shape == (3, 40)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    for masked, frames in zip(one, FRAMES, strict=True):
        assert 5 <= masked.sum() <= frames
        assert not masked[frames:].any()


def test_numpys_own_generator_stays_as_it_was() -> None:
    np.random.seed(7)  # noqa: NPY002  # the generator in question
    wanted = np.random.rand()  # noqa: NPY002  # as above
    np.random.seed(7)  # noqa: NPY002  # as above
    draw_negatives(draw_masks(FRAMES, CONFIG, seed=0, least=1), 4, seed=0)
    assert np.random.rand() == wanted  # noqa: NPY002  # as above


def test_about_as_much_is_hidden_as_is_asked() -> None:
    shares = [draw_masks(np.full(20, 200), MaskConfig(share=0.2, length=4), seed=seed).mean() for seed in range(20)]
    assert 0.15 < np.mean(shares) < 0.2  # some spans overlap
    assert not draw_masks(FRAMES, MaskConfig(share=0.0), seed=0).any()


def test_clips_shorter_than_a_span() -> None:
    assert draw_masks(np.array([3, 2]), CONFIG, seed=0, least=1)[0].all()  # a span is as long as the longest clip
    assert not draw_masks(np.array([40, 3]), CONFIG, seed=0, least=1)[1].any()


def test_negatives_are_other_hidden_frames_of_the_clip() -> None:
    masked = draw_masks(FRAMES, CONFIG, seed=1, least=1)
    negatives = draw_negatives(masked, 30, seed=2)
    assert np.array_equal(negatives, draw_negatives(masked, 30, seed=2))
    for clip, frame in np.argwhere(masked):
        drawn = set(negatives[clip, frame].tolist())
        assert frame not in drawn
        assert drawn <= set(np.flatnonzero(masked[clip]).tolist())
    assert not negatives[~masked].any()


def test_shares_and_lengths_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"masking\.share\b.*\b1\.0\b"):
        MaskConfig(share=1.0)
    with pytest.raises(InputError, match=r"masking\.length\b.*\b0\b"):
        MaskConfig(length=0)
