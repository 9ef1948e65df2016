"""Residual levels: what they mean, what they gain, and that folders of before there were any stay what they are."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import decode_whole
from tests.tokenizer.conftest import LONG, RATE, sound
from tokenizer.codes import Codes, CodesFormat, join_rates
from tokenizer.config import TokenizerConfig
from tokenizer.health import measure_fidelity
from tokenizer.options import AutoencoderConfig, PatchConfig
from tokenizer.sources import Autoencoder
from tokenizer.tokenizer import PATCHES_PER_BLOCK, Tokenizer
from wordless.audio.options import SpectrogramConfig
from wordless.base.errors import InputError

LAYERED = ["layered", "banded_layered"]


def counted(*shape: int) -> Tensor:
    return (torch.arange(int(np.prod(shape))) % 7 - 3).reshape(shape) / 8


def test_fingerprints_are_those_of_codes_that_were_written_before() -> None:
    """Codes name their codebook, so a fingerprint that changes makes all codes those of another codebook."""
    config = TokenizerConfig(
        audio=SpectrogramConfig(sample_rate=4000, window_length=100, hop_length=40, n_mels=8, floor=1e-4),
        patch=PatchConfig(frames=2),
        autoencoder=AutoencoderConfig(hidden=4, bottleneck=2),
        codebook_size=4,
    )
    autoencoder = Autoencoder(config.autoencoder, 16)
    autoencoder.load_state_dict({name: counted(*value.shape) for name, value in autoencoder.state_dict().items()})
    tokenizer = Tokenizer(config, counted(8), torch.ones(8), autoencoder, counted(4, 2))
    assert (tokenizer.format.tokenizer, tokenizer.format.codebook) == ("83428d0073a701d6", "e9a6c24a608b88cd")


@pytest.mark.parametrize("name", ["banded", *LAYERED])
def test_spectrograms_are_those_of_the_definition(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(name)
    values = tokenizer.encode(LONG, RATE).values
    meant = tokenizer.spectrogram(torch.tensor(values)[None])[0].numpy()
    assert np.allclose(meant, decode_whole(tokenizer, values), atol=1e-5)
    assert tokenizer.spectrogram(torch.tensor(values[:0])[None]).shape == (1, 0, 24)


def test_levels_keep_more_of_the_sound_and_the_front_end_and_autoencoder_as_they_are(layered: Tokenizer) -> None:
    """So that one vocoder serves them all."""
    config = replace(layered.config, levels=1)
    coarse = Tokenizer(config, layered.mean, layered.std, layered.autoencoder, layered.codebooks[0])
    assert coarse.format.tokenizer == layered.format.tokenizer
    assert coarse.format.codebook != layered.format.codebook
    assert layered.format.bits_per_second == 2 * coarse.format.bits_per_second
    assert np.array_equal(coarse.encode(LONG, RATE).values[:, 0], layered.encode(LONG, RATE).values[:, 0])
    one, two = (measure_fidelity(each, [np.zeros(3, np.float32), sound(2.0, seed=3)]) for each in (coarse, layered))
    assert one["reconstruction_mse"] == two["reconstruction_mse"] < two["quantised_mse"] < one["quantised_mse"]
    assert one == measure_fidelity(coarse, [sound(2.0, seed=3)])  # a clip shorter than a code is left out


LONG_FOR_RATES = sound(PATCHES_PER_BLOCK * 8 * 2.3 * 80 / RATE)  # two blocks of the coarsest rate and a part of a third


def format_of(samples_per_code: int, *, streams: int = 1, codebook_size: int = 100) -> CodesFormat:
    return CodesFormat(
        codebook_size=codebook_size,
        streams=streams,
        samples_per_code=samples_per_code,
        sample_rate=8000,
        tokenizer=f"t{samples_per_code}",
        codebook=f"c{samples_per_code}",
    )


def counted_codes(own: CodesFormat, num_samples: int, *, first: int = 0) -> Codes:
    """Codes that count from ``first``."""
    values = first + np.arange(own.steps(num_samples) * own.streams, dtype=np.int32).reshape(-1, own.streams)
    return Codes(values=values % own.codebook_size, num_samples=num_samples, format=own)


def test_the_layout_is_that_of_the_drawing() -> None:
    """Two time steps of 80 samples; the recording ends after 105: in the second code of rate 2, and of rate 3.

    ::

        samples   0       20      40      60      80      100 |   120     140     160
        rate 1    [              10              ][            11 |               ]
        rate 2    [      20      ][      21      ][      22   |   ]
        rate 3    [  30  ][  31  ][  32  ][  33  ][  34  ][ 35|  ]
    """
    parts = [counted_codes(format_of(spc), 105, first=first) for spc, first in ((80, 10), (40, 20), (20, 30))]
    codes = join_rates(parts)
    assert codes.values.tolist() == [[10, 20, 21, 30, 31, 32, 33], [11, 22, 0, 34, 35, 0, 0]]
    assert (codes.num_samples, codes.format.samples_per_code, codes.format.streams) == (105, 80, 7)
    for found, part in zip(codes.by_rate, parts, strict=True):
        assert found.format == part.format
        assert np.array_equal(found.values, part.values)


@given(
    num_samples=st.integers(0, 700),
    lengths=st.sampled_from([(96, 48), (96, 32, 16), (96, 24, 12, 6), (96, 6, 3)]),
    streams=st.lists(st.integers(1, 3), min_size=4, max_size=4),
)
def test_split_inverts_join(num_samples: int, lengths: tuple[int, ...], streams: list[int]) -> None:
    formats = [format_of(length, streams=own) for length, own in zip(lengths, streams, strict=False)]
    parts = [counted_codes(each, num_samples, first=number) for number, each in enumerate(formats)]
    assert [*join_rates(parts).by_rate] == parts


def test_parts_that_were_padded_to_whole_codes_end_with_the_shortest() -> None:
    parts = [counted_codes(format_of(spc), n) for spc, n in ((80, 160), (40, 120))]
    codes = join_rates(parts)
    assert codes.num_samples == 120
    assert [len(each.values) for each in codes.by_rate] == [2, 3]


def test_a_single_rate_is_itself_and_several_add_their_bits() -> None:
    codes = counted_codes(format_of(80), 200)
    assert codes.by_rate == (codes,)
    assert join_rates([codes]) is codes
    assert CodesFormat.of_rates([codes.format]) is codes.format
    assert WHOLE.bits_per_second == pytest.approx(sum(each.bits_per_second for each in WHOLE.formats))


WHOLE = CodesFormat.of_rates([format_of(80), format_of(40)])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: CodesFormat.of_rates((format_of(80), format_of(30))), "equal part"),
        (lambda: CodesFormat.of_rates((format_of(40), format_of(80))), "equal part"),
        (lambda: CodesFormat.of_rates((format_of(80), format_of(80))), "equal part"),
        (lambda: CodesFormat.of_rates((format_of(80), format_of(40, codebook_size=8))), r"\b100 codes\b.*\b8\b"),
        (lambda: replace(WHOLE, streams=4), "time step"),
        (lambda: replace(WHOLE, samples_per_code=160), "time step"),
        (lambda: replace(WHOLE, rates=WHOLE.rates[:1]), "time step"),
        (lambda: join_rates([counted_codes(format_of(80), 240), counted_codes(format_of(40), 120)]), "one recording"),
    ],
)
def test_rates_that_do_not_nest_are_refused(make: Callable[[], object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        make()


def test_each_rate_has_the_codes_of_its_tokenizer_alone(rate_tokenizer: Tokenizer) -> None:
    codes = rate_tokenizer.encode(LONG_FOR_RATES, RATE)
    for tokenizer, own in zip(rate_tokenizer.rates, codes.by_rate, strict=True):
        assert np.array_equal(own.values, tokenizer.encode(LONG_FOR_RATES, RATE).values)


def test_rates_that_do_not_belong_together_are_refused(rate_tokenizer: Tokenizer, tmp_path: Path) -> None:
    rate_tokenizer.save_pretrained(tmp_path)
    coarse, finest = rate_tokenizer.rates[0], rate_tokenizer.finest
    parts = finest.mean, finest.std, finest.autoencoder
    Tokenizer(finest.config, *parts, finest.centroids + 1).save_pretrained(tmp_path / "rate_3")
    with pytest.raises(InputError, match="together"):
        Tokenizer.from_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for rates in (2, 0, 10**9, "three", None):
        (tmp_path / "config.json").write_text(json.dumps({**config, "rates": rates}))
        with pytest.raises(InputError, match="damaged"):
            Tokenizer.from_pretrained(tmp_path)
    other = replace(finest.config, audio=replace(finest.config.audio, f_min=50.0))
    with pytest.raises(InputError, match="front end"):
        Tokenizer.of_rates([coarse, Tokenizer(other, *parts, finest.centroids)])
