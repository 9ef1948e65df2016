"""The embedded corpus: spoken whole or not at all, the same bytes each time; and pairs of which one is right."""

from collections import Counter
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path

import pytest

from pipelines.plugins.zerospeech import utterance_pairs
from tests.killing import PROCESSES
from wordless.audio.recordings import embedded
from wordless.audio.recordings.corpus import build_manifest, find_recordings
from wordless.audio.recordings.corpus_config import CorpusConfig, Making
from wordless.audio.recordings.embedded import DEFAULT, HELD_OUT, VOICES, EmbeddedConfig, utterances
from wordless.base.files import file_hash
from wordless.base.messages import InputError
from wordless.base.options import build
from wordless.base.progress import Terminal

SMALL = EmbeddedConfig(voices=4, words=3, repetitions=2)


def embedded_corpus(config: EmbeddedConfig, cache: Path) -> Path:
    return embedded.speak(utterances(config), cache, seed=config.seed)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embedded_corpus(SMALL, tmp_path_factory.mktemp("cache"))


def contents(folder: Path) -> dict[str, str]:
    return {path.name: file_hash(path) for path in folder.iterdir()}


def test_names_carry_word_voice_and_take_and_labels_may_be_the_speed_the_pitch_or_the_text(spoken: Path) -> None:
    said = {each.file: each for each in utterances(SMALL)}
    for label in ("word", "speed", "pitch", "text"):
        own = CorpusConfig(embedded=replace(SMALL, label=label))
        found = find_recordings(own, Making(folder=lambda: spoken.parent, terminal=Terminal(silent=True)))
        assert found.root == spoken
        manifest, rejected = build_manifest(own, found=found)
        assert not rejected
        assert {clip.path: clip.label for clip in manifest.clips} == {
            name: str(getattr(each, "text" if label == "word" else label)) for name, each in said.items()
        }
        assert {clip.group for clip in manifest.clips} == {*VOICES[:4]}
        assert {clip.index for clip in manifest.clips} == {0, 1}
        assert all(0.2 < clip.seconds < 1.5 and clip.sample_rate == 22_050 for clip in manifest.clips)
    sentences = utterances(EmbeddedConfig(voices=1, sentences=2, label="text"))
    assert all(len(each.text.split()) == 5 for each in sentences)


def test_a_corpus_that_is_there_is_not_written_again(spoken: Path) -> None:
    """Ranks and jobs of a sweep ask for it at once, and a finished store may be read-only."""
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


