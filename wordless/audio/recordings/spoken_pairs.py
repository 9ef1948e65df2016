"""Pairs of utterances of which one is right: a real and a made-up word, two orders of words, or a noun that agrees.

Both utterances of a pair have the same voice, speed and pitch. The words are those of the embedded corpus, spoken by
its last voices, which a corpus with fewer voices does not have. The pairs follow ZeroSpeech 2021's tests sWUGGY (spot
the word) and sBLIMP (acceptability) in small: Nguyen et al. 2020, arXiv:2011.11588.

A pair of `consistency_pairs` differs in the sound, as in SALMon (Maimon et al. 2024, arXiv:2409.07437): two parts of a
text are joined, and in the wrong sound the second part has another speaker, gender, pitch or background.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations, product
from typing import Literal, get_args

import numpy as np
from scipy.optimize import linear_sum_assignment

from wordless.audio.recordings.embedded import VOICES, WORDS, Utterance, transcribe, utterance
from wordless.base.arrays import DoubleArray, FloatArray

STRESS = ("'", ",")  # that begin the name of a stressed vowel
Phonemes = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SpokenPair:
    """Two utterances of one voice."""

    item: str  # the word or sentence, of which there are pairs in all voices and with several made-up words
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


def word_pairs(voices: Sequence[int], *, words: int, known: int, rounds: int, seed: int) -> SpokenPairs:
    """Pair each of the first ``words`` words with ``rounds`` made-up words, in every voice.

    A made-up word is none of the first ``known`` words. All words are given to the engine as phonemes, the real ones
    too, so that nothing but the phonemes differs.
    """
    languages = {VOICES[voice]: VOICES[voice].partition("+")[0] for voice in voices}
    written = {
        language: {word: tuple(phonemes) for word, phonemes in zip(WORDS[:known], each, strict=True)}
        for language, each in transcribe(WORDS[:known], sorted({*languages.values()})).items()
    }
    chosen = made_up_words(list(written.values()), WORDS[: min(words, known)], rounds=rounds)
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


Change = Literal["speaker", "gender", "pitch", "background"]  # between the parts of the wrong sound
CHANGES: tuple[Change, ...] = get_args(Change)
Noise = Literal["white", "brown"]
NOISES: tuple[Noise, Noise] = get_args(Noise)
FEWEST_VOICES, MOST_VOICES = 4, 28  # two women and two men at least; as long as women and men alternate in `VOICES`
LOW, HIGH = 30, 70  # pitches of eSpeak, the ends of the corpus's range


@dataclass(frozen=True)
class JoinedSound:
    """Two parts of a text, one after the other."""

    files: tuple[str, str]
    noises: tuple[Noise, Noise] | None = None  # behind each part; None: silence
    seed: int = 0  # of the noise


@dataclass(frozen=True)
class ConsistencyPair:
    """A sound that stays the same, and one that changes between the parts of the same text."""

    change: Change
    item: str  # the text
    right: JoinedSound
    wrong: JoinedSound


def consistency_pairs(
    texts: Sequence[tuple[str, str]], *, voices: int, seed: int
) -> tuple[tuple[ConsistencyPair, ...], tuple[Utterance, ...]]:
    """Pair sounds of all texts, in two parts each, by the first ``voices`` voices; return all utterances, too.

    Four voices, two women and two men, say a text with one speed and pitch, and every change is made both ways. So the
    second parts of the wrong sounds of a text are those of the right ones, and do not tell which sound is right.
    """
    voices = min(max(voices, FEWEST_VOICES), MOST_VOICES) // FEWEST_VOICES * FEWEST_VOICES
    spoken: dict[str, Utterance] = {}

    def speak(part: int, number: int, by: int, *, speed: int, pitch: int) -> str:
        name = f"text{number}-{part}_{VOICES[by]}_{speed}-{pitch}"
        text = texts[number][part]
        spoken[f"{name}.wav"] = Utterance(file=f"{name}.wav", text=text, voice=VOICES[by], speed=speed, pitch=pitch)
        return f"{name}.wav"

    pairs: list[ConsistencyPair] = []
    for voice, number in product(range(voices), range(len(texts))):
        four = voice // FEWEST_VOICES
        say = partial(speak, number=number, speed=utterance("", "", four, place=number, seed=seed).speed)
        item, pitch = " ".join(texts[number]), LOW if (four + number) % 2 else HIGH
        low, high = ((say(0, by=voice, pitch=each), say(1, by=voice, pitch=each)) for each in (LOW, HIGH))
        for first, second, other in ((*low, high[1]), (*high, low[1])):
            pairs.append(ConsistencyPair("pitch", item, JoinedSound((first, second)), JoinedSound((first, other))))
        first, second = low if pitch == LOW else high
        same = JoinedSound((first, second))
        partners: dict[Change, int] = {"speaker": voice ^ 2, "gender": voice ^ 1}  # women have even numbers
        for change, partner in partners.items():
            pairs.append(ConsistencyPair(change, item, same, JoinedSound((first, say(1, by=partner, pitch=pitch)))))
        seed_of_noise = len(pairs)
        for noise, other in permutations(NOISES):
            right, wrong = (JoinedSound(same.files, (noise, behind), seed_of_noise) for behind in (noise, other))
            pairs.append(ConsistencyPair("background", item, right, wrong))
    return tuple(pairs), tuple(spoken.values())


def joined_sound(
    first: FloatArray, second: FloatArray, noises: tuple[Noise, Noise] | None, *, snr: float, seed: int
) -> FloatArray:
    """Join the samples of two parts, with noise behind each that is ``snr`` dB softer than both parts together."""
    clean = np.concatenate([first, second])
    if noises is None:
        return clean
    white = np.random.default_rng(seed).standard_normal(len(clean))
    colours = {noise: _coloured(white, noise) for noise in dict.fromkeys(noises)}
    behind = np.concatenate([colours[noises[0]][: len(first)], colours[noises[1]][len(first) :]])
    level = np.sqrt(np.square(clean, dtype=np.float64).mean()) * 10 ** (-snr / 20)
    return np.asarray(clean + level * behind, np.float32)


def _coloured(white: DoubleArray, noise: Noise) -> DoubleArray:
    """Turn white noise into noise of a colour, of mean power 1; brown noise falls by 6 dB per octave."""
    spectrum = np.fft.rfft(white)
    if noise == "brown":
        spectrum /= np.maximum(np.arange(len(spectrum)), 1)
        spectrum[0] = 0
    coloured = np.fft.irfft(spectrum, len(white))
    return np.asarray(coloured / np.sqrt(np.square(coloured).mean()))


def made_up_words(
    accents: Sequence[Mapping[str, Phonemes]], words: Sequence[str], *, rounds: int
) -> list[tuple[str, str]]:
    """Choose (word, donor): the word with the beginning of the donor is a made-up word, in all accents.

    In each round every word gives its beginning, the consonant before its stressed vowel, to one word at most. So the
    made-up words of a round have the beginnings and the endings of the real ones, and frequencies of sounds do not
    tell them apart. ``accents`` have the phonemes of all words of the corpus. A made-up word is none of them in any
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
    for _ in range(rounds):
        for word, donor in zip(*linear_sum_assignment(possible, maximize=True), strict=True):
            if possible[word, donor]:
                chosen.append((words[word], words[donor]))
                # A word has no beginning twice. Two words with one ending may still give the same made-up word.
                possible[word, beginnings == beginnings[donor]] = False
    return chosen


def exchange(phonemes: Mapping[str, Phonemes], word: str, donor: str) -> Phonemes:
    """Return the word with the beginning of the donor."""
    return _beginning(phonemes[donor]) + phonemes[word][len(_beginning(phonemes[word])) :]


def _beginning(phonemes: Phonemes) -> Phonemes:
    """Return the phonemes before the first stressed vowel."""
    return phonemes[: next(number for number, name in enumerate(phonemes) if name.startswith(STRESS))]
