"""Names of trainings."""

from pipelines.store.training_curve import training_name


def test_a_training_is_one_folder_whatever_its_fold_is_called() -> None:
    assert training_name("lm") == "language model"
    assert training_name("vocoder") == "vocoder"
    assert training_name("ast", "../anna/b, seed 0") == "AST .._anna_b, seed 0"
