"""A comparison over folds: its figures, and who hears what."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipelines.results.run_record import count_codes, read_results, where
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import artifacts, make_one, run
from tokenizer.parquet import read_codes
from wordless.audio.recordings.manifest import Clips
from wordless.audio.recordings.splits import folds
from wordless.base.messages import InputError

SOUND = ("denoising=tiny", "denoising.fit.steps=4", "denoising.fit.validate_every=2")
FOLDS = (
    *("stages=[tokenizer,lm,probe,report]", "compare.folds=group", "quick=true"),
    "lm.views.warps=1",
    *("audio.dynamic_range=40", "tokenizer.views.dynamic_ranges=[30,50]", "lm.views.dynamic_ranges=[30,50]"),
    *(
        "audio.remove_mean=clip",
        "probe.regularisation_strengths=4",
        "compare.states=[residual,inner]",
        "compare.noise_snr=[100,-40]",
    ),
    "compare.noise=[white,babble]",
    *(f"{network}.views.changed=0.5" for network in ("denoising", "baselines.simclr", "baselines.supervised")),
    *("compare.test_time_augmentation=2", "compare.poolings=[thirds,thirds_max]"),
    *("probe.choose_by=group", "probe.classifier=ridge", "probe.power=0.5"),
    "compare.methods=[log_mel,bag_of_codes,gpt,denoising,simclr,supervised,random_denoising,random_conv,mfcc]",
    *SOUND,
)
METHODS = {*FOLDS[-len(SOUND) - 1].partition("[")[2].rstrip("]").split(","), "supervised_head"}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store and a run folder of two folds."""
    place = tmp_path_factory.mktemp("folds")
    assert run(place / "store", place / "run", *FOLDS) == 0
    return place


def test_every_method_is_compared_over_the_folds(compared: Path) -> None:
    found = read_results(compared / "run")["comparison"]
    assert {*found.methods} == METHODS
    assert len(found.folds) == 2
    for of, row in found.tested.items():
        assert set(found.means(of, "fold")) == set(found.folds)
        assert row.value == pytest.approx(sum(found.means(of, "fold").values()) / 2)
    assert {row.against for row in found.differences("gpt")} == METHODS - {"gpt"}
    assert set(found.trainings) == {"lm", "denoising", "simclr", "supervised"}
    table, noise = (compared / "run/comparison.md").read_text().split("\n\n", 1)
    assert table.count("\n") == 1 + len(METHODS)
    assert all(f"\n| {of} |" in noise for of in METHODS)
    page = (compared / "run/report.html").read_text()
    assert "leave one group out" in page
    assert ("t interval over groups" in page) is found.over_folds


def test_noisy_test_clips_are_probed_beside_the_clean_ones(compared: Path) -> None:
    found = read_results(compared / "run")["comparison"]
    noisy = found.along("added")
    assert noisy.keys() == METHODS
    for of, row in found.tested.items():
        inaudible, loud, *babble = noisy[of]
        assert [(each.noise, each.noise_snr) for each in (loud, *babble)] == [
            *(("white", -40.0), ("babble", 100.0), ("babble", -40.0))
        ]
        assert inaudible.value == pytest.approx(row.value, abs=1.5 / found.clips)
        assert loud.value <= row.value
    assert (
        "| no noise | white 100 dB | white -40 dB | babble 100 dB | babble -40 dB |"
        in (compared / "run/comparison.md").read_text()
    )
    assert "Test values under noise" in (compared / "run/report.html").read_text()


def test_codebooks_language_models_and_costs_have_a_row_for_each_fold(compared: Path) -> None:
    results = read_results(compared / "run")
    figures, names = results["figures"], results["comparison"].folds
    measured = [("tokenizer", name) for name in ("perplexity", "used_codes", "quantised_mse", "total_variation")]
    for stage, name in (*measured, ("lm", "perplexity"), ("lm", "bits_per_second")):
        rows = where(figures, stage=stage, name=name)
        for of in {row.of for row in rows}:
            mean, *each = [row for row in rows if row.of == of]
            assert [row.fold for row in (mean, *each)] == [None, *names]
            assert mean.value == pytest.approx(sum(row.value for row in each) / 2)
            assert mean.artifact.split() == [row.artifact for row in each]
    assert count_codes(results) == 8
    rows = results["stages"]  # what each artifact cost
    assert {row["key"] for row in rows} == {artifact.name for artifact in artifacts(compared / "store")}
    assert len({(row["fold"], row["stage"]) for row in rows}) == len(rows)


