"""The convolutional encoder, and the batches and the loss of SimCLR, its pre-training."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.backbones.clips import AugmentationConfig, ClipBatchConfig, ClipViews, LabelledBatches, augment
from lm.backbones.convolutional import (
    ConvEncoder,
    ConvEncoderConfig,
    create_encoder,
    nt_xent,
    validation_pairs,
    view_pairs,
)
from tests.lm.backbones.sounds import MELS, ridges
from tests.lm.reference import nt_xent_by_loops
from wordless.base.messages import InputError

CONFIG = ConvEncoderConfig(channels=(4, 8, 6), bands=3)
LENGTHS = torch.tensor([23, 9, 1, 16])


@pytest.fixture(params=[2, 24], ids=["groups", "together"])
def _clips_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lm.backbones.convolutional.CONVOLVED_AT_ONCE", request.param)


def _clips() -> torch.Tensor:
    return torch.randn(4, 23, 12, generator=torch.Generator().manual_seed(0))


def _trained() -> ConvEncoder:
    """An encoder whose running statistics are not those of an untrained one."""
    encoder = create_encoder(CONFIG, seed=0).train()
    encoder(_clips(), LENGTHS)
    return encoder


@pytest.mark.usefixtures("_clips_at_once")
@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_nothing(training: bool) -> None:
    wide = torch.nn.functional.pad(_clips(), (0, 0, 0, 14), value=7.0)
    encoder = _trained().train(training)
    narrow = encoder.states(_clips(), LENGTHS).values()
    for (found, lengths), (wanted, same) in zip(encoder.states(wide, LENGTHS).values(), narrow, strict=True):
        assert torch.equal(lengths, same)
        torch.testing.assert_close(found[:, : wanted.shape[1]], wanted)
        assert not found[:, wanted.shape[1] :].any()


@pytest.mark.usefixtures("_clips_at_once")
def test_statistics_are_those_of_the_frames_inside() -> None:
    encoder = create_encoder(ConvEncoderConfig(channels=(3,)), seed=0).train()
    clips = _clips()
    encoder(clips, LENGTHS)
    block = encoder.stages[0]
    inside = [clips[row : row + 1, None, :length] for row, length in enumerate(LENGTHS.tolist())]
    values = torch.cat([block.first(clip).permute(0, 2, 3, 1).flatten(0, 2) for clip in inside])
    torch.testing.assert_close(block.first_norm.running_mean, 0.1 * values.mean(0))
    torch.testing.assert_close(block.first_norm.running_var, 0.9 + 0.1 * values.var(0))


def test_gradients_do_not_depend_on_the_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = create_encoder(CONFIG, seed=0).double().train()
    gradients = []
    for at_once in (1, 3, 24):
        monkeypatch.setattr("lm.backbones.convolutional.CONVOLVED_AT_ONCE", at_once)
        encoder.zero_grad()
        encoder(_clips().double(), LENGTHS)[0].square().sum().backward()
        gradients.append([weight.grad for weight in encoder.parameters()])
    torch.testing.assert_close(gradients[0], gradients[2])
    torch.testing.assert_close(gradients[1], gradients[2])


def test_blocks_have_the_frames_that_their_hops_say() -> None:
    assert (CONFIG.hops, ConvEncoderConfig().hops) == ((2, 4, 8), (2, 4, 8, 8))
    blocks = _trained().states(_clips(), LENGTHS).values()
    for (states, lengths), hop, channels in zip(blocks, CONFIG.hops, CONFIG.channels, strict=True):
        assert lengths.tolist() == [-(-length // hop) for length in LENGTHS.tolist()]
        assert states.shape == (4, -(-23 // hop), CONFIG.bands * channels)


BATCHES = ClipBatchConfig(batch_size=12, max_frames=25, pool_batches=2)
MAKE_VIEW = partial(augment, config=AugmentationConfig(), std=torch.ones(MELS))


def _batches(clips: int = 36) -> LabelledBatches:
    return view_pairs(ClipViews(ridges(clips), BATCHES, MAKE_VIEW))


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
