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
from tests.wordless.audio.recordings.packed_files import save_splits, takes, write_parquet
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.recordings.corpus import upsampling_notices
from wordless.audio.recordings.corpus_config import CorpusConfig
from wordless.audio.recordings.description import ColumnConfig
from wordless.audio.recordings.manifest import Clips, read_manifest
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.messages import InputError, named
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
    assert "2 folders that Wordless wrote left out" in again.stderr
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


OWN_SPLITS = SplitConfig(shared_groups=True)
LABEL = ColumnConfig(label="label", group="speaker")


def read(config: CorpusConfig, store: Path) -> Clips:
    silent = Terminal(silent=True)
    settings = CorpusCommand(corpus=config, store=StoreConfig(root=store), workers=1)
    found = find_corpus(config, settings, require=None, terminal=silent)
    return read_corpus(found, settings, gang=Gang(torch.device("cpu")), terminal=silent, audio="mean")


def splits(corpus: Clips) -> Counter[str]:
    return Counter(clip.split for clip in corpus.clips)


def test_a_saved_data_set_keeps_splits_labels_and_groups_and_sets_other_splits_aside(tmp_path: Path) -> None:
    parts = {"train": takes(8), "validation": takes(4, first=8), "test.clean": takes(4, first=12)}
    save_splits(tmp_path / "animals", {**parts, "invalidated": takes(2, first=16)})
    config = CorpusConfig(dataset=str(tmp_path / "animals"), columns=LABEL, split=OWN_SPLITS)
    corpus = read(config, tmp_path / "store")
    assert (corpus.name, splits(corpus)) == ("animals", {"train": 8, "validation": 4, "test": 4})
    found = {Path(clip.path).name: clip for clip in corpus.clips}["clip_13.wav"]
    assert (found.split, found.label, found.group) == ("test", "high", "s0")
    rejected = {Path(each.path).name: each.reason for each in corpus.rejected}
    assert rejected.keys() == {"clip_16.wav", "clip_17.wav"}
    assert all("invalidated" in reason for reason in rejected.values())
    assert len(read(replace(config, split=SplitConfig(by="hash")), tmp_path / "store").clips) == 18
    named = SplitConfig(by="folder", train=("train", "invalidated"), test=("test.clean",), shared_groups=True)
    assert splits(read(replace(config, split=named), tmp_path / "store"))["test"] == 4
    write_parquet(tmp_path / "test-00000-of-00001.parquet", takes(20))  # a single split is divided as any corpus
    alone = replace(config, dataset=str(tmp_path / "test-00000-of-00001.parquet"))
    assert splits(read(alone, tmp_path / "store")) == {"train": 16, "validation": 2, "test": 2}


def test_columns_say_split_fold_and_several_labels_of_data_sets(tmp_path: Path) -> None:
    parts = ["train"] * 6 + ["dev"] * 3 + ["test"] * 3
    split = {"train": 6, "validation": 3, "test": 3}
    write_parquet(tmp_path / "d.parquet", takes(12), split=parts)
    config = CorpusConfig(dataset=str(tmp_path / "d.parquet"), columns=LABEL, split=OWN_SPLITS)
    assert splits(read(config, tmp_path / "s")) == split
    assert splits(read(replace(config, split=replace(OWN_SPLITS, by="hash")), tmp_path / "s")) != split
    (tmp_path / "d.parquet").rename(tmp_path / "a-000.parquet")
    named = replace(config, dataset=str(tmp_path / "a-*.parquet"), label_names={"low": "deep"})
    corpus = read(named, tmp_path / "s")
    assert (splits(corpus), corpus.name, corpus.clips[0].path) == (split, tmp_path.name, "a-000/0000/clip_00.wav")
    assert Counter(clip.label for clip in corpus.clips) == {"deep": 6, "high": 6}
    write_parquet(tmp_path / "e.parquet", takes(12), part=parts, fold=[1, 2, 3] * 4, pitch=["a", None] * 6)
    columns = ColumnConfig(label=("label", "pitch"), fold="fold", split="part")
    corpus = read(CorpusConfig(dataset=str(tmp_path / "e.parquet"), columns=columns, split=OWN_SPLITS), tmp_path / "s")
    assert splits(corpus) == split
    assert Counter(clip.label for clip in corpus.clips) == {"low;a": 6, "high": 6}
    assert Counter(clip.fold for clip in corpus.clips) == {"1": 4, "2": 4, "3": 4}


