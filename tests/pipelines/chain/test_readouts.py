"""Methods that read codes read nothing else."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from pipelines.methods.methods_table import METHODS
from pipelines.store.store import CachedArtifact
from pipelines.store.stored_features import FEATURES, StoredFeatures
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import make_one
from tokenizer.tokenizer import Tokenizer

SOUND = ("denoising=tiny", "denoising.fit.steps=2", "denoising.fit.validate_every=1", "tokenizer.patch.mels=20")
READING = (
    *("stages=[probe]", "compare.input=true", "compare.states=[residual,inner]", "compare.test_time_augmentation=2"),
    *("compare.noise=white", "compare.noise_snr=[10]", "probe.learning_curve=[]"),
)
RATES = ("tokenizer.rates=[4,2]",)
# What is fitted to bottlenecks, and so made before they move.
TOKENIZERS = ("frame_sample", "augmented_sample", "sample", "autoencoder", "tokenizer", "pitches", "rate_tokenizer")
OF_CODES = {name: method for name, method in METHODS.items() if method.reads_codes}


def moved_within_cells(bottlenecks: Tensor, tokenizer: Tokenizer) -> Tensor:
    """Move bottlenecks ``(..., bands, dim)`` half of the way to their centroid: a cell of Voronoi is convex."""
    nearest = tokenizer.centroids[tokenizer.nearest(bottlenecks)]
    return nearest + 0.5 * (bottlenecks - nearest)


def features_of(made: Mapping[str, CachedArtifact], method: str) -> dict[str, np.ndarray]:
    return dict(StoredFeatures.of(made[f"{method}_features"].folder / FEATURES, method))


@pytest.mark.parametrize("more", [(), RATES], ids=["one rate", "several rates"])
def test_nothing_but_codes_reaches_a_method_that_reads_codes(
    more: tuple[str, ...], finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bottlenecks move within the cells of their codes. No vector, in training or in probes, changes by a bit."""
    of_rates = {name for name, method in OF_CODES.items() if method.rate in (1, 2)}
    methods = of_rates if more else {name for name, method in OF_CODES.items() if not method.rate}
    words = (*READING, *SOUND, *more, f"compare.methods=[{','.join(sorted({*methods, 'bottleneck'}))}]")
    before = make_one(finished_run.manifest, tmp_path / "before", *words)
    for stage in TOKENIZERS:
        if (made := tmp_path / "before" / stage).is_dir():
            shutil.copytree(made, tmp_path / "after" / stage)
    own = Tokenizer.bottlenecks
    monkeypatch.setattr(Tokenizer, "bottlenecks", lambda self, frames: moved_within_cells(own(self, frames), self))
    after = make_one(finished_run.manifest, tmp_path / "after", *words)
    changed = set[str]()
    for name in (*methods, "bottleneck"):
        then, now = features_of(before, name), features_of(after, name)
        assert then.keys() == now.keys()
        if any(not np.array_equal(then[key], now[key]) for key in then):
            changed.add(name)
    assert changed == {"bottleneck"}


def test_each_trained_row_names_its_untrained_row() -> None:
    trained = {name: m for name, m in METHODS.items() if m.training or m.reads}
    assert {name for name, method in trained.items() if method.untrained not in METHODS} == set()
