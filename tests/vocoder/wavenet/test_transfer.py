"""A WaveNet of one tokenizer computes for another one what it computes for its own."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.pipelines.tiny import AUDIO, tiny_tokenizer
from tests.vocoder.sounds import tiny_config
from tokenizer.tokenizer import Tokenizer
from vocoder.options import WaveNetConfig
from vocoder.wavenet.network import WaveNet, create_wavenet
from vocoder.wavenet.transfer import transferred

FRAMES = 12


def tokenizer(seed: int, *, frames: int = 2) -> Tokenizer:
    """A tokenizer with statistics of its own, far from those of other seeds."""
    made = tiny_tokenizer(seed, frames=frames)
    generator = torch.Generator().manual_seed(seed)
    made.mean = -6 + 2 * torch.randn(AUDIO.n_mels, generator=generator)
    made.std = 0.5 + 3 * torch.rand(AUDIO.n_mels, generator=generator)
    return made


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


def converted(start: WaveNet, config: WaveNetConfig, known: Tokenizer, new: Tokenizer) -> WaveNet:
    return transferred(start, config, known=(known.mean, known.std), new=(new.mean, new.std), seed=3)


def inputs(own: Tokenizer, config: WaveNetConfig, log_mel: Tensor) -> Tensor:
    """The conditions of a network at log-mel ``(batch, frames, mels)``, normalised by its own tokenizer."""
    frames = own.normalise(log_mel)
    if not config.code_position:
        return frames
    places = torch.eye(config.patch_frames).repeat(FRAMES // config.patch_frames, 1).expand(len(frames), -1, -1)
    return torch.cat([frames, places], dim=2)


@pytest.mark.parametrize("heard", [(), ("ann", "bob", "cem")])
@pytest.mark.parametrize("groups", [(), ("dan", "eve")])
@pytest.mark.parametrize("code_position", [False, True])
def test_the_same_sound_has_the_same_logits(heard: tuple[str], groups: tuple[str], code_position: bool) -> None:
    """In the start's own normalisation and group of nobody, and in the new one's for each of its groups."""
    known, new = tokenizer(1), tokenizer(2, frames=2 if code_position else 4)
    start = trained(sizes(groups=heard, code_position=code_position))
    config = sizes(groups=groups, code_position=code_position, patch_frames=new.patch_frames, group_channels=5)
    model = converted(start, config, known, new).eval()
    assert model.config == config
    generator = torch.Generator().manual_seed(4)
    log_mel = -6 + 3 * torch.randn(3, FRAMES, AUDIO.n_mels, generator=generator)
    previous = torch.randint(256, (3, FRAMES * AUDIO.hop_length), generator=generator)
    numbers = torch.tensor([0, len(groups) - 1, -1]) if groups else None
    with torch.no_grad():
        wanted = start(previous, inputs(known, start.config, log_mel))
        logits = model(previous, inputs(new, config, log_mel), numbers)
    # Within the look-ahead of the ends, both networks read zeros beyond the clip, which are other levels for each.
    edge = config.look_ahead_frames * AUDIO.hop_length
    inside = slice(edge + config.receptive_field, -edge)
    assert wanted[:, :, inside].std() > 0.1
    torch.testing.assert_close(logits[:, :, inside], wanted[:, :, inside], rtol=1e-5, atol=1e-5)


def test_new_groups_are_learned() -> None:
    """They begin alike, and the first steps tell them apart."""
    known, new = tokenizer(1), tokenizer(2)
    model = converted(trained(sizes()), sizes(groups=("dan", "eve")), known, new)
    previous, frames = torch.zeros(2, 2 * AUDIO.hop_length, dtype=torch.int64), torch.zeros(2, 2, AUDIO.n_mels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(3):
        logits = model(previous, frames, torch.tensor([0, 1]))
        optimizer.zero_grad()
        (logits[0, 7].mean() - logits[1, 7].mean()).backward()
        optimizer.step()
    logits = model(previous, frames, torch.tensor([0, 1]))
    assert not torch.allclose(logits[0], logits[1])


def test_one_tokenizer_keeps_the_weights() -> None:
    own = tokenizer(1)
    start = trained(sizes())
    model = converted(start, replace(start.config, patch_frames=8), own, own)
    assert all(torch.equal(value, start.state_dict()[name]) for name, value in model.state_dict().items())
