import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import postfiltered
from tests.vocoder.sounds import (
    SPECTROGRAM,
    random_table,
    tiny_config,
)
from tokenizer.codes import Codes
from vocoder.filters import PostFilter, in_force
from vocoder.judging import FULL_SCALE
from vocoder.sampling import Sampling
from vocoder.vocoder import Vocoder
from vocoder.wavenet.network import create_wavenet
from wordless.audio.options import SpectrogramConfig
from wordless.audio.spectrogram import LogMel
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError

HOP = SPECTROGRAM.hop_length


def filtered(
    samples: Tensor,
    meant: Tensor,
    config: SpectrogramConfig,
    *,
    frames: int = 64,
    strength: float = 1.0,
    passes: int = 1,
    prompt: int = 0,
) -> Tensor:
    own = PostFilter(config, strength=strength, passes=passes, prompt=prompt)
    own.expect(meant)
    pieces = torch.split(samples, frames * config.hop_length)
    return torch.cat([*(own.filter(piece) for piece in pieces), own.finish()])


def drawn(frames: int, config: SpectrogramConfig, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noise, and what it might have been meant to be."""
    generator = torch.Generator().manual_seed(seed)
    samples = 0.2 * torch.randn(frames * config.hop_length, generator=generator)
    return samples, -4 + 3 * torch.randn(frames, config.n_mels, generator=generator)


@pytest.mark.parametrize(
    "config",
    [
        SPECTROGRAM,
        replace(SPECTROGRAM, f_min=300.0, f_max=2500.0),  # bins of no band below and above
        replace(SPECTROGRAM, n_mels=64),  # bands between two bins
        replace(SPECTROGRAM, hop_length=200),  # windows that do not overlap
        replace(SPECTROGRAM, window_length=82, hop_length=33),
    ],
)
@pytest.mark.parametrize(
    ("strength", "passes", "prompt"), [(1.0, 1, 0), (0.4, 1, 0), (1.0, 1, 333), (1.0, 2, 0), (0.6, 3, 0), (1.0, 2, 333)]
)
def test_equals_the_reference(config: SpectrogramConfig, strength: float, passes: int, prompt: int) -> None:
    samples, meant = drawn(9, config)
    own = {"strength": strength, "passes": passes, "prompt": prompt}
    found = filtered(samples, meant, config, frames=2, **own)  # type: ignore[arg-type]  # a prompt ends in some piece
    wanted = postfiltered(samples.numpy(), meant.numpy(), config, **own)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, wanted, atol=5e-5)


@settings(deadline=None, max_examples=30)
@given(
    total=st.integers(1, 40),
    together=st.integers(1, 40),
    window=st.sampled_from([80, 120, 200, 500]),
    prompt=st.integers(0, 3000),
    passes=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_pieces_give_the_whole(total: int, together: int, window: int, prompt: int, passes: int, seed: int) -> None:
    config = replace(SPECTROGRAM, window_length=window)
    samples, meant = drawn(total, config, seed=seed)
    whole = filtered(samples, meant, config, passes=passes, prompt=prompt)
    assert len(whole) == len(samples)
    assert torch.equal(whole[:prompt], samples[:prompt])
    pieces = filtered(samples, meant, config, frames=together, passes=passes, prompt=prompt)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-5)


def test_what_is_made_louder_does_not_clip() -> None:
    samples, _ = drawn(12, SPECTROGRAM)
    meant = LogMel(SPECTROGRAM)(samples.unsqueeze(0))[0] + math.log(30)
    sound = filtered(samples, meant, SPECTROGRAM)
    assert float(samples.abs().max()) < 1
    assert 0.95 < float(sound.abs().max()) < FULL_SCALE
    kept = filtered(torch.ones(12 * HOP), meant, SPECTROGRAM, prompt=500)[:500]
    assert torch.equal(kept, torch.ones(500))  # a recording may


def test_a_prompt_stays_as_it_was_and_nothing_clicks() -> None:
    """Half a second of a steady tone, then the same tone 20 dB too quiet: the gain rises, and does not jump."""
    times = torch.arange(100 * HOP) / SPECTROGRAM.sample_rate
    tone = 0.3 * torch.sin(2 * torch.pi * 440 * times)
    prompt = 4000
    meant = LogMel(SPECTROGRAM)(tone.unsqueeze(0))[0]
    sound = filtered(torch.cat([tone[:prompt], 0.1 * tone[prompt:]]), meant, SPECTROGRAM, prompt=prompt)
    assert torch.equal(sound[:prompt], tone[:prompt])
    added = sound[prompt:] - 0.1 * tone[prompt:]
    assert float(added[:10].abs().max()) < 0.01  # nothing at first
    assert float(added[SPECTROGRAM.window_length :].abs().max()) > 0.2  # and then all of it
    assert float(added.diff().abs().max()) < 1.2 * float((0.9 * tone).diff().abs().max())


def test_a_vocoder_filters_what_it_says_and_not_what_it_heard() -> None:
    table, model = random_table(), create_wavenet(tiny_config(), seed=0)
    codes = table.codes([code % 12 for code in range(40)])
    plain, own = Vocoder(model, "tok-1", postfilter=0), Vocoder(model, "tok-1", postfilter=0.7)
    raw = plain.decode(codes, table, seed=5)
    meant = table.denormalise(table.spectrogram(torch.from_numpy(codes.values).long()[None])[0])
    wanted = postfiltered(raw.samples, meant.numpy(), SPECTROGRAM, strength=0.7, passes=2)
    np.testing.assert_allclose(own.decode(codes, table, seed=5).samples, wanted, atol=2e-5)
    heard = Waveform(samples=raw.samples[:1001], sample_rate=8000)
    more = own.continue_from(heard, codes, table, seed=5)
    wanted = postfiltered(raw.samples, meant.numpy(), SPECTROGRAM, strength=0.7, passes=2, prompt=1001)
    np.testing.assert_allclose(more.samples, wanted[1001:], atol=2e-5)


def test_a_stream_goes_on_from_a_prompt_as_the_whole_does() -> None:
    table, own = random_table(), Vocoder(create_wavenet(tiny_config(), seed=0), "tok-1")
    codes = table.codes([code % 12 for code in range(70)])
    heard = Waveform(samples=own.decode(codes, table, seed=5).samples[:6001], sample_rate=8000)
    blocks: list[Codes] = [codes.crop(start, start + 9) for start in range(0, 70, 9)]
    pieces = [piece.samples for piece in own.stream(blocks, table, Sampling(seed=5), prompt=heard)]
    assert np.array_equal(np.concatenate(pieces)[6001:], own.continue_from(heard, codes, table, seed=5).samples)


def test_refuses_what_it_cannot_filter() -> None:
    own = PostFilter(SPECTROGRAM, strength=1.0, passes=2)
    own.expect(torch.zeros(2, SPECTROGRAM.n_mels))
    with pytest.raises(InputError, match=r"\b240 samples\b.*\b2 frames"):
        own.filter(torch.zeros(3 * HOP))
    with pytest.raises(InputError, match=r"\b81 samples\b.*\b80 samples"):
        own.filter(torch.zeros(HOP + 1))
    with pytest.raises(InputError, match=r"postfilter\b.*\b1\.5\b.*\b0\b.*\b1\b"):
        Vocoder(create_wavenet(tiny_config(), seed=0), "tok-1", postfilter=1.5)
    for passes in (0, -1, 9):
        with pytest.raises(InputError, match=rf"postfilter_passes\b.*{passes}\b"):
            Vocoder(create_wavenet(tiny_config(), seed=0), "tok-1", postfilter_passes=passes)


def test_levels_are_known_where_nothing_is_taken_off() -> None:
    assert in_force(0.5, SPECTROGRAM) == 0.5
    assert in_force(0.5, replace(SPECTROGRAM, remove_mean="running")) == 0
    assert in_force(0.5, replace(SPECTROGRAM, dynamic_range=40.0)) == 0


def test_a_stream_says_nothing_empty() -> None:
    config = replace(SPECTROGRAM, window_length=4000)
    table, own = random_table(), Vocoder(create_wavenet(tiny_config(), seed=0), "tok-1")
    table.front_end = config
    codes = table.codes([1] * 60)
    pieces = [piece.samples for piece in own.stream([codes], table)]
    assert all(len(piece) for piece in pieces)
    assert np.array_equal(np.concatenate(pieces), own.decode(codes, table).samples)


def test_the_filter_makes_sound_as_loud_as_the_gain_of_the_codes_says() -> None:
    table, own = random_table(), Vocoder(create_wavenet(tiny_config(), seed=0), "tok-1")
    codes = table.codes([code % 12 for code in range(40)])
    powers = []
    for gain in (0.0, 3.0):
        table.gain = gain
        powers.append(float(np.mean(own.decode(codes, table, seed=5).samples ** 2)))
    assert 10 * math.log10(powers[1] / powers[0]) == pytest.approx(3, abs=0.5)
    blocks = [codes.crop(start, start + 9) for start in range(0, 40, 9)]
    pieces = [piece.samples for piece in own.stream(blocks, table, Sampling(seed=5))]
    assert np.array_equal(np.concatenate(pieces), own.decode(codes, table, seed=5).samples)
