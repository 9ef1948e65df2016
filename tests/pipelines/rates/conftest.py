"""A run of three rates."""

from pathlib import Path

import pytest

from tests.pipelines.tiny import save_rates_run


@pytest.fixture(scope="session")
def rates_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Codes of 8, 4 and 2 frames; the finest are those of the fixture ``run_folder``."""
    return save_rates_run(tmp_path_factory.mktemp("rates") / "run", seed=0)
