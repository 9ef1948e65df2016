"""The experiment `claim` from an empty store, with tiny networks: every row, its protocol, and its untrained row."""

from pathlib import Path

import pytest

from pipelines.methods.methods_table import row_of
from pipelines.results.run_record import read_results
from tests.calling import python
from wordless.audio.views import Noise

SMALL = (
    *("embedded.voices=8", "embedded.words=6", "embedded.repetitions=4", "corpus.root=null", "quick=true"),
    *("tokenizer.codebook_size=16", "tokenizer.fit.steps=60", "tokenizer.fit.validate_every=30"),
    *("lm.fit.steps=20", "lm.fit.validate_every=10", "lm.fit.warmup_steps=2", "lm.views.warps=1"),
    *("denoising=tiny", "baselines=tiny", "probe.regularisation_strengths=3", "probe.resamples=50"),
    *("probe.learning_curve=[0.25,1.0]", "device=cpu", "threads=1", "tensorboard=false"),
)
FIT = ("fit.steps=20", "fit.validate_every=10", "fit.warmup_steps=2")
NETWORKS = ("denoising", "baselines.simclr", "baselines.supervised")


@pytest.mark.slow
def test_one_command_makes_every_row_with_its_untrained_row(tmp_path: Path) -> None:
    steps = [f"{network}.{word}" for network in NETWORKS for word in FIT]
    words = ("run", "experiment=claim", "name=claim", *SMALL, *steps)
    done = python("-m", "pipelines.cli", *words, cwd=tmp_path, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    found = read_results(tmp_path / "runs/claim")["comparison"]
    assert {*found.methods} >= {"bag_of_codes", "gpt", "denoising", "simclr", "supervised"}
    rows = [row_of(of) for of in found.methods]
    assert {row.untrained for row in rows if row.untrained} <= {*found.methods}
    assert {row.name for row in rows if row.kind in ("denoising", "self_supervised", "supervised")} == {
        row.name for row in rows if row.untrained and row.kind != "codes"
    }
    assert set(found.noises) == {Noise("white", 20.0), Noise("white", 10.0)}
    assert len(found.folds) == 2
    for of in found.methods:
        assert found.described[of]["reads"] in ("codes", "log-mel")
    report = (tmp_path / "runs/claim/report.html").read_text()
    assert "the code of the 0.16 s around" in report
