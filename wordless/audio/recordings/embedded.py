"""The embedded corpus: sentences, or single words, by many eSpeak NG voices, synthesised locally and offline.

File ``{label}_{voice}_{number}.wav``: group = voice. The label of a sentence is its last word.
In a corpus of words the label is the word, and repetitions of a word by a voice differ in speed and pitch.
The engine's silence is kept: 12 ms before the word and at most 14 ms after it (measured over 104 voices).

Sentences are matrix sentences: name, verb, number, adjective, noun, as in the matrix tests of audiology.

Any word of a slot may follow any word of the slot before it, as in "Peter got three large desks" (Hagerman 1982;
Kollmeier et al. 2015, "The multilingual matrix test"). So a sentence is right or wrong by the order of its word classes
alone. A fifth of all sentences is never trained on: those whose places in the slots have a sum that is divisible by
five. All pairs of neighbouring words occur in the others.

Sentences with agreement have other words in the third slot, after which the noun is singular or plural: "Lucy kept one
green ring", "Lucy kept three green rings". Any adjective stands between, so no pair of words tells which is right.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from wordless.base.files import flush_folder, locked, named_write_errors, os_number
from wordless.base.messages import InputError
from wordless.base.options import Options, option
from wordless.base.seeds import MAX_SEED
from wordless.base.versions import version_of

# The ten digits, then common commands, then words that differ in length and sounds: the corpus of `embedded.words=30`.
DEFAULT = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"),
    *("house", "water", "music", "garden", "window", "happy", "purple", "morning", "basket", "elephant"),
)
# Beside them are common words of one to four syllables, so that hours of the corpus hold more than other repetitions.
WORDS = (*DEFAULT, *Path(__file__).with_name("words.txt").read_text(encoding="utf-8").split())

SLOTS = (
    ("Peter", "Kathy", "Thomas", "Lucy", "Steven"),
    ("got", "sees", "bought", "wants", "kept"),
    ("two", "three", "four", "seven", "nine"),
    ("large", "old", "green", "heavy", "cheap"),
    ("desks", "chairs", "rings", "spoons", "flowers"),
)
AGREEING = ("one", "another", "two", "three", "seven")  # in the place of the numbers
SINGULAR = 2  # so many of them are followed by a singular
_EVERY = 5  # one of so many sentences is held out

_PLACES = [*product(range(len(SLOTS[0])), repeat=len(SLOTS))]
_TRAINING, _HELD_OUT = ([each for each in _PLACES if (sum(each) % _EVERY == 0) == out] for out in (False, True))


def _sentence(places: Sequence[int], *, agreement: bool = False, wrong: bool = False) -> str:
    """Return the sentence of a place in each slot; a wrong one has the other number of its noun."""
    words = [slot[place] for slot, place in zip(SLOTS, places, strict=True)]
    if agreement:
        words[2] = AGREEING[places[2]]
        words[4] = words[4].removesuffix("s") if (places[2] < SINGULAR) != wrong else words[4]
    return " ".join(words) + "."


TRAINING, HELD_OUT = ([_sentence(each) for each in places] for places in (_TRAINING, _HELD_OUT))
WITH_AGREEMENT = [_sentence(each, agreement=True) for each in _TRAINING]
MOST_SENTENCES = len(TRAINING)


def order_pairs(count: int) -> list[tuple[str, str]]:
    """Return ``count`` held-out sentences, each with two neighbouring words exchanged, every place equally often."""
    pairs = []
    for number in range(count):
        sentence, place = HELD_OUT[number * len(HELD_OUT) // count], number % (len(SLOTS) - 1)
        words = sentence.removesuffix(".").split()
        words[place : place + 2] = words[place + 1], words[place]
        pairs.append((sentence, " ".join(words) + "."))
    return pairs


def agreement_pairs(count: int) -> list[tuple[str, str]]:
    """Return ``count`` held-out sentences, an even number, each with one whose noun has the wrong number.

    Two sentences with the same adjective and noun follow each other, a singular and a plural. What is right in one is
    wrong in the other, so frequencies of words and of their pairs are right in exactly one.
    """
    singular, pairs = [each for each in _HELD_OUT if each[2] < SINGULAR], list[tuple[str, str]]()
    bases = max(count // 2, 1)
    for number in range(bases):
        name, verb, one, *rest = singular[number * len(singular) // bases]
        several = SINGULAR + number % (len(AGREEING) - SINGULAR)
        other = (name + one - several) % len(SLOTS[0])  # keeps the sum of the places, so it is held out, too
        for places in ((name, verb, one, *rest), (other, verb, several, *rest)):
            right, wrong = (_sentence(places, agreement=True, wrong=wrong) for wrong in (False, True))
            pairs.append((right, wrong))
    return pairs


# Variants that sound like persons, without robots, whispers and effects. Women's and men's voices alternate as long as
# there are both, so that a smaller corpus has some of each.
_VARIANTS = (
    *("f1", "m1", "f2", "m2", "f3", "m3", "f4", "m4", "f5", "m5", "Alicia", "Alex", "Andrea", "Andy", "Annie", "Denis"),
    *("anika", "Gene", "aunty", "Jacky", "belinda", "Lee", "linda", "Michael", "steph", "Mike", "grandma", "grandpa"),
    *("shelby", "Reed", "Mario", "m6", "m7", "m8", "adam", "antonio", "benjamin", "boris", "david", "ed", "ian"),
    *("john", "max", "miguel", "norbert", "paul", "pedro", "travis", "victor", "robert", "marcelo", "sandro"),
)
# Variants and languages of the second corpus, which shares no voice with the first: for models that others begin with.
_OTHER_VARIANTS = (
    *("steph2", "Diogo", "steph3", "Gene2", "zac", "Henrique", "klatt", "klatt2", "klatt3", "klatt4", "klatt5"),
    *("klatt6", "Hugo", "Marco", "Nguyen", "caleb", "announcer", "edward", "edward2", "gustave", "iven", "iven2"),
    *("iven3", "iven4", "kaukovalta", "michel", "mike2", "pablo", "quincy", "rob"),
)
_OTHER_ACCENTS = ("en-us", "de", "es", "fr", "it", "nl", "pl", "pt", "sv", "fi", "tr", "id", "cs")
_ACCENTS = ("en-us", "en", "en-gb-scotland", "en-029", "en-gb-x-rp", "en-us-nyc", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
_WAV_HEADER = 44  # bytes
_VOLUME = 60  # percent; at 100 a tenth of the variants clip
_SPEEDS = (130, 210)  # words per minute, least and most
_PITCHES = (30, 70)  # of 100; 50 is the voice's own
_STEPS = np.sqrt([2.0, 3.0])  # between the repetitions' places in the two ranges, modulo 1


def _voices(accents: Sequence[str], variants: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{accents[number % len(accents)]}+{variant}" for number, variant in enumerate(variants))


VOICES, OTHER_VOICES = _voices(_ACCENTS, _VARIANTS), _voices(_OTHER_ACCENTS, _OTHER_VARIANTS)
OTHER_WORDS = WORDS[len(DEFAULT) :]
SENTENCES, VOICES_OF_SENTENCES = 40, 40  # of the default corpus: 48 minutes


@dataclass(frozen=True, kw_only=True)
class EmbeddedConfig(Options):
    """Size of a corpus of words, by default 33 minutes in 5 s of synthesis, or of sentences: see `fill_in`."""

    voices: int = option(
        len(VOICES),
        "number of voices, at most 52; null: for sentences 40, or fewer if a test keeps more than 12, and "
        "for words all",
        least=1,
    )
    words: int = option(len(DEFAULT), "number of words, at most 300; the ten digits come first; null: 30", least=1)
    repetitions: int = option(
        3,
        "recordings of each word by each voice, with different speeds and pitches; 300 words in 4 repetitions are 8.5 "
        "hours; null: 3",
        least=1,
        most=100,
    )
    sentences: int = option(
        0,
        "number of sentences of five words that each voice speaks; 0: words; null: 40, or 0 with embedded.words, "
        "embedded.repetitions, embedded.other, another embedded.label than word, or corpus.root",
        least=0,
        most=MOST_SENTENCES,
    )
    agreement: bool = option(
        False,
        "true: sentences in which the noun agrees with the number, over an adjective: one old desk, two old desks",
    )
    label: Literal["word", "text", "speed", "pitch"] = option(
        "word", "the label of a clip; words per minute, or eSpeak's pitch (0 to 100, 50 is the voice's own)"
    )
    other: bool = option(
        False, "true: 30 other voices and 270 other words, for models that other runs begin with, such as a vocoder"
    )
    seed: int = option(0, "seed of the speeds and pitches", least=0, most=MAX_SEED)

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"sentences is {self.sentences}, and the other voices speak words: choose sentences=0"
        self.refuse_if(self.other and self.sentences, "other", rule)  # before the voices, whose number follows
        rule = "words agree in sentences: choose some, such as sentences=40, or agreement=false"
        self.refuse_if(self.agreement and not self.sentences, "agreement", rule)
        for name, among in zip(("voices", "words"), self.material, strict=True):
            rule = f"choose 1 to {len(among)}{' with other=true' if self.other else ''}"
            self.refuse_if(getattr(self, name) > len(among), name, rule)

    @property
    def material(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """All voices and all words, of which the first are taken."""
        return (OTHER_VOICES, OTHER_WORDS) if self.other else (VOICES, WORDS)


def fill_in(
    options: Mapping[str, object], *, alone: bool = True, voices: int = VOICES_OF_SENTENCES
) -> dict[str, object]:
    """Replace options that are null: ``voices`` speak sentences, unless words are asked for.

    Words are asked for by their number, by repetitions, other voices, or labels other than words, which many
    repetitions and voices vary. The last voices do not speak sentences, so that they can test a language model of the
    others. A corpus that is not ``alone``, but joins other recordings for pre-training, has words.
    """
    given = {name: value for name, value in options.items() if value is not None}
    of_words = not alone or "words" in given or "repetitions" in given or bool(given.get("other"))
    of_words |= given.get("label", "word") != "word"
    sentences = given.setdefault("sentences", 0 if of_words else SENTENCES)
    given.setdefault("voices", voices if sentences else len(OTHER_VOICES if given.get("other") else VOICES))
    return given


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One clip to synthesise."""

    file: str
    text: str
    voice: str
    speed: int  # words per minute
    pitch: int  # 0-100


