"""Names of trainings, and their options in keys."""

from dataclasses import replace
from typing import Literal

import pytest

from pipelines.store.training_curve import numeric, training_name
from training.state import FitConfig


def test_a_training_is_one_folder_whatever_its_fold_is_called() -> None:
    assert training_name("lm") == "language model"
    assert training_name("vocoder") == "vocoder"
    assert training_name("ast", "../anna/b, seed 0") == "AST .._anna_b, seed 0"


@pytest.mark.parametrize(("there", "precision"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_is_in_a_key_as_what_it_means_here(
    there: bool, precision: Literal["bf16", "fp32"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.state.multiplies_bf16", lambda: there)
    config = FitConfig(steps=1, lr=0.1, precision="auto")
    assert numeric(config) == numeric(replace(config, precision=precision))
