"""The recordings of a run."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from pipelines.chain.corpus import Corpus, find_corpus, read_corpus
from pipelines.encode import encode
from tests.pipelines.jobs.test_encode import options
from tests.pipelines.tiny import corpus_of
from tests.pipelines.tiny_chain import CHECKPOINTS, OWN, called_at_once, entries, refusal
from tests.wordless.audio.recordings.packed_files import samples, save_splits, sound, takes, write_parquet, write_tar
from tokenizer.parquet import read_codes
from wordless.audio.options import SpectrogramConfig
from wordless.audio.recordings.clips import upsampling_notices
from wordless.audio.recordings.corpus import CorpusConfig
from wordless.audio.recordings.description import ColumnConfig
from wordless.audio.recordings.embedded import EmbeddedConfig
from wordless.audio.recordings.manifest import read_manifest, read_rejected
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.errors import InputError, named
from wordless.base.progress import Terminal
from wordless.training.gangs import Alone


def test_where_every_file_is_refused_the_reasons_are_written_and_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.wav", "b.wav", "tab\there.wav"):
        (tmp_path / "in" / name).write_text(f"no sound, but {name}")
    config = CorpusConfig(root=str(tmp_path / "in"))
    with pytest.raises(InputError, match=r"\b3 recordings\b.*run/rejected\.tsv") as refusal:
        corpus_of(config, tmp_path, folder=tmp_path / "run")
    assert "\n" not in str(refusal.value)
    listed = read_rejected(tmp_path / "run" / "rejected.tsv")
    assert [each.path for each in listed] == ["a.wav", "b.wav", "tab\\there.wav"]
    assert "no sound, but a.wav" in listed[0].reason


def test_equal_sounds_of_different_labels_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name in ("cat/one.wav", "cat/two.wav", "dog/three.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, rng.uniform(-0.5, 0.5, 4_000), 8_000)
    (tmp_path / "dog" / "four.wav").write_bytes((tmp_path / "cat" / "one.wav").read_bytes())
    config = CorpusConfig(root=str(tmp_path), split=SplitConfig(validation_fraction=0, test_fraction=0))
    corpus_of(config, tmp_path / "store", printed=True)
    said = " ".join(capsys.readouterr().err.split())
    assert all(each in said for each in ("1 file", "label", "dog/four.wav"))


OWN_SPLITS = SplitConfig(by="table", shared_groups=True)
LABEL = ColumnConfig(label="label", group="speaker")


def read(config: CorpusConfig, store: Path) -> Corpus:
    silent = Terminal(silent=True)
    recordings = find_corpus(config, EmbeddedConfig(), store, require=None, terminal=silent)
    return read_corpus(recordings, store, workers=1, gang=Alone(torch.device("cpu")), terminal=silent)


def splits(corpus: Corpus) -> Counter[str]:
    return Counter(clip.split for clip in corpus.manifest.clips)


def test_a_saved_data_set_keeps_its_splits_labels_and_groups(tmp_path: Path) -> None:
    parts = {"train": takes(8), "validation": takes(4, first=8), "test.clean": takes(4, first=12)}
    save_splits(tmp_path / "animals", parts)
    corpus = read(CorpusConfig(dataset=str(tmp_path / "animals"), columns=LABEL, split=OWN_SPLITS), tmp_path / "store")
    assert corpus.name == "animals"
    assert splits(corpus) == {"train": 8, "validation": 4, "test": 4}
    found = {Path(clip.path).name: clip for clip in corpus.manifest.clips}
    assert (found["clip_13.wav"].split, found["clip_13.wav"].label, found["clip_13.wav"].group) == (
        "test",
        "high",
        "s0",
    )


def test_one_split_is_divided_as_any_corpus(tmp_path: Path) -> None:
    write_parquet(tmp_path / "test-00000-of-00001.parquet", takes(20))
    place = str(tmp_path / "test-00000-of-00001.parquet")
    corpus = read(CorpusConfig(dataset=place, columns=LABEL, split=OWN_SPLITS), tmp_path / "store")
    assert splits(corpus) == {"train": 16, "validation": 2, "test": 2}


def test_other_splits_than_ours_are_set_aside_unless_all_are_divided(tmp_path: Path) -> None:
    save_splits(tmp_path / "d", {"train": takes(8), "test": takes(4, first=8), "invalidated": takes(2, first=12)})
    config = CorpusConfig(dataset=str(tmp_path / "d"), columns=LABEL, split=OWN_SPLITS)
    corpus = read(config, tmp_path / "store")
    assert [(each.path, "invalidated" in each.reason) for each in corpus.rejected] == [
        ("invalidated/00000/0000/clip_12.wav", True),
        ("invalidated/00000/0000/clip_13.wav", True),
    ]
    whole = read(replace(config, split=SplitConfig(by="hash")), tmp_path / "store")
    assert len(whole.manifest.clips) == 14
    by_folder = SplitConfig(by="folder", train=("train", "invalidated"), test=("test",), shared_groups=True)
    assert splits(read(replace(config, split=by_folder), tmp_path / "store"))["test"] == 4


def test_a_column_split_divides_a_data_set_and_shards_without_an_option(tmp_path: Path) -> None:
    parts = ["train"] * 6 + ["dev"] * 3 + ["test"] * 3
    write_parquet(tmp_path / "d.parquet", takes(12), split=parts)
    shared = SplitConfig(shared_groups=True)
    config = CorpusConfig(dataset=str(tmp_path / "d.parquet"), columns=LABEL, split=shared)
    assert splits(read(config, tmp_path / "s")) == {"train": 6, "validation": 3, "test": 3}
    assert splits(read(replace(config, split=replace(shared, by="hash")), tmp_path / "s")) != splits(
        read(config, tmp_path / "s")
    )
    facts = [(f"clip_{n:02d}.json", json.dumps({"split": part}).encode()) for n, part in enumerate(parts)]
    write_tar(tmp_path / "a.tar", [*facts, *(each for each in samples(takes(12)) if not each[0].endswith("json"))])
    shards = CorpusConfig(shards=str(tmp_path / "a.tar"), columns=ColumnConfig(label="cls"))
    assert splits(read(shards, tmp_path / "s")) == {"train": 6, "validation": 3, "test": 3}
    write_parquet(tmp_path / "e.parquet", takes(12), part=[1, 2, 3] * 4)
    wrong = replace(config, dataset=str(tmp_path / "e.parquet"), columns=ColumnConfig(label="label", split="part"))
    with pytest.raises(InputError, match=r"columns\.split is part\b.*\b1, 2, 3\b"):
        read(wrong, tmp_path / "s")


def test_the_corpus_says_what_divided_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("train/a/1.wav", "train/b/2.wav", "test/a/3.wav", "test/b/4.wav"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "in" / name, rng.uniform(-0.5, 0.5, 4_000), 8_000)
    config = CorpusConfig(root=str(tmp_path / "in"), split=SplitConfig(validation_fraction=0))
    silent = Terminal(silent=True)
    found = find_corpus(config, EmbeddedConfig(), tmp_path / "store", require=None, terminal=silent)
    assert found.config.split.by == "folder"
    assert splits(read(config, tmp_path / "store")) == {"train": 2, "test": 2}


def test_columns_may_say_split_fold_and_several_labels(tmp_path: Path) -> None:
    parts = ["train"] * 6 + ["dev"] * 3 + ["test"] * 3
    write_parquet(tmp_path / "d.parquet", takes(12), part=parts, fold=[1, 2, 3] * 4, pitch=["a", None] * 6)
    columns = ColumnConfig(label=("label", "pitch"), fold="fold", split="part")
    corpus = read(CorpusConfig(dataset=str(tmp_path / "d.parquet"), columns=columns, split=OWN_SPLITS), tmp_path / "s")
    assert splits(corpus) == {"train": 6, "validation": 3, "test": 3}
    assert Counter(clip.label for clip in corpus.manifest.clips) == {"low;a": 6, "high": 6}
    assert Counter(clip.fold for clip in corpus.manifest.clips) == {"1": 4, "2": 4, "3": 4}


def test_shards_have_labels_in_their_members(tmp_path: Path) -> None:
    for number in range(3):
        write_tar(tmp_path / f"data-{number:03d}.tar", samples(takes(6, first=6 * number)))
    columns = ColumnConfig(label="cls", group="speaker")
    config = CorpusConfig(shards=str(tmp_path / "data-{000..002}.tar"), columns=columns, split=SplitConfig())
    corpus = read(replace(config, label_names={"0": "low"}), tmp_path / "store")
    assert Counter(clip.label for clip in corpus.manifest.clips) == {"low": 9, "1": 9}
    assert {clip.group for clip in corpus.manifest.clips} == {"s0", "s1", "s2"}
    assert corpus.manifest.clips[0].path == "data-000/clip_00.wav"
    assert corpus.name == tmp_path.name


def test_shards_say_which_members_are_not_read_and_how_many_recordings_have_no_facts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [("x.lab", b"?"), ("y.lab", b"?"), ("lone.wav", sound(30)), ("gone.cls", b"1")]
    write_tar(tmp_path / "a.tar", [*samples(takes(9)), *others])
    config = CorpusConfig(shards=str(tmp_path / "a.tar"), columns=ColumnConfig(label="cls", group="speaker"))
    find_corpus(config, EmbeddedConfig(), tmp_path / "store", require=None, terminal=Terminal())
    told = capsys.readouterr().err
    assert all(each in told for each in ("10 recordings", "a/lone.wav"))
    assert "not read" not in told
    corpus = read(replace(config, split=SplitConfig(shared_groups=True)), tmp_path / "store")
    reasons = {each.path: each.reason for each in corpus.rejected}
    assert set(reasons) == {"a/*.lab", "a/gone"}
    assert "2 members" in reasons["a/*.lab"]


def test_a_shard_without_recordings_says_what_it_holds(tmp_path: Path) -> None:
    members = [(f"{number}.{ending}", b"?") for number in range(12) for ending in ("qqq", "lab")]
    write_tar(tmp_path / "a.tar", [*members, ("notes", b"?")])
    with pytest.raises(InputError) as raised:
        read(CorpusConfig(shards=str(tmp_path / "a.tar")), tmp_path / "store")
    assert all(each in str(raised.value) for each in ("*.qqq", "*.lab", "12 members"))


def test_nan_of_data_sets_and_shards_is_no_label_and_no_group(tmp_path: Path) -> None:
    nan = float("nan")
    write_parquet(tmp_path / "d.parquet", takes(12), kind=[1.5, nan, None, 2.5] * 3, who=[nan, 1.0, None, 2.0] * 3)
    columns = ColumnConfig(label="kind", group="who")
    split = SplitConfig(validation_fraction=0, test_fraction=0)
    clips = read(
        CorpusConfig(dataset=str(tmp_path / "d.parquet"), columns=columns, split=split), tmp_path / "s"
    ).manifest
    assert Counter(clip.label for clip in clips.clips) == {"1.5": 3, None: 6, "2.5": 3}
    assert Counter(clip.group for clip in clips.clips) == {None: 6, "1.0": 3, "2.0": 3}
    facts = [(f"clip_{n:02d}.json", json.dumps({"kind": "ab"[n] if n < 2 else nan}).encode()) for n in range(12)]
    write_tar(tmp_path / "a.tar", [*facts, *(each for each in samples(takes(12)) if not each[0].endswith("json"))])
    shards = CorpusConfig(shards=str(tmp_path / "a.tar"), columns=ColumnConfig(label="kind"), split=split)
    corpus = read(shards, tmp_path / "s")
    assert (Counter(clip.label for clip in corpus.manifest.clips), corpus.rejected) == ({"a": 1, "b": 1, None: 10}, ())


def test_a_pattern_reads_the_names_that_recordings_had(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d.parquet", takes(12))
    config = CorpusConfig(dataset=str(tmp_path / "d.parquet"), pattern="{label}_{index}.wav", labels="pattern")
    clips = read(config, tmp_path / "store").manifest.clips
    assert {(clip.label, clip.index) for clip in clips} == {("clip", number) for number in range(12)}


def test_the_same_store_serves_other_columns_without_unpacking_again(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d.parquet", takes(12))
    config = CorpusConfig(dataset=str(tmp_path / "d.parquet"), columns=ColumnConfig(label="label"))
    first = read(config, tmp_path / "store")
    other = read(replace(config, columns=ColumnConfig(label="speaker")), tmp_path / "store")
    assert first.manifest.root == other.manifest.root
    assert {clip.label for clip in other.manifest.clips} == {"s0", "s1", "s2"}
    assert {clip.label for clip in read(config, tmp_path / "store").manifest.clips} == {"low", "high"}
    told = find_corpus(config, EmbeddedConfig(), tmp_path / "store", require=None, terminal=Terminal(silent=True))
    assert told.found is not None
    assert "speaker" in told.found.notices[-1]  # a column that no option reads
    unlabelled = read(replace(config, columns=ColumnConfig()), tmp_path / "store")
    assert {clip.label for clip in unlabelled.manifest.clips} == {None}


def test_a_data_set_without_any_sound_is_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("../up.wav", sound(0)), ("/up.wav", sound(1))])
    with pytest.raises(InputError, match=r"corpus\.shards is a\.tar; .*\b2 parts\b.*a/\.\./up\.wav: .*; a//up\.wav: "):
        read(CorpusConfig(shards=str(tmp_path / "a.tar"), columns=ColumnConfig(label="cls")), tmp_path / "store")


def test_a_label_that_no_sample_has_is_refused_with_those_there_are(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", samples(takes(4)))
    with pytest.raises(
        InputError, match=r"corpus\.columns\.label is txt; .*\bcls, speaker\b.*corpus\.columns\.label=null\b"
    ):
        read(CorpusConfig(shards=str(tmp_path / "a.tar"), columns=ColumnConfig(label="txt")), tmp_path / "store")


def test_labels_of_control_characters_are_set_aside(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d.parquet", takes(12), text=["a\x1bb", *["fine"] * 11])
    config = CorpusConfig(dataset=str(tmp_path / "d.parquet"), columns=ColumnConfig(label="text"))
    corpus = read(config, tmp_path / "store")
    assert ["control characters" in each.reason for each in corpus.rejected] == [True]


WORDS = (*OWN, *CHECKPOINTS, "stages=[tokenizer,lm,report]", "corpus=dataset", "corpus.columns.group=speaker")


def test_a_run_makes_codes_of_a_data_set_offline(tmp_path: Path) -> None:
    save_splits(tmp_path / "d", {"train": takes(16), "test": takes(6, first=16)})
    words = (
        *WORDS,
        f"corpus.dataset={tmp_path / 'd'}",
        "corpus.split.shared_groups=true",
        f"store.root={tmp_path / 's'}",
    )
    done = called_at_once(tmp_path / "run", *words, HF_HUB_OFFLINE="1", HTTPS_PROXY="http://127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "run/run"
    manifest = read_manifest(folder / "manifest.tsv", tmp_path)
    assert Counter(clip.split for clip in manifest.clips) == {"train": 14, "validation": 2, "test": 6}
    assert read_rejected(folder / "rejected.tsv") == ()
    results = json.loads((folder / "results.json").read_text())
    assert results["corpus"]["name"] == "d"
    assert {entry.parent.name for entry in entries(tmp_path / "s")} >= {"tokenizer", "codes", "lm"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("corpus.dataset=DATA", "corpus.columns.label=lable"), "corpus.columns.label is lable; "),
        (("corpus.dataset=DATA", "corpus.root=here"), "corpus.root=here"),
        (("corpus.dataset=DATA", "corpus.shards=a.tar"), "corpus.shards"),
        (("corpus.dataset=missing",), "missing"),
        ((), "corpus.dataset"),
    ],
)
def test_a_run_refuses_what_is_not_there(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    write_parquet(tmp_path / "d.parquet", takes(4))
    given = [word.replace("DATA", str(tmp_path / "d.parquet")) for word in words]
    done = called_at_once(tmp_path / "run", *WORDS[:-1], *given, f"store.root={tmp_path / 's'}")
    assert told in refusal(done)
    assert not list(tmp_path.rglob("*.wav"))


def heard_by(audio: SpectrogramConfig, folder: Path) -> Corpus:
    config = CorpusConfig(root=str(folder), split=SplitConfig(validation_fraction=0, test_fraction=0))
    return corpus_of(config, folder / "store", audio=audio)


def write(path: Path, rate: int, *, channels: int = 1, seed: int = 0) -> None:
    noise = np.random.default_rng(seed).uniform(-0.3, 0.3, (rate // 2, channels))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise, rate)


def test_recordings_of_a_lower_rate_than_the_front_end_are_noticed_once(tmp_path: Path) -> None:
    for number, rate in enumerate((8_000, 8_000, 4_000, 16_000, 44_100)):
        write(tmp_path / f"{number}.wav", rate, seed=number)
    corpus = heard_by(SpectrogramConfig(sample_rate=16_000), tmp_path)
    (notice,) = corpus.notices
    for told in ("3 of 5 recordings", "audio.sample_rate=8000", "4000 Hz"):
        assert told in notice
    clips = corpus.manifest.clips
    assert not upsampling_notices(clips, SpectrogramConfig(sample_rate=4_000, n_mels=20))
    assert not upsampling_notices(clips, SpectrogramConfig(sample_rate=16_000, f_max=2_000.0))  # no band is empty
    segments = tuple(replace(clip, segment=number) for clip in clips for number in range(3))
    (counted,) = upsampling_notices(segments, SpectrogramConfig(sample_rate=16_000))
    assert named(counted, "audio") == notice  # recordings are counted


def test_the_channel_of_the_front_end_is_that_of_the_corpus(tmp_path: Path) -> None:
    write(tmp_path / "one.wav", 16_000)
    write(tmp_path / "two.wav", 16_000, channels=2, seed=1)
    corpus = heard_by(SpectrogramConfig(channel=1), tmp_path)
    assert [(clip.path, clip.channel) for clip in corpus.manifest.clips] == [("two.wav", 1)]
    assert "audio.channel=1" in corpus.rejected[0].reason


def write_calls(folder: Path, rate: int, seconds: float) -> Path:
    """Rising and falling calls of five animals, with a period of a tenth to a third of the rate."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    time = np.arange(round(rate * seconds)) / rate
    for label, (first, change) in {"up": (0.1, 0.1), "down": (0.3, -0.1)}.items():
        for number in range(20):
            phase = 2 * np.pi * rate * (first + change * time / seconds) * time
            call = 0.3 * np.sin(phase) * np.hanning(len(time)) + rng.normal(0, 0.01, len(time))
            soundfile.write(folder / f"{label}_g{number % 5}_{number}.wav", call, rate)
    return folder


@pytest.mark.slow
def test_recordings_of_200_hz_go_through_the_chain(tmp_path: Path) -> None:
    calls = write_calls(tmp_path / "in", 200, 12.0)
    corpus = (f"corpus.root='{calls}'", "corpus.pattern='{label}_{group}_{index}.wav'")
    front_end = ("audio.sample_rate=200", "audio.window_ms=640", "audio.hop_ms=80")
    done = called_at_once(tmp_path, *OWN, *corpus, *front_end)
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(tmp_path / "run/manifest.tsv", calls)
    assert {clip.sample_rate for clip in manifest.clips} == {200}
    encode(options(tmp_path / "run", calls, tmp_path / "codes.parquet"))
    assert {clip.codes.num_samples for clip in read_codes(tmp_path / "codes.parquet")[1]} == {2_400}
