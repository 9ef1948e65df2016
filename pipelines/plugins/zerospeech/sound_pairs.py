"""Pairs of sounds of a text, of which the wrong one changes speaker, gender, pitch or background within the text."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations, product
from typing import Literal, get_args

import numpy as np

from lm.probing import intervals as intervals
from wordless.audio.recordings.embedded import (
    VOICES,
    Utterance,
    utterance,
)
from wordless.base.arrays import DoubleArray, FloatArray

FEWEST_VOICES, MOST_VOICES = 4, 28  # two women and two men at least; as long as women and men alternate in `VOICES`
LOW, HIGH = 30, 70  # pitches of eSpeak, the ends of the corpus's range
_Change = Literal["speaker", "gender", "pitch", "background"]  # between the parts of the wrong sound
CHANGES: tuple[_Change, ...] = get_args(_Change)
_Noise = Literal["white", "brown"]
_NOISES: tuple[_Noise, _Noise] = get_args(_Noise)


@dataclass(frozen=True)
class JoinedSound:
    """Two parts of a text, one after the other."""

    files: tuple[str, str]
    noises: tuple[_Noise, _Noise] | None = None  # behind each part; None: silence
    seed: int = 0  # of the noise


@dataclass(frozen=True)
class ConsistencyPair:
    """A sound that stays the same, and one that changes between the parts of the same text."""

    change: _Change
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
        partners: dict[_Change, int] = {"speaker": voice ^ 2, "gender": voice ^ 1}  # women have even numbers
        for change, partner in partners.items():
            pairs.append(ConsistencyPair(change, item, same, JoinedSound((first, say(1, by=partner, pitch=pitch)))))
        seed_of_noise = len(pairs)
        for noise, other in permutations(_NOISES):
            right, wrong = (JoinedSound(same.files, (noise, behind), seed_of_noise) for behind in (noise, other))
            pairs.append(ConsistencyPair("background", item, right, wrong))
    return tuple(pairs), tuple(spoken.values())


def joined_changes(
    first: FloatArray, second: FloatArray, noises: tuple[_Noise, _Noise] | None, *, snr: float, seed: int
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


def _coloured(white: DoubleArray, noise: _Noise) -> DoubleArray:
    """Turn white noise into noise of a colour, of mean power 1; brown noise falls by 6 dB per octave."""
    spectrum = np.fft.rfft(white)
    if noise == "brown":
        spectrum /= np.maximum(np.arange(len(spectrum)), 1)
        spectrum[0] = 0
    coloured = np.fft.irfft(spectrum, len(white))
    return np.asarray(coloured / np.sqrt(np.square(coloured).mean()))
