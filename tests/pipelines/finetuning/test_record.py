"""The table of a fine-tuning: shares of the labels, and figures that are not known."""

import json
import math

import pytest

from lm.heads.head import Figure
from pipelines.finetuning.job import as_markdown, named_figures, summary


def test_shares_below_a_percent_have_names_of_their_own() -> None:
    figures = [{"name": "accuracy", "value": 0.5, "text": "50.0%"}]
    shares = (0.001, 0.004, 0.005, 0.015, 0.02, 0.07, 1.0)
    rows = [{"of": "fine-tuned", "share": share, "clips": 3, "figures": figures} for share in shares]
    assert list(named_figures(rows)) == [
        *(f"fine-tuned, {share}/accuracy" for share in ("0.1%", "0.4%", "0.5%", "1.5%", "2%", "7%")),
        "fine-tuned/accuracy",
    ]
    assert "| fine-tuned | 0.4%: 3 clips | 50.0% |" in as_markdown(rows)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_not_known_is_null_in_json_and_a_dash_in_the_table(value: float) -> None:
    (row,) = summary([], [Figure(name="R2", value=value, low=value, high=value)], confidence=0.95)
    assert row["figures"] == [{"name": "R2", "value": None, "low": None, "high": None, "text": "–"}]
    json.dumps(row, allow_nan=False)
    assert named_figures([row]) == {}
