"""The stage that probes stored features: what it writes, reuses, leaves out and refuses."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from lm.probing.probe_options import ProbeConfig
from lm.probing.task import require_labels
from pipelines.methods.methods_table import METHODS
from pipelines.results.probes import Probed, Probes, side_by_side_probes
from pipelines.stages.probing import probed, require_probeable, scored
from pipelines.store.stage import Session, StageRun, stage
from pipelines.store.store import CachedArtifact
from pipelines.store.stored_features import FEATURES, StoredFeatures, method_of_key, side_by_side_features
from tests.pipelines.tiny import silent_session
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.audio.recordings.splits import folds
from wordless.base.messages import InputError

CONFIG = ProbeConfig(
    layer_regularisation_strengths=2, regularisation_strengths=5, resamples=50, learning_curve=(0.1, 1.0)
)
SPEAKERS = ("ann", "bob", "cem", "dee")
WORDS = ("one", "six", "two")


def corpus() -> Clips:
    """Each speaker says each word; every 20th clip has no label."""
    labels = [None if number % 20 == 19 else WORDS[number % 3] for number in range(240)]
    groups = [SPEAKERS[number // 3 % 4] for number in range(240)]
    rows = enumerate(zip(labels, groups, strict=True))
    sizes = {"num_samples": 1, "sample_rate": 8000}
    clips = (Clip(path=f"{n:03}.wav", sha256=str(n), label=each, group=group, **sizes) for n, (each, group) in rows)
    return Clips.from_rows(Path("here"), clips)


def held_out(manifest: Clips) -> Clips:
    """Ann held out for test."""
    return folds(manifest, "group")[0]


def signal(manifest: Clips, *, noise: float, seed: int = 0) -> np.ndarray:
    """Features that tell the word, the less the more noise."""
    rng = np.random.default_rng(seed)
    means = np.random.default_rng(0).standard_normal((3, 6))
    words = [WORDS.index(clip.label) if clip.label else 0 for clip in manifest.clips]
    return (means[words] + noise * rng.standard_normal((len(words), 6))).astype(np.float32)


def representations(manifest: Clips) -> dict[str, np.ndarray]:
    return {
        "log_mel:mean": signal(manifest, noise=3),
        "gpt/layer_1:mean": signal(manifest, noise=2, seed=1),
        "gpt/layer_2:mean": signal(manifest, noise=0.5, seed=2),
        "gpt/layer_10:mean": signal(manifest, noise=1, seed=3),
        "gpt/all_layers:mean": signal(manifest, noise=1.5, seed=4),
    }


@stage("features", title="{name}", keys={"tensors": lambda tensors: None})
def stored(run: StageRun, name: str, tensors: Mapping[str, np.ndarray], file: str = "features") -> None:
    """Write features, as other stages do."""
    save_file(dict(tensors), run.folder / f"{file}.safetensors")


def by_method(artifacts: Sequence[CachedArtifact]) -> dict[str, CachedArtifact]:
    """The artifact of each method of some features."""
    return {
        method_of_key(key): artifact for artifact in artifacts for key in StoredFeatures.of(artifact.folder / FEATURES)
    }


def together(
    session: Session,
    manifest: Clips,
    artifacts: Sequence[CachedArtifact],
    config: ProbeConfig,
    scores: Mapping[str, CachedArtifact] | None = None,
) -> Probed:
    told = {name for name, method in METHODS.items() if method.learns_labels}
    features = by_method(artifacts)
    probes = [probed(session, manifest, config, of, {of: each}, labelled=of in told) for of, each in features.items()]
    heads = [scored(session, manifest, config, of, network) for of, network in (scores or {}).items()]
    return side_by_side_probes(manifest, config, [*probes, *heads])


def test_every_method_has_as_many_regularisation_strengths_and_the_best_layer_is_chosen(tmp_path: Path) -> None:
    manifest, session = held_out(corpus()), silent_session(tmp_path)
    artifact = stored(session, "features", representations(manifest))
    found: Any = together(session, manifest, [artifact], CONFIG)
    rows = {row["of"]: row for row in found["methods"]}
    assert {(row["layer_regularisation_strengths"], row["regularisation_strengths"]) for row in rows.values()} == {
        (2, 5)
    }
    assert found["choose_by"] == "validation"  # the 12 clips that are not tested are of three speakers
    gpt = rows["gpt"]
    assert gpt["chosen"] == "gpt/layer_2:mean"
    layers = ("all_layers", "layer_1", "layer_2", "layer_10")
    assert [each["of"] for each in gpt["candidates"]] == [f"gpt/{layer}:mean" for layer in layers]
    tested = [clip for clip in manifest.of("test") if clip.label]
    assert found["clips"] == [clip.path for clip in tested]
    assert found["truth"] == tuple(clip.label for clip in tested)
    assert found["groups"] == ["ann"] * len(tested)
    assert found["unlabelled"] == 12
    assert found["validation_truth"] == tuple(clip.label for clip in manifest.of("validation") if clip.label)
    for split, accuracy in (("", "test_accuracy"), ("validation_", "validation_accuracy")):
        answered = zip(gpt[f"{split}predictions"], found[f"{split}truth"], strict=True)
        assert gpt[accuracy] == pytest.approx(np.mean([one == other for one, other in answered]))
    assert [point["share"] for point in gpt["learning_curve"]] == [0.1, 1.0]
    assert gpt["learning_curve"][1]["test_accuracy"] == gpt["test_accuracy"]


def test_networks_that_know_the_labels_are_probed_with_all_of_them_and_chosen_by_validation_clips_alone(
    tmp_path: Path,
) -> None:
    """Cross-validation would ask them about speakers whose labels they have learned."""
    manifest, session = held_out(corpus()), silent_session(tmp_path)
    methods = ("ast", "simclr", "supervised")
    artifact = stored(session, "features", {f"{of}:mean": signal(manifest, noise=2) for of in methods})
    chosen: dict[str, dict[str, Any]] = {}
    for choose_by in ("validation", "group"):
        config = replace(CONFIG, choose_by=choose_by)
        rows = together(session, manifest, [artifact], config)["methods"]
        shares = {row["of"]: [point["share"] for point in row["learning_curve"]] for row in rows}
        assert shares == {"ast": [1.0], "simclr": [0.1, 1.0], "supervised": [1.0]}
        chosen[choose_by] = {row["of"]: (row["validation_accuracy"], row["inverse_regularisation"]) for row in rows}
    assert chosen["group"]["supervised"] == chosen["validation"]["supervised"]
    assert chosen["group"]["simclr"][0] != chosen["validation"]["simclr"][0]


def test_entries_are_put_together_and_scores_of_a_head_stand_beside_them(tmp_path: Path) -> None:
    manifest, session = held_out(corpus()), silent_session(tmp_path)
    all_of_them = representations(manifest)
    parts = [
        stored(session, part, {key: value for key, value in all_of_them.items() if key.startswith(part)})
        for part in ("gpt", "log")
    ]
    right = np.array([[clip.label == word for word in WORDS] for clip in manifest.clips], np.float32)
    head = stored(session, "head", {"scores": right}, file="scores")
    rows = {row["of"]: row for row in together(session, manifest, parts, CONFIG, {"supervised_head": head})["methods"]}
    assert {of: row["regularisation_strengths"] for of, row in rows.items()} == {
        "gpt": 5,
        "log_mel": 5,
        "supervised_head": 0,
    }
    assert rows["supervised_head"]["test_accuracy"] == 1
    assert (rows["supervised_head"]["inverse_regularisation"], rows["supervised_head"]["candidates"]) == (None, [])
    again = scored(session, manifest, CONFIG, "supervised_head", head)
    assert (again.reused, again.key) == (True, rows["supervised_head"]["artifact"])


def test_several_labels_are_probed_and_compared(tmp_path: Path) -> None:
    plain, session, config = held_out(corpus()), silent_session(tmp_path), replace(CONFIG, label_separator=";")
    labels = [clip.label and f"{clip.label};{'soft' if int(clip.path[:3]) % 2 else 'loud'}" for clip in plain.clips]
    artifact = stored(session, "features", representations(plain))
    found = together(session, plain.with_columns(label=labels), [artifact], config)
    assert found["classes"] == ("loud", "one", "six", "soft", "two")
    compared = Probes({("ann", 0): found}, config, by="split").comparison()
    assert compared.metric == "mean_average_precision"
    rows: Any = found["methods"]
    for row in rows:
        assert compared.tested[row["of"]].value == pytest.approx(row["mean_average_precision"], abs=1e-3)


def test_folds_that_cannot_be_probed_are_refused_before_anything_is_trained() -> None:
    """A class that no training clip of a fold has: the remedy of a single split is the option of splits."""
    manifest = corpus()
    (unlabelled,) = require_probeable(folds(manifest, "group"), CONFIG, by="group")
    assert re.search(r"\b12 of 240 clips\b.*\blabel\b", unlabelled)
    labels = ["rare" if clip.group in ("bob", "cem") and clip.label == "six" else clip.label for clip in manifest.clips]
    told = r"'bob' held out\b.*\b1 of 4 classes\b.*\btrain\b.*\brare\b.*\b3 groups"
    with pytest.raises(InputError, match=told) as refused:
        require_probeable(folds(manifest.with_columns(label=labels), "group"), CONFIG, by="group")
    assert "corpus.split" not in str(refused.value)
    fold = held_out(manifest)
    labels = ["rare" if clip.split == "test" else clip.label for clip in fold.clips]
    with pytest.raises(InputError, match=r"\btrain\b.*\brare\b.*corpus\.split\b") as refused:
        require_probeable([replace(fold.with_columns(label=labels), name="test")], CONFIG, by=None)
    assert not re.search("fold|group|held out", str(refused.value))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([None, None], r"\b2 of 2 recordings\b.*label"),
        (["only", "only"], r"\b2 recordings\b.*'only'.*\b2\b"),
        (["only", None], r"\b1 recording\b.*'only'"),
    ],
)
def test_labels_that_tell_nothing_are_refused(labels: list[str | None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        require_labels(labels)


def test_all_layers_of_each_network_are_probed_with_its_input_beside_them(tmp_path: Path) -> None:
    manifest, session = held_out(corpus()), silent_session(tmp_path)
    tensors = {
        **representations(manifest),
        "gpt/all_layers:thirds": signal(manifest, noise=2, seed=5),  # under a pooling that the codes do not have
        "bag_of_codes:mean": signal(manifest, noise=3, seed=6),
        "simclr/all_blocks:mean": signal(manifest, noise=2, seed=7),
        "simclr/block_1:mean": signal(manifest, noise=2, seed=8),
    }
    del tensors["log_mel:mean"]
    log_mel = {f"log_mel/{name}:mean": signal(manifest, noise=3, seed=9) for name in ("as_heard", "as_recorded")}
    features = by_method([stored(session, "features", tensors), stored(session, "more", log_mel)])

    def candidates(of: str, *beside: str) -> list[str]:
        read = {each: features[each] for each in (of, *beside) if each in features}
        return sorted(
            each["of"] for each in probed(session, manifest, CONFIG, of, read).read_json("probe.json")["candidates"]
        )

    layers = ["gpt/layer_10:mean", "gpt/layer_1:mean", "gpt/layer_2:mean"]
    plain = ["gpt/all_layers:mean", "gpt/all_layers:thirds", *layers]
    assert candidates("gpt") == plain
    assert candidates("gpt", "bag_of_codes") == [*plain[:2], "gpt/all_layers_with_input:mean", *layers]
    assert candidates("simclr") == ["simclr/all_blocks:mean", "simclr/block_1:mean"]
    both = ["simclr/all_blocks:mean", "simclr/all_blocks_with_input:mean", "simclr/block_1:mean"]
    assert candidates("simclr", "log_mel") == both
    found = {of: StoredFeatures.of(features[of].folder / FEATURES, of) for of in ("simclr", "log_mel")}
    beside = found["simclr"].with_input(found["log_mel"])["simclr/all_blocks_with_input:mean"]
    wanted = np.hstack([tensors["simclr/all_blocks:mean"], log_mel["log_mel/as_heard:mean"]])
    np.testing.assert_array_equal(beside, wanted)
    # Methods side by side have all layers of both under each pooling of both, and then the inputs of both.
    read = ("gpt", "simclr")
    assert candidates("gpt+simclr", *read) == ["gpt+simclr/all_parts:mean"]
    several = ["gpt+simclr/all_parts:mean", "gpt+simclr/all_parts_with_input:mean"]
    assert candidates("gpt+simclr", *read, "bag_of_codes", "log_mel") == several
    own = [StoredFeatures.of(features[of].folder / FEATURES, of) for of in (*read, "bag_of_codes", "log_mel")]
    beside = side_by_side_features("gpt+simclr", own[:2]).with_input(side_by_side_features("input", own[2:]))[
        several[1]
    ]
    parts = [tensors[f"{each}:mean"] for each in ("gpt/all_layers", "simclr/all_blocks", "bag_of_codes")]
    np.testing.assert_array_equal(beside, np.hstack([*parts, log_mel["log_mel/as_heard:mean"]]))


def test_intervals_of_layers_and_curves_are_over_speakers_as_those_of_the_table(tmp_path: Path) -> None:
    """Of 40 speakers, 24 are tested."""
    splits, groups = ("train", "validation", "test", "test", "test"), [number // 6 for number in range(240)]
    session, manifest = silent_session(tmp_path), corpus()
    manifest = manifest.with_columns(group=[*map(str, groups)], split=[splits[group % 5] for group in groups])
    artifacts = [stored(session, "features", representations(manifest))]
    found = together(session, manifest, artifacts, CONFIG)
    compared = Probes({("test", CONFIG.seed): found}, CONFIG, by="split").comparison()
    assert compared.over == "groups"
    for of, row in compared.tested.items():
        record = next(each for each in found["methods"] if each["of"] == of)
        layer = next(each for each in record["candidates"] if each["of"] == record["chosen"])
        assert layer["low"] < layer["test_accuracy"] < layer["high"]
        assert (record["low"], record["high"]) == pytest.approx((row.low, row.high))
        assert len(record["learning_curve"][-1]["values"]) == 24  # speakers
