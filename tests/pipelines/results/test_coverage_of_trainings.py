"""Which trainings of a run took the steps that follow from its recordings."""

import pytest

from pipelines.results.results import steps_follow
from tests.pipelines.tiny_chain import config_of


@pytest.mark.parametrize(
    ("name", "follows"),
    [
        ("lm", False),
        ("rate_1_lm", False),
        ("simclr", False),
        ("autoencoder", True),
        ("rate_2_autoencoder", True),
        ("vocoder", True),
        ("denoising", True),
        ("supervised", True),
        ("ast", False),  # its default is a number
        ("next_sample_wavenet", False),
    ],
)
def test_steps_that_are_given_do_not_follow(name: str, follows: bool) -> None:
    config = config_of("run", "corpus.root=x", "lm.fit.steps=300", "baselines.simclr.fit.steps=40")
    assert steps_follow(name, {"config": config}) == follows
    assert not steps_follow(name, {})
