"""The codebooks of several rates in a run."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipelines.chain.chain import rates
from pipelines.settings.run import run_settings
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import composed, run, stored
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from wordless.base.errors import InputError
from wordless.base.files import file_hash

ONE_RATE = ("sample", "autoencoder", "tokenizer", "codes", "health")


@pytest.mark.slow
def test_codebooks_of_all_rates(finished_run: FinishedRun, tmp_path: Path) -> None:
    store = shutil.copytree(finished_run.store, tmp_path / "store")
    before = stored(store)
    assert run(store, tmp_path / "run", "stages=[tokenizer]", "tokenizer.rates=[8,4,2]") == 0
    made = Counter(path.split("/")[0] for path in stored(store) if path.endswith("entry.json"))
    assert {stage: made[stage] for stage in ONE_RATE} == dict.fromkeys(ONE_RATE, 3)  # the finest was there
    assert {path: digest for path, digest in stored(store).items() if path in before} == before
    whole = Tokenizer.from_pretrained(tmp_path / "run/tokenizer")
    assert [each.patch_frames for each in whole.rates] == [8, 4, 2]
    own, shared = tmp_path / "run/tokenizer/rate_3", finished_run.folder / "tokenizer"
    for name in ("config.json", "model.safetensors", "README.md"):
        assert file_hash(own / name) == file_hash(shared / name)
    assert Tokenizer.from_pretrained(shared).format == whole.finest.format
    (root,) = store.glob("embedded/embedded-*/")
    for path in store.glob("codes/*/"):
        codes_format, clips = read_codes(path)
        (tokenizer,) = (each for each in whole.rates if each.format == codes_format)
        clip = next(clips)
        assert np.array_equal(tokenizer.encode_file(root / clip.path).values, clip.codes.values)


def test_the_front_end_is_described_with_all_rates(tmp_path: Path) -> None:
    settings = run_settings(composed(tmp_path, "stages=[tokenizer]", "tokenizer.rates=[8,4,2]"))
    assert "12.5, 25 and 50 codes per second in 1 stream" in rates(settings)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tokenizer.rates=[8,3,2]"], r"tokenizer\.rates\b.*\[8, 3, 2\].*\b2\b.*\b4\b"),
        (["tokenizer.rates=[2]"], r"tokenizer\.rates\b.*\[2\].*\b2\b.*\b4\b"),
        (["tokenizer.rates=[32,16,8,4,2]"], r"tokenizer\.rates\b.*\[32, 16, 8, 4, 2\].*\b2\b.*\b4\b"),
        (["tokenizer.rates=[2,4]"], r"tokenizer\.rates\b.*multiple"),
        (["tokenizer.rates=[2,0]"], r"tokenizer\.rates\b.*\[2, 0\].*\b1\b"),
        (["tokenizer.rates=[8,4]"], r"tokenizer\.patch\.frames\b.*\b2\b.*tokenizer\.patch\.frames=4\b"),
    ],
)
def test_rates_that_do_not_fit_are_refused(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        run_settings(composed(tmp_path, *words))
