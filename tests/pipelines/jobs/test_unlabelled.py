"""Recordings without labels for pre-training: folders beside the embedded corpus."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.jobs.clips_of_run import (
    MANIFEST,
    REJECTED,
    REJECTED_UNLABELLED,
    find_sources,
    first_hours,
    notices_of_unlabelled,
    notices_of_weights,
    read_unlabelled,
    unlabelled_of_run,
    without_copies,
    write_unlabelled,
)
from pipelines.jobs.run_rules import run_settings
from pipelines.methods.methods_table import METHODS
from pipelines.settings.run_settings import RunSettings
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import composed
from tests.reference import first_hours_by_loop
from tests.rejected import read_rejected
from wordless.audio.recordings.manifest import SPLITS, Clip, Clips, Split, write_manifest
from wordless.base.messages import InputError
from wordless.base.progress import Terminal
from wordless.training.fit import Gang

RATE = 8000
NO_CORPUS = Clips.from_rows(Path(), ())
FOLDS = ("compare.folds=group", "stages=[tokenizer,lm,probe,report]")


def settings_of(store: Path, *words: str) -> RunSettings:
    return run_settings(composed(store, "corpus.root=elsewhere", *words))


def read(settings: RunSettings, store: Path, corpus: Clips = NO_CORPUS) -> tuple[Clips, ...]:
    alone, silent = Gang(torch.device("cpu")), Terminal(silent=True)
    sources = find_sources(settings, silent)
    return read_unlabelled(settings, corpus, sources, gang=alone, terminal=silent, folder=store / "run")


def sounds(folder: Path, *names: str, seconds: float = 0.2) -> Path:
    """A folder of noise, another one in each file."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng([*name.encode(), len(str(folder))]).normal(0, 0.1, round(seconds * RATE))
        soundfile.write(path, noise, RATE)
    return folder


def test_folders_stand_beside_the_embedded_corpus_and_all_are_for_training(
    finished_run: FinishedRun, tmp_path: Path
) -> None:
    """Nothing has a label, long recordings are cut as those of the corpus, and bad files are listed."""
    known, run = finished_run.manifest, finished_run.store / "run"
    assert {clip.split for clip in known.clips} == set(SPLITS)
    assert all(clip.label for clip in known.clips)
    one, two = sounds(tmp_path / "one", "dog/a.wav", "b.flac"), sounds(tmp_path / "two", "c.ogg", seconds=0.5)
    (one / "bad.wav").write_text("no sound")
    words = (f"unlabelled=[embedded,{one},{two}]", "corpus.segment_seconds=0.2")
    whole = read(settings_of(finished_run.store, "unlabelled=embedded"), finished_run.store)
    embedded, first, second = read(settings_of(finished_run.store, *words), finished_run.store)
    assert {(clip.path, clip.sha256) for clip in whole[0].clips} == {(clip.path, clip.sha256) for clip in known.clips}
    assert len(embedded.clips) == len(known.clips)
    assert [clip.path for clip in first.clips] == ["b.flac", "dog/a.wav"]
    assert [clip.span for clip in second.clips] == [(0.0, 0.2), (0.2, 0.4), (0.4, 0.5)]
    found = (*whole, embedded, first, second)
    assert {(clip.split, clip.label) for each in found for clip in each.clips} == {("train", None)}
    assert not (run / REJECTED).exists()
    (listed,) = read_rejected(run / REJECTED_UNLABELLED)
    assert listed.path == f"{one}/bad.wav"
    assert read(settings_of(finished_run.store), finished_run.store) == ()
    assert not (run / REJECTED_UNLABELLED).exists()


