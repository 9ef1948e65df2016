"""The recordings of a run."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from pipelines.jobs.clips_of_run import find_corpus, read_corpus
from pipelines.settings.run_settings import CorpusCommand
from pipelines.store.store import StoreConfig
from tests.pipelines.tiny import corpus_of
from tests.pipelines.tiny_chain import CHECKPOINTS, OWN, artifacts, called, called_at_once, refusal
from tests.rejected import read_rejected
from tests.wordless.audio.recordings.test_contract import data_set
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.recordings.corpus_config import CorpusConfig
from wordless.audio.recordings.manifest import Clips, read_manifest
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.messages import InputError
from wordless.base.progress import Terminal
from wordless.training.fit import Gang


def test_where_every_file_is_refused_the_reasons_are_written_and_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.wav", "b.wav", "tab\there.wav"):
        (tmp_path / "in" / name).write_text("no sound")
    with pytest.raises(InputError, match=r"\b3 recordings\b.*run/rejected\.tsv") as refusal:
        corpus_of(CorpusConfig(root=str(tmp_path / "in")), tmp_path, rejected=tmp_path / "run" / "rejected.tsv")
    assert "\n" not in str(refusal.value)
    listed = read_rejected(tmp_path / "run" / "rejected.tsv")
    assert [each.path for each in listed] == ["a.wav", "b.wav", "tab\\there.wav"]


def test_a_run_in_the_folder_of_its_recordings_reuses_all_and_other_recordings_do_not_replace_it(
    tmp_path: Path,
) -> None:
    (root := tmp_path / "recordings").mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        soundfile.write(root / f"{number}.wav", rng.uniform(-0.5, 0.5, 4000), 8000)
    words = (*OWN, "stages=[tokenizer]", f"corpus.root={root}", f"store.root={root / 'store'}")
    place = root / "runs"
    assert called_at_once(place, *words).returncode == 0
    manifest = (place / "run/manifest.tsv").read_text()
    assert manifest.count("\n") == 9
    again = called_at_once(place, *words)
    assert again.returncode == 0
    assert "2 folders that Wordless wrote" in again.stderr
    assert "computing" not in again.stderr
    assert len({*artifacts(root / "store")}) == len(re.findall(r"^reused", again.stderr, re.MULTILINE))

    soundfile.write(root / "7.wav", rng.uniform(-0.5, 0.5, 4000), 8000)
    (root / "6.wav").unlink()
    told = refusal(called_at_once(place, *words))
    assert re.search(r"\brun\b.*\b8 clips then, 7 now, 1 of them new or changed\b.*replace=true", told)
    assert (place / "run/manifest.tsv").read_text() == manifest
    (place / "run/results.json").rename(place / "kept")  # as of a run that was killed
    assert called_at_once(place, *words).returncode == 0
    (root / "5.wav").unlink()
    assert "replace=true" in refusal(called_at_once(place, *words))
    assert called_at_once(place, *words, "replace=true").returncode == 0
    assert (place / "run/manifest.tsv").read_text().count("\n") == 7


def read(config: CorpusConfig, store: Path) -> Clips:
    silent = Terminal(silent=True)
    settings = CorpusCommand(corpus=config, store=StoreConfig(root=store), workers=1)
    found = find_corpus(config, settings, require=None, terminal=silent)
    return read_corpus(found, settings, gang=Gang(torch.device("cpu")), terminal=silent, audio="mean")


def test_a_run_makes_codes_of_a_data_set_offline(tmp_path: Path) -> None:
    place = data_set(tmp_path, {"train": 16, "test": 6}) / "saved"
    words = (*OWN, *CHECKPOINTS, "stages=[tokenizer]", "corpus=dataset", f"corpus.dataset={place}")
    words = (*words, "corpus.columns.group=who", "corpus.split.shared_groups=true")
    offline = {"HF_HUB_OFFLINE": "1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    done = called(*words, f"store.root={tmp_path / 's'}", f"hydra.run.dir={tmp_path / 'run/run'}", **offline)
    assert done.returncode == 0, done.stderr
    assert "Exception ignored" not in done.stderr  # of an object that outlives what it needs
    folder = tmp_path / "run/run"
    manifest = read_manifest(folder / "manifest.tsv", tmp_path)
    assert Counter(clip.split for clip in manifest.clips) == {"train": 14, "validation": 2, "test": 6}
    told = json.loads((folder / "results.json").read_text())["corpus"]
    assert (told["name"], told["labels"]) == ("saved", {"up": 11, "down": 11})
    assert (
        "splits: train 14 clips of 14 groups, validation 2 clips of 2 groups, test 6 clips of 6 groups"
        in told["summary"]
    )
    assert (folder / "clips.tsv").read_text().count("\n") == 23
    assert {artifact.parent.name for artifact in artifacts(tmp_path / "s")} >= {"tokenizer", "codes"}


def test_the_front_end_chooses_the_channel_and_notices_recordings_of_a_lower_rate_once(tmp_path: Path) -> None:
    rates = (8_000, 8_000, 4_000, 16_000, 44_100)
    for number, rate in enumerate(rates):
        noise = np.random.default_rng(number).uniform(-0.3, 0.3, (rate // 2, 2 if rate > 16_000 else 1))
        soundfile.write(tmp_path / f"{number}.wav", noise, rate)
    config = CorpusConfig(root=str(tmp_path), split=SplitConfig(validation_fraction=0, test_fraction=0))
    corpus = corpus_of(config, tmp_path / "store", audio=SpectrogramConfig(sample_rate=16_000))
    (notice,) = (line for line in corpus.summary if "lower rate" in line)
    for told in ("3 of 5 recordings", "down to 4,000 Hz", "audio.sample_rate=4000", "audio.f_max=2000"):
        assert told in notice
    config = replace(config, segment_seconds=0.1)
    corpus = corpus_of(config, tmp_path / "store", audio=SpectrogramConfig(sample_rate=16_000))
    assert notice in corpus.summary  # recordings are counted
    corpus = corpus_of(config, tmp_path / "store", audio=SpectrogramConfig(channel=1))
    assert {(clip.path, clip.channel) for clip in corpus.clips} == {("4.wav", 1)}
    assert "audio.channel=1" in corpus.rejected[0].reason
