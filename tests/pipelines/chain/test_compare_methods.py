"""Methods that a run compares: rows of AST, keys of the baselines, and a method with the features of another."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lm.options import POOLINGS
from pipelines.chain import features
from pipelines.chain.chain import make_part
from pipelines.chain.study import Study
from pipelines.methods.method import Method
from pipelines.settings.run_rules import run_settings
from pipelines.stages.features import frame_features
from pipelines.store.store import Entry
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny import silent_session
from tests.pipelines.tiny_chain import composed
from wordless.base.array_types import FloatArray
from wordless.base.errors import InputError
from wordless.training.fit import with_precision

WORDS = (
    *("stages=[probe]", "compare.methods=[ast,random_ast]", "probe.learning_curve=[]"),
    *("ast.model.patches=3", "ast.batches.batch_size=4", "ast.batches.max_frames=40"),
    *("ast.fit.steps=2", "ast.fit.warmup_steps=1", "ast.fit.validate_every=1"),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ast") / "store"


def entries_of(run: FinishedRun, store: Path, *words: str) -> dict[str, Entry]:
    """The entries of a run on the same recordings, by stage."""
    session = silent_session(store.parent)
    manifest = run.manifest
    settings = with_precision(run_settings(composed(store, *words)), session.gang)
    return make_part(session, manifest, settings)


@pytest.fixture(scope="module")
def made(finished_run: FinishedRun, store: Path) -> dict[str, Entry]:
    """The entries of a run of AST alone, by stage."""
    return entries_of(finished_run, store, *WORDS)


def probed(made: dict[str, Entry]) -> dict[str, dict[str, Any]]:
    rows: Any = made["probe"].read_json("probe.json")["methods"]
    return {row["of"]: row for row in rows}


def test_ast_its_head_and_an_untrained_one_are_probed(made: dict[str, Entry]) -> None:
    rows = probed(made)
    assert {of: row["penalties"] for of, row in rows.items()} == {"ast": 3, "random_ast": 3, "ast_head": 0}
    layers = {f"layer_{layer}:{pooling}" for layer in (4, 8, 12) for pooling in POOLINGS}
    for of in ("ast", "random_ast"):
        assert {each["of"] for each in rows[of]["candidates"]} == {
            f"{of}/{name}" for name in {*layers, "class_token:mean"}
        }
    assert len(rows["ast_head"]["predictions"]) == len(rows["ast"]["predictions"]) > 0


def test_baselines_are_the_same_for_all_patches_and_seeds_of_their_sample(
    finished_run: FinishedRun, tmp_path: Path
) -> None:
    baselines = ("simclr", "supervised", "random_conv", "log_mel")
    words = ("stages=[probe]", f"compare.methods=[{','.join(baselines)},bottleneck]", "probe.learning_curve=[]")
    patches = ("tokenizer.patch.frames=3", "tokenizer.sample_patches=400")
    first, second = (entries_of(finished_run, tmp_path / "store", *words, *more) for more in ((), patches))
    same = {name for name, entry in first.items() if entry.key == second[name].key}
    networks = ("spectrograms", "simclr", "supervised", "pitches")
    assert same == {*networks, *(f"{of}_features" for of in baselines), *(f"probed_{of}" for of in baselines)}
    assert all(second[name].reused for name in same)


def _samples(samples: FloatArray) -> FloatArray:
    return samples[:, None]


def _copied(study: Study, method: Method) -> Entry:
    """Make features under the name of another method, as a copied function does."""
    return frame_features(study, partial(_samples), method="mfcc")


def test_features_with_the_name_of_another_method_are_refused(
    finished_run: FinishedRun, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "chroma", _copied)
    message = r"\bchroma\b.*\bmfcc\b.*\bchroma:mean\b"
    with pytest.raises(InputError, match=message):
        entries_of(finished_run, store, "stages=[probe]", "compare.methods=[chroma]")
