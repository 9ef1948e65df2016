"""The experiments about hours of pre-training and about the plain conditions, whole and small."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.results.run_record import read_results
from tests.pipelines.tiny_chain import called

RATE = 8000
SPEAKERS = {"ann": 1.0, "bob": 1.1, "cem": 1.2, "dee": 1.3}
SMALL = (
    *("tokenizer.codebook_size=8", "tokenizer.sample_patches=300", "tokenizer.fit.steps=4"),
    *(
        "lm.fit.steps=4",
        "lm.fit.validate_every=2",
        "lm.batches.batch_size=4",
        "lm.gpt.model_dim=16",
        "lm.gpt.ffn_dim=32",
    ),
    *("lm.gpt.layers=2", "baselines=tiny", "baselines.simclr.fit.steps=2", "baselines.supervised.fit.steps=2"),
    *("probe.resamples=10", "quick=true", "threads=1", "workers=1", "parallel=1", "tracking=[]"),
    *(f"{part}.fit.warmup_steps=1" for part in ("tokenizer", "lm", "baselines.simclr", "baselines.supervised")),
)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two digits by four speakers, named as those of FSDD."""
    root = tmp_path_factory.mktemp("digits")
    for digit, pitch in (("0", 300), ("1", 900)):
        for speaker, factor in SPEAKERS.items():
            for take in range(3):
                time = np.arange(round(RATE * (0.3 + 0.05 * take))) / RATE
                noise = np.random.default_rng([take, pitch, len(speaker)]).normal(0, 0.02, len(time))
                sound = 0.3 * np.sin(2 * np.pi * pitch * factor * time) + noise
                soundfile.write(root / f"{digit}_{speaker}_{take}.wav", sound, RATE)
    return root


@pytest.mark.slow
def test_the_plain_conditions(digits: Path, tmp_path: Path) -> None:
    words = ("experiment=paper_conditions", f"corpus.root={digits}", f"store.root={tmp_path / 'store'}")
    done = called(*words, *SMALL, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    comparison = read_results(tmp_path / "run")["comparison"]
    assert comparison.folds == ["ann", "cem"]
    assert {"gpt", "simclr", "supervised_head", "bag_of_codes", "log_mel"} <= {*comparison.methods}


@pytest.mark.slow
def test_hours_of_pretraining_are_swept_over(digits: Path, tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    for number in range(8):
        noise = np.random.default_rng(number).normal(0, 0.1, RATE)
        soundfile.write(others / f"{number}.wav", noise, RATE)
    hours = "unlabelled_hours=0,0.001,0.002"  # 0, 3.6 and 7.2 of 8 seconds
    words = ("-m", "experiment=pretraining_hours", f"corpus.root={digits}", f"unlabelled=[{others}]", hours)
    done = called(*words, *SMALL, f"store.root={tmp_path / 'store'}", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert done.returncode == 0, done.stderr
    runs = [read_results(path.parent) for path in sorted(tmp_path.glob("sweep/*/results.json"))]
    notices = [" ".join(run["corpus"].get("notices", [])) for run in runs]
    assert ["also trained on" in notice for notice in sorted(notices)] == [False, True, True]
    assert all({"gpt", "simclr"} <= {*run["comparison"].methods} for run in runs)
    page = (tmp_path / "sweep/sweep.html").read_text()
    assert "GPT" in page
    assert "SimCLR" in page
