"""Names of trainings, and their options in keys."""

import pytest

from pipelines.store.training_curve import numeric, training_name
from wordless.training.options import FitConfig


def test_a_training_is_one_folder_whatever_its_fold_is_called() -> None:
    assert training_name("lm") == "language model"
    assert training_name("vocoder") == "vocoder"
    assert training_name("ast", "../anna/b, seed 0") == "AST .._anna_b, seed 0"


def test_a_key_names_a_precision() -> None:
    assert numeric(FitConfig(steps=1, lr=0.1, precision="bf16"))["precision"] == "bf16"
    with pytest.raises(ValueError, match="precision=auto"):
        numeric(FitConfig(steps=1, lr=0.1, precision="auto"))
