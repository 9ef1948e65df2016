"""The codebooks of several rates in a run."""

from pathlib import Path

import pytest

from pipelines.chain.chain import rates
from pipelines.settings.run import run_settings
from tests.pipelines.tiny_chain import composed
from wordless.base.errors import InputError


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
