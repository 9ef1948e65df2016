"""Commands on a run of three rates."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from lm.model import LanguageModel
from pipelines.decode import decode
from pipelines.encode import encode
from pipelines.generate import generate
from tests.pipelines.jobs.test_decode import options as decoding
from tests.pipelines.jobs.test_encode import options as encoding
from tests.pipelines.jobs.test_generate import codes_at, samples
from tests.pipelines.jobs.test_generate import options as generating
from tests.pipelines.tiny import save_rates_run
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read
from wordless.base.errors import InputError


@pytest.fixture(scope="module")
def rates_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Codes of 8, 4 and 2 frames; the finest are those of the fixture ``run_folder``."""
    return save_rates_run(tmp_path_factory.mktemp("rates") / "run", seed=0)


@pytest.fixture(scope="module")
def codes(rates_run: Path, recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``wordless encode`` writes."""
    path = tmp_path_factory.mktemp("codes") / "codes.parquet"
    encode(encoding(rates_run, recordings, path))
    return path


def test_text_holds_one_rate(rates_run: Path, recordings: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\b3 rates\b.*format=parquet\b"):
        encode(encoding(rates_run, recordings, tmp_path / "units.txt", format="name_units"))


@pytest.mark.parametrize("synthesis", [pytest.param("wavenet", marks=pytest.mark.slow), "griffin_lim"])
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


def test_the_finest_codes_are_those_of_a_run_of_this_rate(
    run_folder: Path, recordings: Path, codes: Path, tmp_path: Path
) -> None:
    encode(encoding(run_folder, recordings, tmp_path / "alone.parquet"))
    alone = {clip.path: clip.codes for clip in read_codes(tmp_path / "alone.parquet")[1]}
    of_all = {clip.path: clip.codes.finest for clip in read_codes(codes)[1]}
    assert of_all.keys() == alone.keys()
    for path, finest in of_all.items():
        assert finest.format == alone[path].format
        assert np.array_equal(finest.values[: len(alone[path].values)], alone[path].values)


def test_generate_goes_on_at_all_rates(rates_run: Path, recordings: Path, tmp_path: Path) -> None:
    words = {"prompt": str(recordings / "c.ogg"), "num_samples": 2}
    generate(generating(rates_run, tmp_path / "with", **words))
    generate(generating(rates_run, tmp_path / "without", include_prompt=False, **words))
    tokenizer = Tokenizer.from_pretrained(rates_run / "tokenizer")
    prompt = tokenizer.encode_file(recordings / "c.ogg")
    steps, step = prompt.num_samples // 320, 320  # samples of a coarse code
    model = LanguageModel.from_pretrained(rates_run / "lm")
    made = model.generate(prompt, seconds=0.21, temperature=0.9, seed=0)
    whole, new = codes_at(tmp_path / "with")[0], codes_at(tmp_path / "without")[0]
    np.testing.assert_array_equal(new.values, made.values)
    assert new.format == tokenizer.format
    np.testing.assert_array_equal(whole.values, np.concatenate([prompt.values[:steps], new.values]))
    assert (whole.num_samples, new.num_samples) == (steps * step + 840, 840)
    heard = samples(tmp_path / "with/sample_0.wav")
    own = np.round(read(recordings / "c.ogg", 4000).samples[: steps * step] * 32_767)
    assert np.abs(heard[: steps * step] - own).max() <= 1  # the recording itself
    assert len(heard) == whole.num_samples
    decode(decoding(rates_run, tmp_path / "with/codes.parquet", tmp_path / "again"))
    assert len(samples(tmp_path / "again/sample_1.wav")) == whole.num_samples


def test_a_prompt_shorter_than_a_coarse_code_is_refused(rates_run: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.full(300, 0.1, np.float32), 4000)
    with pytest.raises(InputError, match=r"\b0\.075 s\b.*\b0\.080 s\b"):
        generate(generating(rates_run, tmp_path / "out", prompt=str(tmp_path / "short.wav")))
