"""A run on recordings that begin in silence, as people record words: the classifier recognises the originals."""

import json
from pathlib import Path

import pytest

from pipelines.results.sound_figures import TOO_WEAK
from tests.pipelines.tiny_chain import called

# A small vocoder and tokenizer, and a classifier of fewer channels and more steps than usual: 5 minutes of a core.
WORDS = (
    *("tokenizer=tiny", "vocoder=tiny", "stages=[vocoder]", "listening.clips=3"),
    "listening.judge=supervised",
    *("baselines.encoder.channels=[16,32,64,128]", "baselines.supervised.batches.batch_size=32"),
    *("baselines.supervised.fit.steps=400", "baselines.supervised.fit.lr=0.002"),
    "baselines.supervised.fit.validate_every=100",
)


@pytest.mark.slow
def test_the_originals_of_wake_words_are_recognised(wake_words: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    places = (f"corpus.root={wake_words}", f"store.root={tmp_path / 'store'}", f"hydra.run.dir={run}")
    done = called(*places, *WORDS)
    assert done.returncode == 0, done.stderr
    results = json.loads((run / "results.json").read_text())
    figures = {(row["name"], row["of"]): row["value"] for row in results["figures"]}
    assert figures["label_accuracy", "original"] >= 0.9 > TOO_WEAK
    assert results["listening"]["warning"] is None
    excerpts = results["listening"]["excerpts"]
    assert len([row for row in excerpts if row["start"] > 0]) > len(excerpts) / 2
