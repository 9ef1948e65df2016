"""Pairs of utterances of which one is right: a real and a pseudo-word, two orders of words, or a noun that agrees."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipelines.plugins.zerospeech import ZerospeechConfig
from wordless.audio.recordings.embedded import (
    VOICES,
    WORDS,
    EmbeddedConfig,
    Utterance,
    agreement_pairs,
    order_pairs,
    transcribe,
    utterance,
)
from wordless.base.messages import require

STRESS = ("'", ",")  # that begin the name of a stressed vowel
Phonemes = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SpokenPair:
    """Two utterances of one voice."""

    item: str  # the word or sentence, of which there are pairs in all voices and with several pseudo-words
    other: str  # what stands against the item, in words
    voice: str
    right: str  # file of the real word or the right order
    wrong: str


@dataclass(frozen=True, kw_only=True)
class SpokenPairs:
    """Pairs, and all utterances that they need, each once."""

    pairs: tuple[SpokenPair, ...]
    utterances: tuple[Utterance, ...]


def held_out_voices(count: int) -> range:
    """Return the numbers of the last ``count`` voices."""
    return range(len(VOICES) - count, len(VOICES))


def word_pairs(voices: Sequence[int], *, words: int, known: int, pseudo_words: int, seed: int) -> SpokenPairs:
    """Pair each of the first ``words`` words with ``pseudo_words`` pseudo-words each, in every voice.

    A pseudo-word is none of the first ``known`` words. All words are given to the engine as phonemes, the real ones
    too, so that nothing but the phonemes differs.
    """
    languages = {VOICES[voice]: VOICES[voice].partition("+")[0] for voice in voices}
    written = {
        language: {word: tuple(phonemes) for word, phonemes in zip(WORDS[:known], each, strict=True)}
        for language, each in transcribe(WORDS[:known], sorted({*languages.values()})).items()
    }
    chosen = make_pseudo_words(list(written.values()), WORDS[: min(words, known)], pseudo_words=pseudo_words)
    asked = list[tuple[Utterance, Utterance, str, str]]()
    for voice, (word, donor) in product(voices, chosen):
        name, phonemes = VOICES[voice], written[languages[VOICES[voice]]]
        right, wrong = (
            utterance(f"[[{''.join(sound)}]]", f"{label}_{name}_0", voice, place=WORDS.index(word), seed=seed)
            for label, sound in ((word, phonemes[word]), (f"{word}-{donor}", exchange(phonemes, word, donor)))
        )
        asked.append((right, wrong, word, f"{word} with the beginning of {donor}"))
    return _spoken(asked)


def sentence_pairs(voices: Sequence[int], sentences: Sequence[tuple[str, str]], *, seed: int) -> SpokenPairs:
    """Let every voice speak both sentences of each pair, the right one first: `order_pairs` or `agreement_pairs`."""
    asked = list[tuple[Utterance, Utterance, str, str]]()
    for voice, (number, texts) in product(voices, enumerate(sentences)):
        right, wrong = (
            utterance(text, f"{label}_{VOICES[voice]}_{number}", voice, place=number, seed=seed)
            for label, text in zip(("right", "wrong"), texts, strict=True)
        )
        asked.append((right, wrong, *texts))
    return _spoken(asked)


def _spoken(asked: Iterable[tuple[Utterance, Utterance, str, str]]) -> SpokenPairs:
    pairs, spoken = list[SpokenPair](), dict[str, Utterance]()
    for right, wrong, item, other in asked:
        pairs.append(SpokenPair(item=item, other=other, voice=right.voice, right=right.file, wrong=wrong.file))
        spoken |= {right.file: right, wrong.file: wrong}
    return SpokenPairs(pairs=tuple(pairs), utterances=tuple(spoken.values()))


def make_pseudo_words(
    accents: Sequence[Mapping[str, Phonemes]], words: Sequence[str], *, pseudo_words: int
) -> list[tuple[str, str]]:
    """Choose (word, donor): the word with the beginning of the donor is a pseudo-word, in all accents.

    In each round every word gives its beginning, the consonant before its stressed vowel, to one word at most. So the
    pseudo-words of a round have the beginnings and the endings of the real ones, and frequencies of sounds do not
    tell them apart. ``accents`` have the phonemes of all words of the corpus. A pseudo-word is none of them in any
    accent; it may be an English word that the corpus lacks. Words that begin with a vowel or with two consonants are
    left out.
    """
    words = [word for word in words if all(len(_beginning(each[word])) == 1 for each in accents)]
    beginnings = np.array([_beginning(accents[0][word])[0] for word in words])
    possible = np.array(
        [
            [all(exchange(each, word, donor) not in each.values() for each in accents) for donor in words]
            for word in words
        ]
    )
    chosen: list[tuple[str, str]] = []
    for _ in range(pseudo_words):
        for word, donor in zip(*linear_sum_assignment(possible, maximize=True), strict=True):
            if possible[word, donor]:
                chosen.append((words[word], words[donor]))
                # A word has no beginning twice. Two words with one ending may still give the same pseudo-word.
                possible[word, beginnings == beginnings[donor]] = False
    return chosen


def exchange(phonemes: Mapping[str, Phonemes], word: str, donor: str) -> Phonemes:
    """Return the word with the beginning of the donor."""
    return _beginning(phonemes[donor]) + phonemes[word][len(_beginning(phonemes[word])) :]


def _beginning(phonemes: Phonemes) -> Phonemes:
    """Return the phonemes before the first stressed vowel."""
    return phonemes[: next(number for number, name in enumerate(phonemes) if name.startswith(STRESS))]


def asked_pairs(config: ZerospeechConfig, embedded: EmbeddedConfig) -> SpokenPairs:
    """List the pairs that the embedded corpus allows; refuse words of which no pseudo-word can be made."""
    voices = held_out_voices(config.voices)
    if embedded.sentences:
        pairs = agreement_pairs if embedded.agreement else order_pairs
        return sentence_pairs(voices, pairs(config.sentences), seed=config.seed)
    found = word_pairs(
        voices, words=config.words, known=embedded.words, pseudo_words=config.pseudo_words_per_word, seed=config.seed
    )
    rule = "pseudo-words are made of several words: choose more"
    require(bool(found.pairs), "embedded.words", embedded.words, rule)
    return found