def utterances(config: EmbeddedConfig) -> tuple[Utterance, ...]:
    """List all clips of the corpus in the order of synthesis; those of a smaller corpus are among them."""
    seed, said = config.seed, list[Utterance]()
    if not config.sentences:
        voices, words = config.material
        for voice, word, repetition in product(range(config.voices), range(config.words), range(config.repetitions)):
            name = f"{words[word]}_{voices[voice]}_{repetition}"
            said.append(
                utterance(words[word], name, voice, place=word, repetition=repetition, seed=seed, voices=voices)
            )
        return tuple(said)
    texts = WITH_AGREEMENT if config.agreement else TRAINING
    for voice in range(config.voices):  # every voice has sentences of its own
        chosen = np.random.default_rng([seed, voice]).choice(len(texts), size=config.sentences, replace=False)
        for number, text in enumerate(texts[place] for place in chosen):
            label = text.removesuffix(".").rpartition(" ")[2]
            said.append(utterance(text, f"{label}_{VOICES[voice]}_{number}", voice, place=number, seed=seed))
    return tuple(said)


def speak(spoken: Sequence[Utterance], cache: Path, *, seed: int, phones: bool = False) -> Path:
    """Return the folder of the utterances' WAV files below ``cache``, synthesised now if it is missing.

    The folder (22,050 Hz, mono) appears complete or not at all. Two runs that need it at once synthesise it once.
    With ``phones`` the texts are phonemes in eSpeak's notation, such as ``h'aUs``. A missing eSpeak NG and a full disk
    are told.
    """
    folder = speech_folder(spoken, cache, seed=seed, phones=phones)

    def whole() -> bool:  # it was renamed last, but somebody may have removed files since
        files = sum(path.stat().st_size > _WAV_HEADER for path in folder.glob("*.wav"))
        return files == len(spoken)

    if whole():
        return folder
    with locked(folder.with_suffix(".lock")):
        if whole():
            return folder
        for left in folder.parent.glob(f".{folder.name}*.aside"):  # left by killed runs; this process holds the lock
            shutil.rmtree(left, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)  # a folder from which files were removed
        # a unique name: a killed run's engine may still write
        with (
            named_write_errors(folder),
            TemporaryDirectory(".aside", f".{folder.name}.", folder.parent, ignore_cleanup_errors=True) as aside,
        ):
            made = Path(aside, folder.name).resolve()
            made.mkdir()
            _run_engine({"folder": str(made), **_request(spoken, seed=seed, phones=phones)})
            os.sync()  # thousands of small files at once; the folder gets its name when they are on the disk
            made.replace(folder)
            flush_folder(folder.parent)
    return folder


