"""The recordings of a run: what only pre-training hears beside them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from audio.recordings.corpus import CorpusConfig
from audio.recordings.manifest import SPLITS, read_manifest, read_rejected
from foundation.errors import InputError
from foundation.progress import Terminal
from pipelines.chain.corpus import read_corpus, read_unlabelled
from pipelines.settings.run import RunSettings, run_settings
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import composed
from training.gangs import Alone


def settings_of(store: Path, *words: str) -> RunSettings:
    return run_settings(composed(store, *words))


def test_unlabelled_recordings_are_all_for_training_and_bear_no_label(finished_run: FinishedRun) -> None:
    """They are those that the finished run was on: there they have labels, and stand in every split."""
    (root,) = (finished_run.store / "embedded").glob("embedded-*/")
    known = read_manifest(finished_run.folder / "manifest.tsv", root)
    assert {clip.split for clip in known.clips} == set(SPLITS)
    assert all(clip.label for clip in known.clips)
    settings = settings_of(finished_run.store, "unlabelled=embedded", "corpus.root=elsewhere")
    alone, silent = Alone(torch.device("cpu")), Terminal(silent=True)
    found = read_unlabelled(settings, finished_run.store, gang=alone, terminal=silent)
    assert found is not None
    assert {(clip.split, clip.label) for clip in found.clips} == {("train", None)}
    assert {(clip.path, clip.sha256) for clip in found.clips} == {(clip.path, clip.sha256) for clip in known.clips}


def test_nothing_is_unlabelled_unless_asked_for(tmp_path: Path) -> None:
    alone, silent = Alone(torch.device("cpu")), Terminal(silent=True)
    settings = settings_of(tmp_path)
    assert read_unlabelled(settings, tmp_path, gang=alone, terminal=silent) is None
    with pytest.raises(InputError, match="which this run is on already"):
        read_unlabelled(replace(settings, unlabelled="embedded"), tmp_path, gang=alone, terminal=silent)
    assert not list(tmp_path.iterdir())


def test_where_every_file_is_refused_the_reasons_are_written_and_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.wav", "b.wav", "tab\there.wav"):
        (tmp_path / "in" / name).write_text(f"no sound, but {name}")
    config = CorpusConfig(root=str(tmp_path / "in"))
    alone, silent = Alone(torch.device("cpu")), Terminal(silent=True)
    with pytest.raises(InputError, match=r"none of its 3 recordings can be used .*run/rejected\.tsv") as refusal:
        read_corpus(config, tmp_path, workers=1, gang=alone, terminal=silent, folder=tmp_path / "run")
    assert "\n" not in str(refusal.value)
    listed = read_rejected(tmp_path / "run" / "rejected.tsv")
    assert [each.path for each in listed] == ["a.wav", "b.wav", "tab\\there.wav"]
    assert listed[0].reason == "cannot be decoded: Format not recognised"
