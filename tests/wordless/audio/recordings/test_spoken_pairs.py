"""Made-up words and exchanged words: what differs in a pair, and what must not."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordless.audio.recordings.embedded import (
    DEFAULT,
    HELD_OUT,
    MOST_SENTENCES,
    PHONES,
    SLOTS,
    TRAINING,
    VOICES,
    EmbeddedConfig,
    order_pairs,
    read_phones,
    speak,
    training_sentences,
    transcribe,
    utterances,
)
from wordless.audio.recordings.spoken_pairs import exchange, held_out_voices, made_up_words, sentence_pairs, word_pairs
from wordless.base.errors import InputError


def test_a_made_up_word_is_no_word_and_differs_in_one_consonant() -> None:
    asked = word_pairs(held_out_voices(8), words=30, known=30, rounds=3, seed=0)  # all eight accents
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


def test_made_up_words_have_the_sounds_of_the_real_ones_equally_often() -> None:
    written = transcribe(DEFAULT, ["en-us"])["en-us"]
    phonemes = {word: tuple(each) for word, each in zip(DEFAULT, written, strict=True)}
    chosen = made_up_words([phonemes], DEFAULT, rounds=2)
    words = [word for word, _ in chosen]
    assert Counter(sound for word in words for sound in phonemes[word]) == Counter(
        sound for word, donor in chosen for sound in exchange(phonemes, word, donor)
    )
    assert len({exchange(phonemes, word, donor) for word, donor in chosen}) >= len(chosen) - 2
    assert ("basket", "morning") in chosen
    assert exchange(phonemes, "basket", "morning")[:2] == ("m", "'aa")


def test_an_impossible_exchange_is_left_out() -> None:
    """ "fin" with the beginning of "tan" is the word "tin"."""
    words = {"fin": ("f", "'I", "n"), "tin": ("t", "'I", "n"), "tan": ("t", "'a", "n"), "up": ("'V", "p")}
    assert made_up_words([words], list(words), rounds=2) == [("tan", "fin")]
    assert made_up_words([words], ["fin", "tan"], rounds=2) == [("tan", "fin")]


def test_phones_have_times_within_the_sound(tmp_path: Path) -> None:
    asked = word_pairs(held_out_voices(1), words=30, known=30, rounds=1, seed=0)
    folder = speak(asked.utterances[:4], tmp_path, seed=0, phones=True)
    for file, phones in read_phones(folder).items():
        assert 2 <= len(phones) <= 8
        starts, ends = ([phone[place] for phone in phones] for place in (1, 2))
        assert starts[1:] == ends[:-1]
        assert 0 <= starts[0] < 0.1
        assert soundfile.info(folder / file).duration - 0.25 < ends[-1] <= soundfile.info(folder / file).duration
        assert not any("'" in phone[0] for phone in phones)
    before = read_phones(folder)
    (folder / PHONES).unlink()
    assert speak(asked.utterances[:4], tmp_path, seed=0, phones=True) == folder
    assert read_phones(folder) == before


def test_words_as_phonemes_sound_like_words_as_text(tmp_path: Path) -> None:
    """The GPT is trained on words that were given as text, and the tests are given as phonemes."""
    text = next(
        each for each in utterances(EmbeddedConfig(voices=52, takes=1)) if each.file == f"five_{VOICES[51]}_0.wav"
    )
    asked = next(
        each for each in word_pairs([51], words=30, known=30, rounds=1, seed=0).utterances if each.file == text.file
    )
    plain, phonemes = speak([text], tmp_path, seed=0), speak([asked], tmp_path, seed=0, phones=True)
    one, other = (soundfile.read(folder / text.file)[0] for folder in (plain, phonemes))
    assert abs(len(one) - len(other)) < 0.01 * len(one)
    levels = [np.array([float((part**2).mean()) for part in np.array_split(sound, 20)]) for sound in (one, other)]
    assert np.corrcoef(*levels)[0, 1] > 0.9


def test_held_out_sentences_are_never_trained_on_but_their_pairs_of_words_are() -> None:
    assert len(TRAINING) + len(HELD_OUT) == 5**5 == 5 * len(HELD_OUT)
    assert not {*TRAINING} & {*HELD_OUT}
    seen = {(first, second) for each in TRAINING for first, second in zip(each.words, each.words[1:], strict=False)}
    assert {pair for each in HELD_OUT for pair in zip(each.words, each.words[1:], strict=False)} <= seen
    drawn = training_sentences(50, seed=[0, 1])
    assert len({*drawn}) == 50
    assert {*drawn} <= {*TRAINING}
    assert drawn != training_sentences(50, seed=[0, 2])


def test_two_neighbouring_words_change_places() -> None:
    pairs = order_pairs(40)
    assert len({right for right, _ in pairs} & {*HELD_OUT}) == 40
    places = Counter()  # type: Counter[tuple[int, ...]]
    for right, wrong in pairs:
        assert sorted(right.words) == sorted(wrong.words)
        assert all(word in slot for word, slot in zip(right.words, SLOTS, strict=True))
        places[tuple(n for n, (a, b) in enumerate(zip(right.words, wrong.words, strict=True)) if a != b)] += 1
    assert places == {(0, 1): 10, (1, 2): 10, (2, 3): 10, (3, 4): 10}
    asked = sentence_pairs(held_out_voices(2), count=3, seed=0)
    assert len(asked.pairs) == 6
    assert asked.pairs[0].item == "Peter got two large desks."


def test_a_corpus_of_sentences_has_labels_and_voices() -> None:
    spoken = utterances(EmbeddedConfig(voices=3, sentences=4))
    assert len({each.file for each in spoken}) == 12
    assert [each.file.split("_")[1] for each in spoken[::4]] == list(VOICES[:3])
    assert all(each.text.removesuffix(".").split()[-1] == each.file.split("_")[0] for each in spoken)
    with pytest.raises(InputError, match=r"^embedded\.sentences\b"):
        EmbeddedConfig(sentences=MOST_SENTENCES + 1)