def test_values_that_are_missing_are_no_label_and_no_group(tmp_path: Path) -> None:
    """A label with a control character is set aside with the place of its row."""
    nan, split = float("nan"), SplitConfig(validation_fraction=0, test_fraction=0)
    values = {"who": [nan, 1.0, None, 2.0] * 3, "text": ["a\x1bb", *["fine"] * 11]}
    write_parquet(tmp_path / "d.parquet", takes(12), **values)
    columns = ColumnConfig(label="text", group="who")
    corpus = read(CorpusConfig(dataset=str(tmp_path / "d.parquet"), columns=columns, split=split), tmp_path / "s")
    assert Counter(clip.label for clip in corpus.clips) == {"fine": 11}
    assert Counter(clip.group for clip in corpus.clips) == {None: 5, "1": 3, "2": 3}
    (rejected,) = corpus.rejected
    assert "d.parquet: row 1: label" in rejected.reason
    assert "U+001B" in rejected.reason


def test_the_same_store_serves_other_columns_without_unpacking_again(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d.parquet", takes(12))
    config = CorpusConfig(dataset=str(tmp_path / "d.parquet"), columns=ColumnConfig(label="label"))
    other = replace(config, columns=ColumnConfig(label="speaker"))
    named = replace(config, columns=ColumnConfig(), pattern="{label}_{index}.wav", labels="pattern")
    read_each = [read(each, tmp_path / "store") for each in (config, other, named)]
    assert len({manifest.root for manifest in read_each}) == 1
    labels = [{clip.label for clip in manifest.clips} for manifest in read_each]
    assert labels == [{"low", "high"}, {"s0", "s1", "s2"}, {"clip"}]  # the names that recordings had fit a pattern
    settings = CorpusCommand(corpus=config, store=StoreConfig(root=tmp_path / "store"))
    found = find_corpus(config, settings, require=None, terminal=Terminal(silent=True)).clips
    assert found is not None
    (columns,) = (each.columns for each in found.reading.files if each.columns)
    assert [name for name, column in columns.items() if not column.field] == ["speaker"]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"label": "txt"}, r"columns\.label is txt; .*\blabel, speaker\b.*label=null\b"),
        ({"split": "label"}, r"columns\.split is label\b.*\bhigh, low\b"),
    ],
    ids=["no such label", "no splits"],
)
def test_a_data_set_that_makes_no_corpus_says_what_it_holds(columns: dict[str, str], told: str, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", takes(4))
    config = CorpusConfig(dataset=str(tmp_path / "a.parquet"), columns=ColumnConfig(**columns))  # type: ignore[arg-type]  # names
    with pytest.raises(InputError, match=told):
        read(config, tmp_path / "store")


WORDS = (*OWN, *CHECKPOINTS, "stages=[tokenizer]", "corpus=dataset", "corpus.columns.group=speaker")


def test_a_run_makes_codes_of_a_data_set_offline_and_lists_what_it_cannot_use(tmp_path: Path) -> None:
    broken = [replace(each, content=b"RIFF and no more") for each in takes(2, first=22)]
    save_splits(tmp_path / "d", {"train": takes(16), "test": [*takes(6, first=16), *broken]})
    words = (*WORDS, f"corpus.dataset={tmp_path / 'd'}", "corpus.split.shared_groups=true")
    offline = {"HF_HUB_OFFLINE": "1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    done = called(*words, f"store.root={tmp_path / 's'}", f"hydra.run.dir={tmp_path / 'run/run'}", **offline)
    assert done.returncode == 0, done.stderr
    assert "Exception ignored" not in done.stderr  # of an object that outlives what it needs
    folder = tmp_path / "run/run"
    manifest = read_manifest(folder / "manifest.tsv", tmp_path)
    assert Counter(clip.split for clip in manifest.clips) == {"train": 14, "validation": 2, "test": 6}
    assert [Path(each.path).name for each in read_rejected(folder / "rejected.tsv")] == ["clip_22.wav", "clip_23.wav"]
    told = json.loads((folder / "results.json").read_text())["corpus"]
    assert (told["name"], told["labels"], len(told["rejected"])) == ("d", {"high": 11, "low": 11}, 2)
    assert {artifact.parent.name for artifact in artifacts(tmp_path / "s")} >= {"tokenizer", "codes"}


@pytest.mark.parametrize("word", ["corpus.columns.label=lable", "corpus.root=here"])
def test_a_run_refuses_a_data_set_before_it_is_unpacked(word: str, tmp_path: Path) -> None:
    write_parquet(tmp_path / "d.parquet", takes(4))
    words = (*WORDS[:-1], f"corpus.dataset={tmp_path / 'd.parquet'}", word, f"store.root={tmp_path / 's'}")
    assert word.partition("=")[2] in refusal(called_at_once(tmp_path / "run", *words))
    assert not list(tmp_path.rglob("*.wav"))


def test_annotated_bands_above_the_front_end_are_told_with_the_option(tmp_path: Path) -> None:
    boxes = ((1_000, 7_000), (500, 3_000), (0, 8_000), (0, 9_000.5), (5_000, 9_000))  # two of them have all frequencies
    rows = [f"{begin}\t{begin + 0.5}\t{low}\t{high}\tx" for begin, (low, high) in enumerate(boxes)]
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 16_000 * 6), 16_000)
    header = "Begin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies"
    (tmp_path / "a.Table.1.selections.txt").write_text("\n".join([header, *rows]) + "\n")
    config = CorpusConfig(root=str(tmp_path), split=SplitConfig(validation_fraction=0, test_fraction=0))
    told = {
        SpectrogramConfig(sample_rate=8_000): ("2 of 3 annotated bands", "4000 Hz", "audio.sample_rate=16000"),
        SpectrogramConfig(sample_rate=16_000, f_max=6_000.0): ("2 of 3", "6000 Hz", "audio.f_max=8000"),
        SpectrogramConfig(sample_rate=16_000): (),
    }
    for audio, words in told.items():
        notices = [
            each for each in corpus_of(config, tmp_path / "store", audio=audio).notices if "annotated band" in each
        ]
        assert len(notices) == bool(words)
        assert all(word in notices[0] for word in words)