def test_clips_that_a_run_heard_without_labels_are_known(tmp_path: Path) -> None:
    own, others = sounds(tmp_path / "own", "a.wav", "b.wav"), sounds(tmp_path / "others", "c.wav", "d.wav", "e.wav")
    folder = tmp_path / "run"
    (trained,), (unlabelled,) = (
        read(settings_of(tmp_path, f"unlabelled=[{each}]"), tmp_path) for each in (own, others)
    )
    write_manifest(trained, folder / MANIFEST)
    write_unlabelled([unlabelled], folder)
    assert {clip.sha256 for clip in unlabelled_of_run(folder, own)} == {clip.sha256 for clip in unlabelled.clips}
    corpus = Clips.from_rows(trained.root, (*trained.clips, *unlabelled.clips)).with_columns(split="test")
    weights = settings_of(tmp_path, f"wav2vec2.weights={folder / 'wav2vec2'}")
    assert [*notices_of_weights(corpus, weights)] == []  # the folder is no run
    (folder / "results.json").write_text("{}")
    labelled, without = [*notices_of_weights(corpus, weights)]
    assert re.match(rf"2 of 5 test clips\b.*{folder}\b.*\btrained\b", labelled)
    assert re.match(rf"3 of 5 test clips\b.*\bunlabelled\b.*{folder}\b", without)
    assert [*notices_of_weights(unlabelled, weights)] == []  # clips for training
    folds = settings_of(tmp_path, f"wav2vec2.weights={folder / 'wav2vec2'}", *FOLDS)
    assert len([*notices_of_weights(unlabelled, folds)]) == 1  # each is tested in one fold
    assert [*notices_of_weights(corpus, settings_of(tmp_path))] == []
    write_unlabelled([], folder)
    assert unlabelled_of_run(folder, own) == ()
    validation = tuple(replace(each, split="validation") for each in trained.clips)
    write_manifest(Clips.from_rows(trained.root, validation), folder / MANIFEST)
    (chosen,) = [*notices_of_weights(corpus, weights)]
    assert re.match(rf"2 of 5 test clips\b.*\bvalidation\b.*{folder}\b", chosen)


def test_weights_that_learned_labels_are_noted(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, f"wav2vec2.weights={tmp_path / 'theirs'}")
    (tmp_path / "theirs").mkdir()
    for name, learned in (("Wav2Vec2ForCTC", 1), ("HubertForSequenceClassification", 1), ("HubertModel", 0)):
        (tmp_path / "theirs" / "config.json").write_text(json.dumps({"architectures": [name]}))
        assert len([*notices_of_weights(NO_CORPUS, settings)]) == learned


def test_files_of_the_corpus_and_of_an_earlier_folder_are_left_out(tmp_path: Path) -> None:
    """A test recording must not be trained on, under whichever name, and in whichever format."""
    one, two = sounds(tmp_path / "one", "a.wav", "b.wav", "c.wav"), sounds(tmp_path / "two", "d.wav")
    shutil.copy(one / "b.wav", two / "other name.wav")
    samples, rate = soundfile.read(one / "c.wav", dtype="int16")
    soundfile.write(two / "c.flac", samples, rate)
    settings = settings_of(tmp_path, f"unlabelled=[{one},{two}]")
    whole, _ = read(settings, tmp_path)
    corpus, formats = (
        Clips.from_rows(whole.root, (replace(clip, split="test"),)) for clip in (whole.clips[0], whole.clips[2])
    )
    first, second = read(settings, tmp_path, corpus)
    assert [clip.path for clip in first.clips] == ["b.wav", "c.wav"]
    assert [clip.path for clip in second.clips] == ["d.wav"]
    (other,) = read(settings_of(tmp_path, f"unlabelled=[{two}]"), tmp_path, formats)
    assert [clip.path for clip in other.clips] == ["d.wav", "other name.wav"]
    shutil.rmtree(two)
    shutil.copytree(one, two)
    with pytest.raises(InputError, match=r"unlabelled=.*two: .*\bcorpus\b"):
        read(settings, tmp_path, corpus)


GROUPED = ("corpus.pattern='{label}_{group}_*.wav'",)


def test_other_recordings_of_held_out_speakers_are_left_out(tmp_path: Path) -> None:
    names = [f"{word}_{name}_{take}.wav" for word in ("no", "yes") for name in ("ann", "bob", "cat") for take in (3, 4)]
    source = sounds(tmp_path / "more", *names, "noise.wav")
    splits: dict[str, Split] = {"ann": "train", "bob": "validation", "cat": "test"}
    clips = [
        Clip(path=f"yes_{name}_0.wav", num_samples=9, sample_rate=9, size=0, sha256=name, group=name, split=split)
        for name, split in splits.items()
    ]
    corpus = Clips.from_rows(tmp_path, clips)

    def heard(*words: str) -> set[str]:
        (found,) = read(settings_of(tmp_path, f"unlabelled={source}", *GROUPED, *words), tmp_path, corpus)
        return {clip.path for clip in found.clips}

    own = {name for name in names if "ann" in name}
    assert heard() == {*own, "noise.wav"}  # of which nothing is known
    assert heard("corpus.split.shared_groups=true") == {*names, "noise.wav"}
    assert heard(*FOLDS) == {"noise.wav"}  # each speaker is held out once
    settings = settings_of(tmp_path, f"unlabelled={source}", *GROUPED)
    (_, unknown) = notices_of_unlabelled(corpus, read(settings, tmp_path, corpus), settings)
    assert re.search(r"\b1 unlabelled clip\b.*\bgroup\b", unknown)
    (source / "noise.wav").unlink()
    with pytest.raises(InputError, match=r"unlabelled=.*more: .*groups\b.*held out"):
        heard(*FOLDS)


