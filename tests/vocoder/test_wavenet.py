"""WaveNet: what it hears, a layer's own backward pass against PyTorch's, and the levels of its samples."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests import reference
from tests.pipelines.tiny import AUDIO
from tests.vocoder.sounds import SPECTROGRAM, lively, tiny_config
from tests.vocoder.test_engines import random_phase
from vocoder.vocoder_options import PITCH_INPUTS, WaveNetConfig
from vocoder.wavenet import WaveNet, create_wavenet, gated_layer, mu_law_decode, mu_law_encode, silence, transferred
from wordless.base.messages import InputError

HOP = SPECTROGRAM.hop_length


def inputs(frames: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    previous = torch.randint(256, (2, frames * HOP), generator=generator)
    return previous, torch.randn(2, frames, SPECTROGRAM.n_mels, generator=generator)


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_hears_the_receptive_field_and_nothing_else(kernel_size: int) -> None:
    model = lively(tiny_config(kernel_size=kernel_size))
    previous, spectrogram = inputs()
    changed = previous.clone()
    changed[:, 100] = (previous[:, 100] + 128) % 256  # the sample at 99
    with torch.no_grad():
        moved = (model(previous, spectrogram) - model(changed, spectrogram)).abs().amax(dim=(0, 1)) > 1e-6
    assert not moved[:100].any()
    assert moved[100]
    assert moved[99 + model.config.receptive_field]
    assert not moved[100 + model.config.receptive_field :].any()
    with torch.no_grad():
        last = model(previous, spectrogram)[:, :, -7:]
        torch.testing.assert_close(model(previous, spectrogram, last=7), last)


def test_frames_condition_their_own_samples_and_their_neighbours() -> None:
    model = lively(tiny_config())
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


@torch.no_grad()
def test_groups_matter_and_an_unknown_one_has_their_average() -> None:
    model, given = lively(tiny_config(groups=("ann", "bob", "cem"))), inputs()
    ann, bob, unknown = (model(*given, torch.tensor([group, group])) for group in (0, 1, -1))
    assert not torch.allclose(ann, bob)
    torch.testing.assert_close(unknown, model(*given))
    weights = model.conditions.groups.weight
    weights[0] = weights[1:].mean(dim=0)  # ann becomes the average of all three
    torch.testing.assert_close(model(*given, torch.tensor([0, 0])), model(*given, torch.tensor([-1, -1])))


def test_without_memory_no_size_takes_any() -> None:
    """A saved config may claim any size; its weights are compared with the file before memory is taken."""
    config = tiny_config(pitch=True, n_mels=2**31)
    with torch.device("meta"):
        model = create_wavenet(config, seed=0)
    assert all(tensor.is_meta for tensor in model.state_dict().values())


def test_every_parameter_learns() -> None:
    model = lively(tiny_config(groups=("ann", "bob")))
    model(*inputs(), torch.tensor([0, -1])).square().mean().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []  # data parallel training waits for all of them


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 7}, r"layers\b.*\b7\b"),
        ({"gate_channels": 15}, r"gate_channels\b.*\b15\b"),
        ({"condition": "none", "groups": ("ann",)}, r"condition\b.*\bnone\b"),
    ],
)
def test_sizes_that_contradict_each_other_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tiny_config(**changes)


def test_seed_decides_the_weights_which_make_all_levels_about_equally_probable() -> None:
    models = [create_wavenet(tiny_config(), seed=seed) for seed in (0, 0, 1)]
    first, same, other = (model.dilated[0].weight for model in models)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    with torch.no_grad():
        assert float(models[0](*inputs()).softmax(dim=1).max()) < 2 / 256


BATCH, FRAMES, SAMPLES, RESIDUAL, GATES = 2, 3, 5, 4, 6


def weights(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("taps", [2, 3])
@pytest.mark.parametrize("dilation", [1, 4, 7, 15, 100])  # the longest reach beyond the beginning, or as far as it
@pytest.mark.parametrize("last", [False, True])
def test_values_and_gradients_are_those_of_the_convolution(taps: int, dilation: int, last: bool) -> None:
    inputs = [weights(BATCH, FRAMES * SAMPLES, RESIDUAL, seed=0), weights(BATCH, FRAMES, GATES, seed=1)]
    inputs.append(weights(GATES, taps * RESIDUAL, seed=2))
    residual = None if last else weights(RESIDUAL, GATES // 2, seed=3)
    fast = gated_layer(*inputs, residual, dilation=dilation)
    slow = reference.gated_layer(*inputs, residual, dilation=dilation)
    torch.testing.assert_close(fast, slow)
    learned = inputs if residual is None else [*inputs, residual]
    upstream = [weights(*each.shape, seed=4 + number).detach() for number, each in enumerate(slow)]
    gradients = [torch.autograd.grad(each, learned, upstream) for each in (fast, slow)]
    torch.testing.assert_close(*gradients)


def test_under_autocast_it_computes_in_bfloat16_and_gives_gradients_in_float32() -> None:
    shapes = (BATCH, FRAMES * SAMPLES, RESIDUAL), (BATCH, FRAMES, GATES), (GATES, 2 * RESIDUAL), (RESIDUAL, GATES // 2)
    hidden, condition, *learned = (weights(*each, seed=seed).detach().float() for seed, each in enumerate(shapes))
    dilated, residual = (each.requires_grad_() for each in learned)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast = gated_layer(hidden.bfloat16(), condition.bfloat16(), dilated, residual, dilation=4)
    slow = reference.gated_layer(hidden, condition, dilated, residual, dilation=4)
    assert {each.dtype for each in fast} == {torch.bfloat16}
    torch.testing.assert_close([each.float() for each in fast], [*slow], atol=0.05, rtol=0.05)
    gradients = [torch.autograd.grad(each[0].float().sum() + each[1].float().sum(), learned) for each in (fast, slow)]
    assert {each.dtype for each in gradients[0]} == {torch.float32}
    torch.testing.assert_close(*gradients, atol=0.3, rtol=0.05)


@given(st.lists(st.floats(-1, 1, width=32), min_size=1), st.sampled_from([16, 255, 256, 1024]))
def test_round_trip_stays_within_half_a_level(samples: list[float], levels: int) -> None:
    given_ = torch.tensor(samples)
    values = mu_law_encode(given_, levels=levels)
    low = mu_law_decode((values - 1).clamp(min=0), levels=levels)
    high = mu_law_decode((values + 1).clamp(max=levels - 1), levels=levels)
    assert torch.equal(mu_law_encode(mu_law_decode(values, levels=levels), levels=levels), values)
    assert bool(((low <= given_ + 1e-6) & (given_ <= high + 1e-6)).all())


def test_levels_follow_the_formula_of_g711_and_silence_is_inaudible() -> None:
    x = np.array([-1.0, -0.3, -1e-3, 0.02, 0.5, 1.0])
    companded = np.sign(x) * np.log(1 + 255 * np.abs(x)) / np.log(256)
    values = mu_law_encode(torch.from_numpy(x))
    assert values.tolist() == np.floor((companded + 1) / 2 * 255 + 0.5).astype(int).tolist()
    assert mu_law_encode(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]
    assert abs(float(mu_law_decode(torch.tensor([silence()])))) < 1e-4


CLIP_FRAMES = 12
Statistics = tuple[Tensor, Tensor]  # mean and deviation of a tokenizer's log-mel


def statistics(seed: int) -> Statistics:
    """Statistics that are far from those of other seeds."""
    generator = torch.Generator().manual_seed(seed)
    mean = -6 + 2 * torch.randn(AUDIO.n_mels, generator=generator)
    return mean, 0.5 + 3 * torch.rand(AUDIO.n_mels, generator=generator)


def normalised(log_mel: Tensor, own: Statistics) -> Tensor:
    return (log_mel - own[0]) / own[1]


def sizes(**changes: object) -> WaveNetConfig:
    front_end = {name: getattr(AUDIO, name) for name in ("sample_rate", "hop_length", "n_mels")}
    return tiny_config(**front_end, **changes)


def trained(config: WaveNetConfig) -> WaveNet:
    """A network in which every weight matters."""
    model = create_wavenet(config, seed=0)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for weight in model.parameters():
            weight.normal_(std=0.2)
    return model.eval()


def assert_alike(wanted: Tensor, logits: Tensor, config: WaveNetConfig) -> None:
    """But for the look-ahead at the ends: both networks read zeros beyond the clip, which are other levels for each."""
    edge = config.look_ahead_frames * AUDIO.hop_length
    inside = slice(edge + config.receptive_field, -edge)
    assert wanted[:, :, inside].std() > 0.1
    torch.testing.assert_close(logits[:, :, inside], wanted[:, :, inside], rtol=1e-5, atol=1e-5)


def a_clip(count: int) -> tuple[Tensor, Tensor, torch.Generator]:
    """Levels and log-mel of clips, and what draws more."""
    generator = torch.Generator().manual_seed(4)
    log_mel = -6 + 3 * torch.randn(count, CLIP_FRAMES, AUDIO.n_mels, generator=generator)
    return torch.randint(256, (count, CLIP_FRAMES * AUDIO.hop_length), generator=generator), log_mel, generator


@pytest.mark.parametrize("heard", [(), ("ann", "bob", "cem")])
@pytest.mark.parametrize("groups", [(), ("dan", "eve")])
@torch.no_grad()
def test_the_same_sound_has_the_same_logits(heard: tuple[str], groups: tuple[str]) -> None:
    """In the start's own normalisation and group of nobody, and in the new one's for each of its groups."""
    known, new = statistics(1), statistics(2)
    start = trained(sizes(groups=heard))
    config = sizes(groups=groups, patch_frames=4, group_channels=5)
    model = transferred(start, config, known=known, new=new, seed=3).eval()
    assert model.config == config
    previous, log_mel, _ = a_clip(3)
    numbers = torch.tensor([0, len(groups) - 1, -1]) if groups else None
    wanted = start(previous, normalised(log_mel, known))
    assert_alike(wanted, model(previous, normalised(log_mel, new), numbers), config)
    if not heard:  # with the statistics of the start, its weights stay as they are
        alike = replace(start.config, patch_frames=8)
        same = transferred(start, alike, known=known, new=known, seed=3).state_dict()
        assert all(torch.equal(value, start.state_dict()[name]) for name, value in same.items())


@pytest.mark.parametrize("read", [False, True])
@torch.no_grad()
def test_the_pitch_does_not_change_with_the_tokenizer(read: bool) -> None:
    """A start that reads the pitch reads it still; one that does not begins one that does as it where it is unknown."""
    known, new = statistics(1), statistics(2)
    start = trained(sizes(pitch=read))
    model = transferred(start, sizes(pitch=True), known=known, new=new, seed=3).eval()
    previous, log_mel, generator = a_clip(1)
    pitch = torch.rand(1, CLIP_FRAMES, PITCH_INPUTS, generator=generator)
    phase = random_phase(previous, start.config, generator) if read else None
    own = normalised(log_mel, known)
    wanted = start(previous, torch.cat([own, pitch], 2), None, phase) if read else start(previous, own)
    heard = torch.cat([normalised(log_mel, new), pitch], 2)
    assert_alike(wanted, model(previous, heard, None, phase), model.config)
    if read:  # the same log-mel means the same harmonics
        (_, slope, height), (_, own_slope, own_height) = (each.get_buffer("bands") for each in (start, model))
        values = normalised(log_mel, known) * slope + height, normalised(log_mel, new) * own_slope + own_height
        torch.testing.assert_close(*values, rtol=1e-4, atol=1e-4)
