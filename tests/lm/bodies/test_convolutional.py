"""The convolutional encoder."""

import pytest
import torch

from lm.bodies.convolutional import ConvEncoder, create_encoder
from lm.bodies.convolutional_config import ConvEncoderConfig

CONFIG = ConvEncoderConfig(channels=(4, 8, 6), bands=3)
LENGTHS = torch.tensor([23, 9, 1, 16])


@pytest.fixture(autouse=True, params=[2, 24], ids=["groups", "together"])
def _clips_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lm.bodies.convolutional.CLIPS_AT_ONCE", request.param)


def _clips() -> torch.Tensor:
    return torch.randn(4, 23, 12, generator=torch.Generator().manual_seed(0))


def _trained() -> ConvEncoder:
    """An encoder whose running statistics are not those of an untrained one."""
    encoder = create_encoder(CONFIG, seed=0).train()
    encoder(_clips(), LENGTHS)
    return encoder


@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_nothing(training: bool) -> None:
    wide = torch.nn.functional.pad(_clips(), (0, 0, 0, 14), value=7.0)
    encoder = _trained().train(training)
    narrow = encoder.states(_clips(), LENGTHS).values()
    for (found, lengths), (wanted, same) in zip(encoder.states(wide, LENGTHS).values(), narrow, strict=True):
        assert torch.equal(lengths, same)
        torch.testing.assert_close(found[:, : wanted.shape[1]], wanted)
        assert not found[:, wanted.shape[1] :].any()


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
        monkeypatch.setattr("lm.bodies.convolutional.CLIPS_AT_ONCE", at_once)
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
