"""SimCLR: its batches, and what a few steps teach it."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.bodies.clip_options import AugmentationConfig, ClipBatchConfig
from lm.bodies.clips import ClipViews, LabelledBatches, augment
from lm.bodies.convolutional import nt_xent, validation_pairs, view_pairs
from tests.lm.bodies.sounds import MELS, ridges
from tests.lm.reference import nt_xent_by_loops
from wordless.base.errors import InputError

BATCHES = ClipBatchConfig(batch_size=12, max_frames=25, pool_batches=2)
MAKE_VIEW = partial(augment, config=AugmentationConfig(), std=torch.ones(MELS))


def _batches(config: ClipBatchConfig = BATCHES, clips: int = 36) -> LabelledBatches:
    return view_pairs(ClipViews(ridges(clips), config, MAKE_VIEW))


def test_a_batch_holds_two_views_of_each_clip_and_follows_from_the_step() -> None:
    one, again, other = (_batches().batch(step, 0, 1) for step in (4, 4, 5))
    assert torch.equal(one.inputs, again.inputs)
    assert one.targets.tolist() == again.targets.tolist() != other.targets.tolist()
    assert len(one.inputs) == len(one.lengths) == 2 * len(one.targets) == 24
    assert not torch.equal(one.inputs[:12], one.inputs[12:])


def test_parts_together_are_the_whole() -> None:
    whole, parts = _batches().batch(3, 0, 1), [_batches().batch(3, part, 3) for part in range(3)]
    for part, batch in enumerate(parts):
        assert batch.targets.tolist() == whole.targets[part::3].tolist()
        wanted = torch.cat([whole.inputs[:12][part::3], whole.inputs[12:][part::3]])
        assert torch.equal(batch.inputs, wanted[:, : batch.inputs.shape[1]])
    with pytest.raises(InputError, match=r"batch_size\b.*\b5\b"):
        _batches().batch(0, 0, 5)
    with pytest.raises(InputError, match=r"\b1 clips\b"):  # one clip cannot be contrasted
        _batches(clips=1)


def test_validation_views_are_fixed_and_hold_no_clip_twice() -> None:
    clips = ridges(30)
    one, again = (validation_pairs(clips, BATCHES, MAKE_VIEW) for _ in range(2))
    seen = torch.cat([batch.targets for batch in one]).tolist()
    assert len(one) == 2
    assert len(set(seen)) == len(seen) == 24
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(one, again, strict=True))
    (few,) = validation_pairs(clips.of_rows(range(5)), BATCHES, MAKE_VIEW)
    assert len(few.targets) == 5


@given(clips=st.lists(st.integers(0, 3), min_size=2, max_size=5), temperature=st.floats(0.1, 2))
def test_loss_is_that_of_the_formula(clips: list[int], temperature: float) -> None:
    vectors = torch.randn(2 * len(clips), 3, generator=torch.Generator().manual_seed(len(clips)))
    units = torch.nn.functional.normalize(vectors, dim=1)
    found, views = nt_xent(units, torch.tensor(clips), temperature=temperature)
    assert views == 2 * len(clips)
    assert float(found) == pytest.approx(nt_xent_by_loops(vectors.tolist(), clips, temperature), rel=1e-4, abs=1e-4)