def speech_folder(spoken: Sequence[Utterance], cache: Path, *, seed: int, phones: bool = False) -> Path:
    """Return the folder that `speak` makes; its name is a hash of the request and of the engine's version."""
    request = {"engine": _engine_version(), **_request(spoken, seed=seed, phones=phones)}
    text = json.dumps(request, sort_keys=True)
    return cache / f"embedded-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def utterance(
    text: str, name: str, voice: int, *, place: int, repetition: int = 0, seed: int, voices: Sequence[str] = VOICES
) -> Utterance:
    """Return what to say, in which voice, at a speed and pitch that follow from seed, voice, place and take.

    ``place`` is the number of the word or sentence.
    """
    # Multiples of irrational numbers spread the repetitions evenly, however many there are, from a random start.
    speed, pitch = (np.random.default_rng([seed, voice, place]).random(2) + repetition * _STEPS) % 1.0
    return Utterance(
        file=f"{name}.wav",
        text=text,
        voice=voices[voice],
        speed=round(float(np.interp(speed, (0, 1), _SPEEDS))),
        pitch=round(float(np.interp(pitch, (0, 1), _PITCHES))),
    )


def transcribe(texts: Sequence[str], languages: Sequence[str]) -> dict[str, list[list[str]]]:
    """Write texts in eSpeak's phonemes, by language: ``house`` is ``["h", "'aU", "s"]``; "'" and "," mark stress."""
    _engine_version()
    written = json.loads(_run_engine({"transcribe": list(texts), "languages": list(languages)}))
    return {language: [text.strip().split("_") for text in each] for language, each in written.items()}


def _request(spoken: Sequence[Utterance], *, seed: int, phones: bool) -> dict[str, object]:
    request = {"seed": seed, "volume": _VOLUME, "utterances": [asdict(each) for each in spoken]}
    return {**request, "phones": True} if phones else request


def _run_engine(request: Mapping[str, object]) -> str:
    # without the variable that would give this engine the data of another eSpeak
    environment = {name: value for name, value in os.environ.items() if name != "ESPEAK_DATA_PATH"}
    engine = [sys.executable, str(Path(__file__).with_name("espeak_voice.py"))]
    given = json.dumps(request)
    done = subprocess.run(engine, input=given, text=True, capture_output=True, check=False, env=environment)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        if number := os_number(RuntimeError(reason)):
            raise OSError(number, os.strerror(number))
        remedy = "pip install --force-reinstall espeakng-loader, or give recordings of your own (corpus.root=FOLDER)"
        raise InputError(f"eSpeak NG failed ({reason})", remedy=remedy)
    return done.stdout


def _engine_version() -> str:
    if (installed := version_of("espeakng-loader")) is None:
        raise InputError("espeakng-loader is not installed", remedy="pip install espeakng-loader, or name a corpus")
    return installed
