import pytest
import torch
from torch import Tensor

from tests.vocoder.sounds import SPECTROGRAM, tiny_config
from vocoder.wavenet.network import WaveNet, create_wavenet
from wordless.base.errors import InputError

HOP = SPECTROGRAM.hop_length


def lively(**changes: object) -> WaveNet:
    """A network whose outputs are far from uniform, so that every input shows."""
    model = create_wavenet(tiny_config(**changes), seed=0)
    torch.nn.init.normal_(model.output.weight, generator=torch.Generator().manual_seed(0))
    return model.eval()


def inputs(batch: int = 2, frames: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    previous = torch.randint(256, (batch, frames * HOP), generator=generator)
    return previous, torch.randn(batch, frames, SPECTROGRAM.n_mels, generator=generator)


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_hears_the_receptive_field_and_nothing_else(kernel_size: int) -> None:
    model = lively(kernel_size=kernel_size)
    previous, spectrogram = inputs()
    changed = previous.clone()
    changed[:, 100] = (previous[:, 100] + 128) % 256  # the sample at 99
    with torch.no_grad():
        moved = (model(previous, spectrogram) - model(changed, spectrogram)).abs().amax(dim=(0, 1)) > 1e-5
    assert not moved[:100].any()
    assert moved[100]
    assert moved[99 + model.config.receptive_field]
    assert not moved[100 + model.config.receptive_field :].any()


def test_frames_condition_their_own_samples_and_their_neighbours() -> None:
    model = lively()
    previous, spectrogram = inputs(frames=9)
    changed = spectrogram.clone()
    changed[:, 4] += 1
    with torch.no_grad():
        moved = (model(previous, spectrogram) - model(previous, changed)).abs().amax(dim=(0, 1)) > 1e-5
    frames = model.config.look_ahead_frames
    assert not moved[: (4 - frames) * HOP].any()
    assert moved[(4 - frames) * HOP]
    assert moved[4 * HOP : 5 * HOP].all()
    assert not moved[(5 + frames) * HOP + model.config.receptive_field :].any()


def test_padding_with_zero_frames_changes_nothing_before_them() -> None:
    model = lively()
    previous, spectrogram = inputs()
    longer = torch.nn.functional.pad(spectrogram, (0, 0, 0, 3))
    with torch.no_grad():
        short = model(previous, spectrogram)
        long = model(torch.nn.functional.pad(previous, (0, 3 * HOP)), longer)
    torch.testing.assert_close(long[:, :, : short.shape[2]], short)


def test_groups_matter_and_an_unknown_one_has_their_average() -> None:
    model = lively(groups=("ann", "bob", "cem"))
    previous, spectrogram = inputs()
    with torch.no_grad():
        ann, bob, unknown = (model(previous, spectrogram, torch.tensor([group, group])) for group in (0, 1, -1))
        nobody = model(previous, spectrogram)
        model.conditions.groups.weight[0] = model.conditions.groups.weight.mean(dim=0)
        mean = model.conditions.groups.weight[1:].mean(dim=0)
        model.conditions.groups.weight[0] = mean  # so that ann is the average of all three
        average = model(previous, spectrogram, torch.tensor([0, 0]))
        unknown_now = model(previous, spectrogram, torch.tensor([-1, -1]))
    assert not torch.allclose(ann, bob)
    torch.testing.assert_close(unknown, nobody)
    torch.testing.assert_close(average, unknown_now)


def test_logits_of_the_last_samples_are_those_of_all() -> None:
    model = lively()
    previous, spectrogram = inputs()
    with torch.no_grad():
        torch.testing.assert_close(model(previous, spectrogram, last=7), model(previous, spectrogram)[:, :, -7:])


def test_without_a_condition_frames_of_any_length_change_nothing() -> None:
    model = lively(condition="none")
    assert sum(weights.numel() for weights in model.parameters()) == model.config.parameters
    assert (model.config.condition_inputs, model.config.look_ahead_frames) == (0, 0)
    previous, _ = inputs(frames=4)
    with torch.no_grad():
        one, four = (model(previous, torch.zeros(2, frames, 0)) for frames in (1, 4))
        torch.testing.assert_close(one, four)
        model.conditions.biases.weight[3] = 1.0
        assert not torch.allclose(model(previous, torch.zeros(2, 1, 0)), one)


def test_every_parameter_learns() -> None:
    model = lively(groups=("ann", "bob"))
    previous, spectrogram = inputs()
    model(previous, spectrogram, torch.tensor([0, -1])).square().mean().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []  # data parallel training waits for all of them


def test_seed_decides_the_weights() -> None:
    weights = [create_wavenet(tiny_config(), seed=seed).dilated[0].weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_begins_with_all_levels_about_equally_probable() -> None:
    previous, spectrogram = inputs()
    with torch.no_grad():
        probabilities = create_wavenet(tiny_config(), seed=0)(previous, spectrogram).softmax(dim=1)
    assert float(probabilities.max()) < 2 / 256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 7}, r"layers\b.*\b7\b"),
        ({"gate_channels": 15}, r"gate_channels\b.*\b15\b"),
        ({"groups": ("ann", "ann")}, "group"),
        ({"condition": "none", "groups": ("ann",)}, r"condition\b.*\bnone\b"),
    ],
)
def test_refuses_contradictions(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tiny_config(**changes)
