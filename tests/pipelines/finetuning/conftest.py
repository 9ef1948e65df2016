"""Recordings and fine-tuned models that several tests share."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.finetuning.job import finetune_body
from tests.pipelines.finetuning.tiny_finetuning import composed, write_tones


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """27 tones of three pitches."""
    return write_tones(tmp_path_factory.mktemp("tones") / "tones")


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """A finished fine-tuning."""

    folder: Path
    store: Path
    words: tuple[str, ...]


@pytest.fixture(scope="session")
def classifier(run_folder: Path, tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Finetuned:
    """A classifier of tones, with two shares of the labels."""
    place = tmp_path_factory.mktemp("classifier")
    words = (f"model={run_folder}", f"corpus.root={tones}", "shares=[0.5,1.0]")
    finetune_body(composed(*words, f"output={place / 'model'}", f"store.root={place / 'store'}"))
    return Finetuned(folder=place / "model", store=place / "store", words=words)