def test_the_front_end_chooses_the_channel_and_notices_recordings_of_a_lower_rate_once(tmp_path: Path) -> None:
    rates = (8_000, 8_000, 4_000, 16_000, 44_100)
    for number, rate in enumerate(rates):
        noise = np.random.default_rng(number).uniform(-0.3, 0.3, (rate // 2, 2 if rate > 16_000 else 1))
        soundfile.write(tmp_path / f"{number}.wav", noise, rate)
    config = CorpusConfig(root=str(tmp_path), split=SplitConfig(validation_fraction=0, test_fraction=0))
    corpus = corpus_of(config, tmp_path / "store", audio=SpectrogramConfig(sample_rate=16_000))
    (notice,) = corpus.notices
    for told in ("3 of 5 recordings", "audio.sample_rate=8000", "4000 Hz"):
        assert told in notice
    clips = corpus.clips
    assert not upsampling_notices(clips, SpectrogramConfig(sample_rate=4_000, n_mels=20))
    assert not upsampling_notices(clips, SpectrogramConfig(sample_rate=16_000, f_max=2_000.0))  # no band is empty
    segments = tuple(replace(clip, segment=number) for clip in clips for number in range(3))
    (counted,) = upsampling_notices(segments, SpectrogramConfig(sample_rate=16_000))
    assert named(counted, "audio") == notice  # recordings are counted
    corpus = corpus_of(config, tmp_path / "store", audio=SpectrogramConfig(channel=1))
    assert [(clip.path, clip.channel) for clip in corpus.clips] == [("4.wav", 1)]
    assert "audio.channel=1" in corpus.rejected[0].reason