@pytest.mark.parametrize("method", ["gpt", "denoising", "simclr", "wav2vec2", "wav2vec2_finetuned"])
def test_the_report_says_which_networks_unlabelled_clips_train(method: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "stages=[tokenizer,probe]", f"compare.methods=[{method}]", "wav2vec2=tiny")
    (notice,) = notices_of_unlabelled(NO_CORPUS, [NO_CORPUS], settings)
    assert METHODS[method.removesuffix("_finetuned")].title[1:] in notice
    assert not [*notices_of_unlabelled(NO_CORPUS, [NO_CORPUS], settings_of(tmp_path, "stages=[tokenizer]"))]


def test_hours_limit_all_folders_together(tmp_path: Path) -> None:
    one, two = (sounds(tmp_path / name, *(f"{name}{number}.wav" for number in range(9))) for name in ("one", "two"))
    words = f"unlabelled=[{one},{two}]"
    hours = [read(settings_of(tmp_path, words, f"unlabelled_hours={5 * 0.2 * n / 3600}"), tmp_path) for n in (1, 3)]
    few, many = ({clip.name for manifest in each for clip in manifest.clips} for each in hours)
    assert (len(few), len(many)) == (5, 15)
    assert few < many
    assert read(settings_of(tmp_path, words, "unlabelled_hours=0"), tmp_path) == ()
    with pytest.raises(InputError, match=r"^unlabelled_hours is 1\b.*\b0\.001 hours"):
        read(settings_of(tmp_path, words, "unlabelled_hours=1"), tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("unlabelled=[embedded,embedded]",), r"unlabelled\b.*\bembedded, embedded\b.*\bonce\b"),
        (("unlabelled=Embedded",), r"unlabelled=Embedded\b.*\bembedded\b"),
        (("corpus.root=null", "unlabelled=embedded"), "already"),
        (("unlabelled=[PLACE/nowhere]",), r"^unlabelled is .*nowhere\b"),
        (("unlabelled=[PLACE/empty]",), r"^unlabelled is .*empty\b.*no recordings"),
        (("corpus.root=PLACE/own", "unlabelled=[PLACE/own/]"), r"^unlabelled=.*own/ .*\bcorpus\b"),
    ],
)
def test_sources_that_add_no_recordings_are_refused(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    sounds(tmp_path / "own", "a.wav")
    (tmp_path / "empty").mkdir()
    given = (word.replace("PLACE", str(tmp_path)) for word in words)
    with pytest.raises(InputError, match=message):
        find_sources(settings_of(tmp_path, *given), Terminal(silent=True))


MILLISECONDS = 1000  # samples per second, so that lengths in milliseconds are exact


def table_of(**lengths: int) -> Clips:
    """Clips of these lengths in milliseconds."""
    clips = (
        Clip(path=name, num_samples=n, sample_rate=MILLISECONDS, size=1, sha256=name * 2) for name, n in lengths.items()
    )
    return Clips.from_rows(Path(), clips)


def names(manifests: tuple[Clips, ...]) -> list[list[str]]:
    return [[clip.name for clip in each.clips] for each in manifests]


lengths = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 5000), min_size=1, max_size=12)


@given(lengths, lengths, st.floats(0.001, 1), st.floats(0.001, 1))
def test_parts_are_those_of_a_loop_and_nested(
    one: dict[str, int], two: dict[str, int], share: float, smaller: float
) -> None:
    sources = (table_of(**one), table_of(**two))
    whole = sum(each.seconds for each in sources) / 3600
    found = []
    for hours in (whole * share * smaller, whole * share):
        wanted = first_hours_by_loop([one, two], 3_600_000 * hours)
        if any(wanted):
            found.append(names(first_hours(sources, hours)))
            assert found[-1] == wanted
        else:
            with pytest.raises(InputError, match="hours"):
                first_hours(sources, hours)
    if len(found) == 2:
        assert all(set(few) <= set(many) for few, many in zip(*found, strict=True))


def test_all_hours_are_all_clips_and_known_files_are_left_out() -> None:
    source = table_of(a=1_800_000, b=1_800_000)
    assert first_hours([source], 1) == (source,)
    with pytest.raises(InputError, match=r"^hours is 1\.5\b.*\b1 hours"):
        first_hours([source], 1.5)
    with pytest.raises(InputError, match=r"^hours is 1\.8\b.*\b1\.7999 hours"):
        first_hours([table_of(a=6_479_900)], 1.8)
    assert names((without_copies(table_of(a=1, b=2, c=3), {"bb", "zz"}),)) == [["a", "c"]]