def test_runs_at_once_speak_the_same_bytes(spoken: Path, tmp_path: Path) -> None:
    runs = [PROCESSES.Process(target=embedded_corpus, args=(SMALL, tmp_path)) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert [run.exitcode for run in runs] == [0, 0]
    assert contents(tmp_path / spoken.name) == contents(spoken)
    assert len(set(contents(spoken).values())) == len(contents(spoken)) == 4 * 3 * 2  # each clip sounds different


def test_a_part_keeps_speeds_and_pitches_of_the_whole() -> None:
    """More words and takes make hours of sound, and the default corpus is a part of them."""
    whole = {each.file: each for each in utterances(EmbeddedConfig(words=len(embedded.WORDS), repetitions=6))}
    assert all(whole[each.file] == each for config in (SMALL, EmbeddedConfig()) for each in utterances(config))
    assert len(whole) == len({*embedded.WORDS}) * len(VOICES) * 6 == 300 * len(VOICES) * 6
    assert embedded.WORDS[: len(DEFAULT)] == DEFAULT
    takes = utterances(EmbeddedConfig(voices=2, repetitions=20))
    assert len({(each.voice, each.text, each.speed, each.pitch) for each in takes}) == len(takes)
    assert {each.speed for each in utterances(EmbeddedConfig())} >= set(range(140, 200))


@pytest.mark.parametrize("taken", [0, 900 << 10])  # the files run out, or the bytes
def test_a_full_disk_is_told_and_leaves_nothing(taken: int, small_disk: Path) -> None:
    (small_disk / "taken").write_bytes(bytes(taken))
    with pytest.raises(OSError, match=r"No space left on device: '.*embedded-"):
        embedded_corpus(EmbeddedConfig(voices=30, words=2, repetitions=1), small_disk / "cache")
    assert [path.suffix for path in (small_disk / "cache").iterdir()] == [".lock"]


def test_other_voices_and_words_are_in_no_default_corpus() -> None:
    sizes = {"voices": len(embedded.OTHER_VOICES), "words": len(embedded.OTHER_WORDS)}
    other = utterances(EmbeddedConfig(other=True, repetitions=1, **sizes))
    default = utterances(EmbeddedConfig())
    assert not {each.voice for each in other} & {each.voice for each in default}
    assert not {each.text for each in other} & {each.text for each in default}
    with pytest.raises(InputError):
        EmbeddedConfig(other=True)  # there are fewer of these voices
    for voices in (3, 40):
        with pytest.raises(InputError, match=r"^other\b.*\bsentences=0"):
            EmbeddedConfig(other=True, sentences=40, voices=voices)


@pytest.mark.parametrize(
    ("given", "sentences", "voices"),
    [
        ({}, 40, 40),  # the last 12 voices speak the tests
        ({"voices": 3}, 40, 3), ({"words": 5}, 0, len(VOICES)), ({"repetitions": 1, "voices": 3}, 0, 3),
        ({"other": True}, 0, len(embedded.OTHER_VOICES)), ({"sentences": 0}, 0, len(VOICES)),
        ({"sentences": 7, "words": 5}, 7, 40), ({"label": "word"}, 40, 40), ({"label": "speed"}, 0, len(VOICES)),
        ({"label": "text"}, 0, len(VOICES)), ({"label": "pitch", "sentences": 7}, 7, 40),
    ],
)  # fmt: skip
def test_voices_speak_sentences_unless_words_are_wanted(given: dict[str, object], sentences: int, voices: int) -> None:
    nothing = dict.fromkeys(("voices", "sentences", "words", "repetitions"))
    config = build(EmbeddedConfig, embedded.fill_in({**nothing, **given}), name="embedded")
    assert (config.sentences, config.voices) == (sentences, voices)
    assert config.words == given.get("words", EmbeddedConfig().words)


def test_a_made_up_word_is_no_word_and_differs_in_one_consonant() -> None:
    accents = utterance_pairs.held_out_voices(8)  # one voice of each
    asked = utterance_pairs.word_pairs(accents, words=30, known=30, pseudo_words=3, seed=0)
    by_file = {each.file: each for each in asked.utterances}
    real = {each.text for each in asked.utterances if each.file.partition("_")[0] in DEFAULT}
    assert len(asked.pairs) == 8 * 3 * 20
    for pair in asked.pairs:
        right, wrong = by_file[pair.right], by_file[pair.wrong]
        assert (right.voice, right.speed, right.pitch) == (wrong.voice, wrong.speed, wrong.pitch)
        assert right.file.startswith(f"{pair.item}_")
        assert wrong.text not in real
        assert right.text[3:].partition("'")[2] == wrong.text[3:].partition("'")[2]  # all from the stressed vowel on
    assert len({(pair.voice, by_file[pair.wrong].text) for pair in asked.pairs}) > 8 * 3 * 20 * 0.9


def test_make_pseudo_words_have_the_sounds_of_the_real_ones_equally_often() -> None:
    written = embedded.transcribe(DEFAULT, ["en-us"])["en-us"]
    phonemes = {word: tuple(each) for word, each in zip(DEFAULT, written, strict=True)}
    chosen = utterance_pairs.make_pseudo_words([phonemes], DEFAULT, pseudo_words=2)
    made_up = [utterance_pairs.exchange(phonemes, word, donor) for word, donor in chosen]
    assert Counter(chain(*(phonemes[word] for word, _ in chosen))) == Counter(chain(*made_up))
    assert len({*made_up}) >= len(chosen) - 2
    assert made_up[chosen.index(("basket", "morning"))][:2] == ("m", "'aa")


def test_held_out_sentences_are_never_trained_on_but_their_pairs_of_words_are() -> None:
    assert len(embedded.TRAINING) + len(HELD_OUT) == 5**5 == 5 * len(HELD_OUT)
    assert not {*embedded.TRAINING} & {*HELD_OUT}
    kinds = embedded.TRAINING, HELD_OUT
    seen, asked = ({pair for each in texts for pair in pairwise(each.split())} for texts in kinds)
    assert asked <= seen
    spoken = utterances(EmbeddedConfig(voices=2, sentences=50))
    one, other = ([each.text for each in spoken if each.voice == voice] for voice in VOICES[:2])
    assert len({*one}) == 50
    assert {*one} <= {*embedded.TRAINING}
    assert one != other


def test_two_neighbouring_words_change_places() -> None:
    pairs = embedded.order_pairs(40)
    assert len({right for right, _ in pairs} & {*HELD_OUT}) == 40
    places = Counter()  # type: Counter[tuple[int, ...]]
    for right, wrong in ([text.removesuffix(".").split() for text in pair] for pair in pairs):
        assert sorted(right) == sorted(wrong)
        assert all(word in slot for word, slot in zip(right, embedded.SLOTS, strict=True))
        places[tuple(n for n, (a, b) in enumerate(zip(right, wrong, strict=True)) if a != b)] += 1
    assert places == {(0, 1): 10, (1, 2): 10, (2, 3): 10, (3, 4): 10}
    asked = utterance_pairs.sentence_pairs(utterance_pairs.held_out_voices(2), embedded.order_pairs(3), seed=0)
    assert len(asked.pairs) == 6
    assert asked.pairs[0].item == "Peter got two large desks."


@pytest.mark.parametrize("count", [1, 2, 30, 60])
def test_nouns_agree_with_a_number_that_no_pair_of_words_tells(count: int) -> None:
    training = {text.removesuffix(".") for text in embedded.WITH_AGREEMENT}
    pairs = [tuple(text.removesuffix(".") for text in pair) for pair in embedded.agreement_pairs(count)]
    assert len({*pairs}) == max(count - count % 2, 2)
    seen = {pair for text in training for pair in pairwise(text.split())}
    for right, wrong in pairs:
        assert not {right, wrong} & training
        for text, agrees in ((right, True), (wrong, False)):
            assert ((text.split()[2] in ("one", "another")) == (not text.endswith("s"))) == agrees
            assert {*pairwise(text.split())} <= seen
        assert right.split()[:4] == wrong.split()[:4]
    ends = [[tuple(text.split()[3:]) for text in texts] for texts in zip(*pairs, strict=True)]
    assert Counter(ends[0]) == Counter(ends[1])
    spoken = [each.text for each in utterances(EmbeddedConfig(voices=2, sentences=50, agreement=True))]
    assert {*spoken} <= {*embedded.WITH_AGREEMENT}
    with pytest.raises(InputError, match=r"^(embedded\.)?agreement\b.*sentences"):
        EmbeddedConfig(agreement=True)


def test_a_corpus_of_sentences_has_labels_and_voices() -> None:
    spoken = utterances(EmbeddedConfig(voices=3, sentences=4))
    assert len({each.file for each in spoken}) == 12
    assert [each.file.split("_")[1] for each in spoken[::4]] == list(VOICES[:3])
    assert all(each.text.removesuffix(".").split()[-1] == each.file.split("_")[0] for each in spoken)
    with pytest.raises(InputError, match=r"^(embedded\.)?sentences\b"):
        EmbeddedConfig(sentences=embedded.MOST_SENTENCES + 1)
