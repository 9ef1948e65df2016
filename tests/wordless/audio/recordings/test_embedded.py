"""The embedded corpus: spoken whole or not at all, the same bytes each time, and voices that differ."""

import hashlib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from wordless.audio.recordings.corpus import CorpusConfig, build_manifest
from wordless.audio.recordings.embedded import (
    DEFAULT,
    OTHER_VOICES,
    OTHER_WORDS,
    PATTERN,
    VOICES,
    WORDS,
    EmbeddedConfig,
    embedded_corpus,
    fill_in,
    label_table,
    utterances,
)
from wordless.base.configuration import build
from wordless.base.errors import InputError

SMALL = EmbeddedConfig(voices=4, words=3, takes=2)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embedded_corpus(SMALL, tmp_path_factory.mktemp("cache"))


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_a_fresh_process_speaks_the_same_bytes(spoken: Path, tmp_path: Path) -> None:
    again = embedded_corpus(SMALL, tmp_path)
    assert again.name == spoken.name
    assert contents(again) == contents(spoken)


def test_every_clip_sounds_different(spoken: Path) -> None:
    assert len(set(contents(spoken).values())) == len(contents(spoken)) == 4 * 3 * 2


def test_a_table_gives_the_speed_the_pitch_or_the_text(spoken: Path) -> None:
    said = {each.file: each for each in utterances(SMALL)}
    for label in ("speed", "pitch", "text"):
        table = label_table(replace(SMALL, label=label), spoken)
        assert table.parent == spoken.parent
        manifest, _ = build_manifest(CorpusConfig(root=str(spoken), pattern=PATTERN, table=str(table)))
        assert {clip.path: clip.label for clip in manifest.clips} == {
            name: str(getattr(each, label)) for name, each in said.items()
        }
        assert {clip.group for clip in manifest.clips} == {*VOICES[:4]}
    table = label_table(EmbeddedConfig(voices=1, sentences=2, label="text"), spoken.with_name("sentences"))
    assert len(table.read_text().splitlines()[1].split("\t")[1].split()) == 5  # words of a sentence


def test_a_table_that_is_there_is_not_written_again(spoken: Path) -> None:
    """Ranks and jobs of a sweep ask for it at once, and a finished store may be read-only."""
    config = replace(SMALL, label="pitch")
    before = label_table(config, spoken).stat()
    assert label_table(config, spoken).stat().st_ino == before.st_ino


def test_names_carry_word_voice_and_take(spoken: Path) -> None:
    manifest, rejected = build_manifest(CorpusConfig(root=str(spoken), pattern=PATTERN))
    assert not rejected
    assert {each.label for each in manifest.clips} == set(WORDS[:3])
    assert {each.group for each in manifest.clips} == set(VOICES[:4])
    assert {each.index for each in manifest.clips} == {0, 1}
    assert all(0.2 < each.seconds < 1.5 and each.sample_rate == 22_050 for each in manifest.clips)


def test_what_is_there_is_not_spoken_again(spoken: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in spoken.iterdir()}
    assert embedded_corpus(SMALL, spoken.parent) == spoken
    assert {path: path.stat().st_mtime_ns for path in spoken.iterdir()} == before


def test_leftovers_of_a_killed_run_and_missing_files_are_mended(spoken: Path, tmp_path: Path) -> None:
    (tmp_path / f".{spoken.name}.aside").mkdir()
    (tmp_path / f".{spoken.name}.aside" / "zero_x_0.wav").write_bytes(b"half")
    folder = embedded_corpus(SMALL, tmp_path)
    next(folder.iterdir()).unlink()
    next(folder.iterdir()).write_bytes(b"")  # as a power failure leaves it
    assert contents(embedded_corpus(SMALL, tmp_path)) == contents(spoken)
    assert sorted(path.name for path in tmp_path.iterdir()) == [spoken.name, f"{spoken.name}.lock"]


def test_runs_at_once_do_not_harm_each_other(spoken: Path, tmp_path: Path) -> None:
    call = (
        "import sys; from pathlib import Path; from wordless.audio.recordings.embedded import *; "
        "print(embedded_corpus(EmbeddedConfig(voices=4, words=3, takes=2), Path(sys.argv[1])))"
    )
    root = Path(__file__).parents[4]
    command = [sys.executable, "-c", call, str(tmp_path)]
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(subprocess.run, command, cwd=root, capture_output=True, text=True) for _ in range(2)]
    assert {run.result().stdout.strip() for run in runs} == {str(tmp_path / spoken.name)}
    assert contents(tmp_path / spoken.name) == contents(spoken)


def test_the_engine_of_a_killed_run_stops(tmp_path: Path) -> None:
    call = (
        "import sys; from pathlib import Path; from wordless.audio.recordings.embedded import *; "
        "embedded_corpus(EmbeddedConfig(), Path(sys.argv[1]))"
    )
    run = subprocess.Popen([sys.executable, "-c", call, str(tmp_path)], cwd=Path(__file__).parents[4])
    while not (spoken := list(tmp_path.glob(".*/*.wav"))) and run.poll() is None:
        time.sleep(0.01)
    run.kill()
    run.wait()
    counts = []
    for _ in range(2):
        time.sleep(0.3)
        counts.append(len(list(tmp_path.glob(".*/*.wav"))))
    assert 0 < len(spoken) <= counts[0] == counts[1] < len(utterances(EmbeddedConfig()))


