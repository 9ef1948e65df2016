"""Commands on a run of three rates."""

from pathlib import Path

import numpy as np
import pytest

from foundation.errors import InputError
from pipelines.decode import decode
from pipelines.encode import encode
from tests.pipelines.decoding.test_decode import options as decoding
from tests.pipelines.encoding.test_encode import options as encoding
from tokenizer.parquet import read_codes
from tokenizer.rate_tokenizer import RateTokenizer
from tokenizer.rates import split_rates


@pytest.fixture(scope="module")
def codes(rates_run: Path, recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``wordless encode`` writes."""
    path = tmp_path_factory.mktemp("codes") / "codes.parquet"
    encode(encoding(rates_run, recordings, path))
    return path


def test_encode_writes_the_codes_of_all_rates(rates_run: Path, recordings: Path, codes: Path) -> None:
    tokenizer = RateTokenizer.from_pretrained(rates_run / "tokenizer")
    codes_format, clips = read_codes(codes)
    assert codes_format == tokenizer.format
    for clip in clips:
        assert np.array_equal(clip.codes.values, tokenizer.encode_file(recordings / clip.path).values)


def test_text_holds_one_rate(rates_run: Path, recordings: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has 3 rates; choose format=parquet"):
        encode(encoding(rates_run, recordings, tmp_path / "units.txt", format="name_units"))


@pytest.mark.parametrize("synthesis", ["wavenet", "griffin_lim"])
def test_decode_makes_sound_of_the_finest_codes(
    rates_run: Path, run_folder: Path, recordings: Path, codes: Path, tmp_path: Path, synthesis: str
) -> None:
    decode(decoding(rates_run, codes, tmp_path / "rates", synthesis=synthesis))
    encode(encoding(run_folder, recordings, tmp_path / "finest.parquet"))
    decode(decoding(run_folder, tmp_path / "finest.parquet", tmp_path / "finest", synthesis=synthesis))
    names = sorted(path.relative_to(tmp_path / "finest") for path in (tmp_path / "finest").rglob("*.wav"))
    assert len(names) == 6
    for name in names:
        assert (tmp_path / "rates" / name).read_bytes() == (tmp_path / "finest" / name).read_bytes()


def test_codes_of_one_rate_alone_are_refused(
    rates_run: Path, run_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    encode(encoding(run_folder, recordings, tmp_path / "finest.parquet"))
    with pytest.raises(InputError, match="belongs to codebook"):
        decode(decoding(rates_run, tmp_path / "finest.parquet", tmp_path / "sounds"))


def test_the_finest_codes_are_those_of_a_run_of_this_rate(rates_run: Path, run_folder: Path, codes: Path) -> None:
    finest = split_rates(next(read_codes(codes)[1]).codes)[-1]
    assert finest.format == RateTokenizer.from_pretrained(rates_run / "tokenizer").finest.format