# Who hears what


def made(place: Path, manifest: Clips, *unlabelled: Clips, methods: str = "gpt,simclr") -> Mapping[str, Path]:
    """Folders of the artifacts of one fold, by stage."""
    words = ("stages=[lm,probe]", f"compare.methods=[{methods}]", "lm.views.warps=1", *SOUND)
    return {name: each.folder for name, each in make_one(manifest, place, *words, unlabelled=unlabelled).items()}


def clips_behind(folder: Path) -> set[str]:
    """Paths of the clips that the inputs of an artifact hold for training."""
    paths: set[str] = set()
    decides = json.dumps(json.loads((folder / "entry.json").read_text())["arguments"])
    for key in re.findall(r'"([0-9a-f]{16})"', decides):
        (place,) = folder.parents[1].glob(f"*/{key}")
        if place.parent.name == "spectrograms":
            paths |= {path for path, split in json.loads((place / "clips.json").read_text()) if split == "train"}
        else:
            paths |= {clip.path for clip in read_codes(place)[1] if clip.split == "train"}
    return paths


def test_gpt_and_simclr_are_trained_on_the_same_clips(finished_run: FinishedRun, tmp_path: Path) -> None:
    """The corpus's training clips and all unlabelled ones, and nothing of what is held out."""
    whole = finished_run.manifest
    groups = sorted({clip.group or "" for clip in whole.clips})
    manifest = whole.where(clip.group != groups[0] for clip in whole.clips)
    assert manifest.of("train")
    assert manifest.of("validation")
    others = whole.where(clip.group == groups[0] for clip in whole.clips).with_columns(label=None, split="train")
    folders = made(tmp_path, manifest, others)
    wanted = {clip.path for clip in (*manifest.of("train"), *others.clips)}
    assert clips_behind(folders["lm"]) == wanted
    assert clips_behind(folders["simclr"]) == wanted
    assert {f"unlabelled_{stage}" for stage in ("codes", "views", "spectrograms")} <= set(folders)
    assert {*folders.values()} == {*artifacts(tmp_path / "store")}  # all that was made is told, each once
    parts = (others.where((n < 3) == first for n in range(len(others.clips))) for first in (True, False))
    apart = made(tmp_path, manifest, *parts, methods="gpt")
    assert {f"unlabelled_{stage}" for stage in ("codes", "views", "2_codes", "2_views")} <= set(apart)
    assert apart["lm"] != folders["lm"]
    weights = [(each["lm"] / "model.safetensors").read_bytes() for each in (apart, folders)]
    assert weights[0] == weights[1]  # two folders are one folder with the clips of both


def test_recordings_that_name_no_folds_are_refused(finished_run: FinishedRun) -> None:
    with pytest.raises(InputError, match=r"\bfold\b"):
        folds(finished_run.manifest, "fold")


def test_each_row_says_what_it_reads_from_where_with_how_many_weights_and_after_what_training(compared: Path) -> None:
    results = read_results(compared / "run")
    found = results["comparison"]
    for of in METHODS:
        record, rows = found.described[of], found.rows(name="accuracy", of=of)
        assert {row.reads for row in rows} == {record["reads"]}
        assert found.read_from(of)[1] or of.endswith("_head")
    reads = {of: found.described[of]["reads"] for of in METHODS}
    assert (reads["gpt"], reads["bag_of_codes"], reads["simclr"], reads["log_mel"]) == (
        *("codes", "codes"),
        *("log-mel", "log-mel"),
    )
    assert found.described["denoising"]["weights"] == found.described["random_denoising"]["weights"]
    assert (found.described["gpt"]["weights"] or 0) > 1000
    assert found.described["log_mel"]["weights"] is None
    seconds = {of: found.described[of]["training_seconds"] or 0.0 for of in METHODS}
    assert seconds["gpt"] > seconds["bag_of_codes"] > 0 == seconds["log_mel"] == seconds["random_conv"]
    table = (compared / "run/comparison.md").read_text()
    assert table.startswith("| method | reads | layer | pooling | weights | training, s |")
    assert "| gpt | codes | " in table
