"""How the language model's batches are fitted to the codes that there are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lm.batches import CodeSequences
from pipelines.settings.run import run_settings
from tests.pipelines.tiny_chain import composed
from wordless.base.errors import InputError

SEQUENCES = CodeSequences.of([[np.zeros((100, 1), np.int32)] for _ in range(5)])


@pytest.mark.parametrize(
    ("batch_tokens", "accumulation", "processes", "windows"),
    [(100_000, 1, 3, 48), (1000, 1, 1, 8), (1000, 1, 2, 8), (1000, 3, 1, 6), (1000, 3, 2, 6), (1, 1, 4, 4)],
)
def test_windows_of_a_step_can_be_shared(
    batch_tokens: int, accumulation: int, processes: int, windows: int, tmp_path: Path
) -> None:
    settings = run_settings(composed(tmp_path, "lm.batches.batch_size=48")).lm
    settings = replace(settings, batch_tokens=batch_tokens, fit=replace(settings.fit, accumulation=accumulation))
    assert settings.fitting(SEQUENCES, 100, streams=1, processes=processes).batch_size == windows


def test_processes_that_cannot_share_so_few_windows_are_told_what_to_change(tmp_path: Path) -> None:
    settings = replace(run_settings(composed(tmp_path, "lm.batches.batch_size=48")).lm, batch_tokens=1000)
    with pytest.raises(InputError, match=r"lm\.batch_tokens\b.*\b1000\b.*\b3 processes\b.*\b4800\b"):
        settings.fitting(SEQUENCES, 100, streams=1, processes=3)