def test_the_whole_corpus_is_large_and_varied() -> None:
    whole = utterances(EmbeddedConfig())
    assert len({each.voice for each in whole}) >= 40
    assert len({each.text for each in whole}) >= 20
    assert len({each.file for each in whole}) == len(whole)
    takes = {(each.voice, each.text, each.speed, each.pitch) for each in utterances(EmbeddedConfig(voices=2, takes=20))}
    assert len(takes) == 2 * EmbeddedConfig().words * 20
    assert {each.speed for each in whole} >= set(range(140, 200))


def test_a_part_keeps_speeds_and_pitches_of_the_whole() -> None:
    """More words and takes make hours of sound, and the default corpus is a part of them."""
    whole = {each.file: each for each in utterances(EmbeddedConfig(words=len(WORDS), takes=6))}
    assert all(whole[each.file] == each for config in (SMALL, EmbeddedConfig()) for each in utterances(config))
    assert len(whole) == len(VOICES) * 300 * 6
    assert WORDS[: len(DEFAULT)] == DEFAULT
    assert len({*WORDS}) == len(WORDS)
    assert all(word.isalpha() and word.islower() for word in WORDS)


@pytest.mark.slow
def test_the_whole_corpus_lasts_half_an_hour(tmp_path: Path) -> None:
    folder = embedded_corpus(EmbeddedConfig(), tmp_path)
    seconds = sum(soundfile.info(path).duration for path in folder.iterdir())
    assert seconds >= 30 * 60
    assert len(set(contents(folder).values())) == len(utterances(EmbeddedConfig()))


@pytest.mark.parametrize("values", [{"voices": 0}, {"voices": 1_000}, {"words": 301}, {"takes": 0}, {"seed": -1}])
def test_values_out_of_range_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"^embedded\.\w+ "):
        EmbeddedConfig(**values)


@pytest.mark.parametrize("taken", [0, 900 << 10])  # the files run out, or the bytes
def test_a_full_disk_is_told_and_leaves_nothing(taken: int, small_disk: Path) -> None:
    (small_disk / "taken").write_bytes(bytes(taken))
    with pytest.raises(OSError, match=r"No space left on device: '.*embedded-"):
        embedded_corpus(EmbeddedConfig(voices=30, words=2, takes=1), small_disk / "cache")
    assert [path.suffix for path in (small_disk / "cache").iterdir()] == [".lock"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"file.* cache folder"):
        embedded_corpus(SMALL, tmp_path / "file")


def test_other_voices_and_words_are_in_no_default_corpus() -> None:
    other = utterances(EmbeddedConfig(other=True, voices=len(OTHER_VOICES), words=len(OTHER_WORDS), takes=1))
    default = utterances(EmbeddedConfig())
    assert not {each.voice for each in other} & {each.voice for each in default}
    assert not {each.text for each in other} & {each.text for each in default}
    with pytest.raises(InputError):
        EmbeddedConfig(other=True)  # there are fewer of these voices
    for voices in (3, 40):
        with pytest.raises(InputError, match=r"^embedded\.other\b.*embedded\.sentences=0"):
            EmbeddedConfig(other=True, sentences=40, voices=voices)


@pytest.mark.parametrize(
    ("given", "sentences", "voices"),
    [
        ({}, 40, 40),  # the last 12 voices speak the tests
        ({"voices": 3}, 40, 3),
        ({"words": 5}, 0, len(VOICES)),
        ({"takes": 1, "voices": 3}, 0, 3),
        ({"other": True}, 0, len(OTHER_VOICES)),
        ({"sentences": 0}, 0, len(VOICES)),
        ({"sentences": 7, "words": 5}, 7, 40),
        ({"label": "word"}, 40, 40),
        ({"label": "speed"}, 0, len(VOICES)),
        ({"label": "text"}, 0, len(VOICES)),
        ({"label": "pitch", "sentences": 7}, 7, 40),
    ],
)
def test_voices_speak_sentences_unless_words_are_asked_for(
    given: dict[str, object], sentences: int, voices: int
) -> None:
    nothing = dict.fromkeys(("voices", "sentences", "words", "takes"))
    config = build(EmbeddedConfig, fill_in({**nothing, **given}), name="embedded")
    assert (config.sentences, config.voices) == (sentences, voices)
    assert config.words == given.get("words", EmbeddedConfig().words)


def test_words_join_other_recordings() -> None:
    assert fill_in({"sentences": None, "voices": None}, alone=False) == {"sentences": 0, "voices": len(VOICES)}
    assert fill_in({"sentences": 5, "voices": None}, alone=False) == {"sentences": 5, "voices": 40}
