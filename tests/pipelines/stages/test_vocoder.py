"""Training of a tiny vocoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.stages.codes import codes
from pipelines.stages.options import VocoderSettings
from pipelines.stages.stored_arrays import waveforms
from pipelines.stages.vocoder import CodedIn, vocoder
from pipelines.store.session import Session
from pipelines.store.store import CURVE, Entry
from vocoder.options import CropsConfig
from vocoder.vocoder import Vocoder
from wordless.audio.recordings.manifest import Clip, Manifest, Split
from wordless.training.options import StartableFitConfig

RATE = 4000


def clip_of(folder: Path, name: str, seconds: float, level: float, *, split: Split, group: str | None) -> Clip:
    samples = level * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    soundfile.write(folder / name, samples, RATE)
    sizes = {"num_samples": len(samples), "sample_rate": RATE, "size": len(samples)}
    return Clip(path=name, sha256=name, split=split, group=group, **sizes)


def trained(own_session: Session, run_folder: Path, *clips: Clip) -> Entry:
    """One step, after which all trainings on the same training clips have the same weights."""
    manifest = Manifest(root=own_session.folder.parent, clips=clips)
    tokenizer = Entry(stage="tokenizer", key="tokenizer", folder=run_folder / "tokenizer", reused=True)
    settings = VocoderSettings(
        wavenet=replace(Vocoder.from_pretrained(run_folder / "vocoder").model.config, groups=()),
        crops=CropsConfig(batch_size=2, crop_codes=20),  # longer than the clips, so that each crop is a whole clip
        condition_on_groups=False,
        codebook_sizes=None,
        fit=StartableFitConfig(steps=1, lr=0.1, warmup_steps=0, precision="fp32"),
    )
    coded = CodedIn(tokenizer=tokenizer, codes=codes(own_session, manifest, tokenizer))
    return vocoder(own_session, manifest, [coded], waveforms(own_session, manifest, RATE), settings)


def test_each_group_weighs_the_same_in_the_validation_loss(
    own_session: Session, run_folder: Path, tmp_path: Path
) -> None:
    train = clip_of(tmp_path, "train.wav", 0.1, 0.1, split="train", group="carl")
    long = clip_of(tmp_path, "long.wav", 0.2, 0.003, split="validation", group="anna")
    short = clip_of(tmp_path, "short.wav", 0.05, 0.3, split="validation", group="ben")
    losses = {
        name: trained(own_session, run_folder, train, *held_out).read_json(CURVE)["curve"][0]["validation_loss"]
        for name, held_out in {
            "anna": [long],
            "ben": [short],
            "both": [long, short],
            "one": [long, replace(short, group="anna")],
            "none": [replace(long, group=None), replace(short, group=None)],
        }.items()
    }
    assert losses["both"] == pytest.approx((losses["anna"] + losses["ben"]) / 2, rel=1e-5)
    assert abs(losses["anna"] - losses["ben"]) > 0.1
    assert losses["one"] == losses["none"]  # the mean over samples, to which the long clip contributes more
    assert abs(losses["one"] - losses["anna"]) < abs(losses["one"] - losses["ben"])
