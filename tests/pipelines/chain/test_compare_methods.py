"""Methods that a run compares: rows of AST, keys of the baselines, and a method with the features of another."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lm.probing.vectors import POOLINGS
from pipelines.chain import method_vectors
from pipelines.chain.trial import Trial
from pipelines.methods.method import Method
from pipelines.stages.features import frame_features
from pipelines.store.store import CachedArtifact
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import make_one
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError

AST = (
    *("stages=[probe]", "compare.methods=[ast,random_ast]", "probe.learning_curve=[]"),
    *("ast.model.patches=3", "ast.batches.batch_size=4", "ast.batches.max_frames=40"),
    *("ast.fit.steps=2", "ast.fit.warmup_steps=1", "ast.fit.validate_every=1"),
)


def records(made: Mapping[str, CachedArtifact]) -> dict[str, Any]:
    """What the probe of each method has recorded."""
    probes = [artifact.read_json("probe.json") for name, artifact in made.items() if name.startswith("probed_")]
    return {row["of"]: row for row in probes}


def test_ast_its_head_and_an_untrained_one_are_probed(finished_run: FinishedRun, tmp_path: Path) -> None:
    made = make_one(finished_run.manifest, tmp_path, *AST)
    rows = records(made)
    assert {of: row["regularisation_strengths"] for of, row in rows.items()} == {
        "ast": 3,
        "random_ast": 3,
        "ast_head": 0,
    }
    layers = {f"layer_{layer}:{pooling}" for layer in (4, 8, 12) for pooling in POOLINGS}
    for of in ("ast", "random_ast"):
        wanted = {f"{of}/{name}" for name in {*layers, "class_token:mean"}}
        assert {each["of"] for each in rows[of]["candidates"]} == wanted
    assert len(rows["ast_head"]["predictions"]) == len(rows["ast"]["predictions"]) > 0


def test_baselines_are_the_same_for_all_patches_and_seeds_of_their_sample(
    finished_run: FinishedRun, tmp_path: Path
) -> None:
    baselines = ("simclr", "supervised", "random_conv", "log_mel")
    words = ("stages=[probe]", f"compare.methods=[{','.join(baselines)},bottleneck]", "probe.learning_curve=[]")
    patches = ("tokenizer.patch.frames=3", "tokenizer.sample_patches=400")
    first, second = (make_one(finished_run.manifest, tmp_path, *words, *more) for more in ((), patches))
    same = {name for name, artifact in first.items() if artifact.key == second[name].key}
    networks = ("spectrograms", "simclr", "supervised", "pitches")
    assert same == {
        *networks,
        *(f"{of}_features" for of in baselines),
        *(f"probed_{of}" for of in baselines),
        "probed_supervised_head",
    }
    assert all(second[name].reused for name in same)


def test_methods_side_by_side_are_probed_and_share_what_reads_no_codes(
    finished_run: FinishedRun, tmp_path: Path
) -> None:
    methods = "denoising,simclr,supervised,denoising+simclr,random_denoising+random_conv"
    words = ("stages=[probe]", f"compare.methods=[{methods}]", "compare.input=true", "probe.learning_curve=[]")
    sound = ("denoising=tiny", "denoising.fit.steps=2", "denoising.fit.validate_every=1", "tokenizer.patch.mels=20")
    first, second = (
        make_one(finished_run.manifest, tmp_path, *words, *sound, f"tokenizer.codebook_size={size}") for size in (8, 4)
    )
    rows = records(first)
    assert {*rows} == {*methods.split(","), "supervised_head"}
    of = "denoising+simclr"
    wanted = {f"{of}/all_parts{more}:{pooling}" for more in ("", "_with_input") for pooling in POOLINGS}
    assert {each["of"] for each in rows[of]["candidates"]} == wanted
    reused = {name for name, artifact in first.items() if artifact.key == second[name].key}
    networks = {f"{name}{more}" for name in ("simclr", "supervised") for more in ("", "_features")}
    probes = {"probed_simclr", "probed_supervised", "random_conv_features", "log_mel_features"}
    assert reused >= {"spectrograms", *networks, *probes}
    assert not reused & {"denoising", "probed_denoising+simclr"}


def _samples(samples: FloatArray) -> FloatArray:
    return samples[:, None]


def _copied(trial: Trial, method: Method) -> CachedArtifact:
    """Make features under the name of another method, as a copied function does."""
    return frame_features(trial.session, trial.reading, partial(_samples), method="mfcc")


def test_features_with_the_name_of_another_method_are_refused(
    finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(method_vectors.VECTORS_OF_METHODS, "frames", _copied)
    with pytest.raises(InputError, match=r"\bchroma\b.*\bmfcc\b.*\bchroma:mean\b"):
        make_one(finished_run.manifest, tmp_path, "stages=[probe]", "compare.methods=[chroma]")
