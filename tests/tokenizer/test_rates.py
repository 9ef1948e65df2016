"""Codes at several rates: their layout, their tokenizers, and their files."""

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokenizer.conftest import RATE, fitted, sound
from tokenizer.codes import Codes, CodesFormat, join_codes, join_rates
from tokenizer.options import PatchConfig
from tokenizer.tokenizer import PATCHES_PER_BLOCK, Tokenizer
from wordless.audio.options import SpectrogramConfig
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError

LONG = sound(PATCHES_PER_BLOCK * 8 * 2.3 * 80 / RATE)  # two blocks of the coarsest rate and a part of a third


def format_of(samples_per_code: int, *, streams: int = 1, codebook_size: int = 100) -> CodesFormat:
    return CodesFormat(
        codebook_size=codebook_size,
        streams=streams,
        samples_per_code=samples_per_code,
        sample_rate=8000,
        tokenizer=f"t{samples_per_code}",
        codebook=f"c{samples_per_code}",
    )


def counted_codes(own: CodesFormat, num_samples: int, *, first: int) -> Codes:
    """Codes that count from ``first``."""
    steps = own.steps(num_samples)
    values = first + np.arange(steps * own.streams, dtype=np.int32).reshape(steps, own.streams)
    return Codes(values=values, num_samples=num_samples, format=own)


# The layout


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
    shares=st.lists(st.integers(2, 4), min_size=1, max_size=3),
    streams=st.lists(st.integers(1, 3), min_size=4, max_size=4),
)
def test_split_inverts_join(num_samples: int, shares: list[int], streams: list[int]) -> None:
    lengths = [96]
    for share in shares:
        lengths.append(lengths[-1] // share)
    lengths = [each for each in lengths if 96 % each == 0]
    lengths = [lengths[0], *(fine for coarse, fine in pairwise(lengths) if coarse % fine == 0)]
    rng = np.random.default_rng(num_samples)
    parts = []
    for length, own in zip(lengths, streams, strict=False):
        own_format = format_of(length, streams=own)
        values = rng.integers(100, size=(own_format.steps(num_samples), own), dtype=np.int32)
        parts.append(Codes(values=values, num_samples=num_samples, format=own_format))
    again = join_rates(parts).by_rate
    assert [each.format for each in again] == [each.format for each in parts]
    assert all(np.array_equal(one.values, other.values) for one, other in zip(again, parts, strict=True))


def test_parts_that_were_padded_to_whole_codes_end_with_the_shortest() -> None:
    parts = [counted_codes(format_of(spc), n, first=0) for spc, n in ((80, 160), (40, 120))]
    codes = join_rates(parts)
    assert codes.num_samples == 120
    assert [len(each.values) for each in codes.by_rate] == [2, 3]
    with pytest.raises(InputError, match="one recording"):
        join_rates([counted_codes(format_of(80), 240, first=0), parts[1]])


def test_a_single_rate_is_itself() -> None:
    codes = counted_codes(format_of(80), 200, first=0)
    assert codes.by_rate == (codes,)
    assert join_rates([codes]) is codes
    assert CodesFormat.of_rates([codes.format]) is codes.format
    assert "rates" not in codes.format.as_dict()


def test_bits_of_all_rates_together() -> None:
    formats = [format_of(spc, codebook_size=16) for spc in (80, 40, 20)]
    assert CodesFormat.of_rates(formats).bits_per_second == sum(each.bits_per_second for each in formats)


@pytest.mark.parametrize(
    ("formats", "reason"),
    [
        ((format_of(80), format_of(30)), "equal part"),
        ((format_of(40), format_of(80)), "equal part"),
        ((format_of(80), format_of(80)), "equal part"),
        ((format_of(80), format_of(40, codebook_size=8)), r"\b100 codes\b.*\b8\b"),
    ],
)
def test_rates_that_do_not_nest_are_refused(formats: tuple[CodesFormat, ...], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        CodesFormat.of_rates(formats)


def test_an_altered_format_is_refused() -> None:
    whole = CodesFormat.of_rates([format_of(80), format_of(40)])
    for changed in ({"streams": 4}, {"samples_per_code": 160}, {"rates": whole.rates[:1]}):
        with pytest.raises(InputError, match="time step"):
            replace(whole, **changed)  # type: ignore[arg-type]  # of several types


# The tokenizers


@settings(max_examples=5, deadline=None)
@given(cuts=st.lists(st.integers(0, len(LONG)), max_size=8))
def test_each_rate_has_the_codes_of_its_tokenizer_alone(rate_tokenizer: Tokenizer, cuts: list[int]) -> None:
    codes = rate_tokenizer.encode_blocks(np.split(LONG, sorted(cuts)), RATE)
    assert codes.format == rate_tokenizer.format
    assert codes.num_samples == len(LONG)
    for tokenizer, own in zip(rate_tokenizer.rates, codes.by_rate, strict=True):
        assert np.array_equal(own.values, tokenizer.encode(LONG, RATE).values)


@pytest.mark.parametrize("num_samples", [0, 1, 159, 160, 161, 1281])
def test_short_recordings(rate_tokenizer: Tokenizer, num_samples: int) -> None:
    parts = rate_tokenizer.encode(LONG[:num_samples], RATE).by_rate
    assert [len(each.values) for each in parts] == [-(-num_samples // (frames * 80)) for frames in (8, 4, 2)]


def test_files_have_the_same_codes(rate_tokenizer: Tokenizer, tmp_path: Path) -> None:
    Waveform(samples=LONG, sample_rate=RATE).write(tmp_path / "a.wav")
    found = rate_tokenizer.encode_file(tmp_path / "a.wav").by_rate
    for tokenizer, own in zip(rate_tokenizer.rates, found, strict=True):
        assert np.array_equal(own.values, tokenizer.encode_file(tmp_path / "a.wav").values)


def test_saved_and_loaded(rate_tokenizer: Tokenizer, tokenizer: Tokenizer, tmp_path: Path) -> None:
    rate_tokenizer.save_pretrained(tmp_path / "rates")
    tokenizer.save_pretrained(tmp_path / "one")
    loaded = Tokenizer.from_pretrained(tmp_path / "rates")
    assert loaded.format == rate_tokenizer.format
    assert np.array_equal(loaded.encode(LONG, RATE).values, rate_tokenizer.encode(LONG, RATE).values)
    assert Tokenizer.from_pretrained(tmp_path / "one").rates[-1].format == tokenizer.format
    assert Tokenizer.from_pretrained(tmp_path / "rates/rate_3").format == rate_tokenizer.finest.format
    card = (tmp_path / "rates/README.md").read_text()
    assert "at 3 rates" in card
    assert all(each.format.codebook in card for each in rate_tokenizer.rates)


def test_folders_that_do_not_belong_together_are_refused(
    rate_tokenizer: Tokenizer, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    rate_tokenizer.save_pretrained(tmp_path)
    other = fitted(PatchConfig(frames=2), 16)
    other.centroids += 1
    Tokenizer(other.config, other.mean, other.std, other.autoencoder, other.centroids).save_pretrained(
        tmp_path / "rate_3"
    )
    with pytest.raises(InputError, match="together"):
        Tokenizer.from_pretrained(tmp_path)
    shutil.rmtree(tmp_path / "rate_3")
    with pytest.raises(InputError, match=r"config\.json\b.*missing"):
        Tokenizer.from_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for rates in (2, 0, 10**9, "three", None):
        (tmp_path / "config.json").write_text(json.dumps({**config, "rates": rates}))
        with pytest.raises(InputError, match="damaged"):
            Tokenizer.from_pretrained(tmp_path)


def test_tokenizers_of_different_front_ends_are_refused(rate_tokenizer: Tokenizer) -> None:
    coarse, finest = rate_tokenizer.rates[0], rate_tokenizer.finest
    audio = SpectrogramConfig(sample_rate=RATE, window_length=200, hop_length=80, n_mels=24, f_min=50)
    config = replace(finest.config, audio=audio)
    other = Tokenizer(config, finest.mean, finest.std, finest.autoencoder, finest.centroids)
    with pytest.raises(InputError, match="front end"):
        Tokenizer.of_rates([coarse, other])


# Files of codes


def test_a_continuation_joins_a_prompt_of_whole_time_steps(rate_tokenizer: Tokenizer) -> None:
    whole = rate_tokenizer.encode(LONG[: 640 * 5], RATE)
    joined = join_codes(whole.crop(0, 2), whole.crop(2, 5))
    assert np.array_equal(joined.values, whole.values)
    finest = joined.finest
    assert np.array_equal(finest.values, rate_tokenizer.finest.encode(LONG[: 640 * 5], RATE).values)
