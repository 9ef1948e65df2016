"""The tests of ZeroSpeech 2021 in small, on utterances of held-out eSpeak voices: what a language model of sound knows.

A test of pairs compares the GPT with an untrained GPT, and with frequencies of codes and of their pairs. Word order
also has frequencies of pairs of *words*, the ceiling, and the GPT when it sees a short past.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from lm.language_tests import Scorer, Unigram, fit_bigram, item_accuracies, word_scores
from lm.model import LanguageModel
from pipelines.stages.listening import training_codes
from pipelines.stages.options import ZerospeechConfig
from pipelines.store.session import Run
from pipelines.store.stage import stage
from pipelines.store.store import SYNTHESISED, Entry, write_json
from tokenizer.codes import Codes
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read
from wordless.audio.recordings.embedded import EmbeddedConfig, Utterance, speak, speech_folder, utterances
from wordless.audio.recordings.spoken_pairs import CHANGES, JoinedSound, SpokenPairs, consistency_pairs, joined_sound
from wordless.base.machine import one_thread

S = TypeVar("S", str, JoinedSound)  # a sound, or its file
PAIRS = "pairs.json"
MODELS = ("gpt", "bigram", "unigram", "random_gpt")
WORD_BIGRAM = "word_bigram"
PASTS = {"gpt_past_0.2": 0.2, "gpt_past_0.4": 0.4, "gpt_past_0.8": 0.8}  # seconds that the GPT sees
VOICES_OF_PASTS = 3  # that judge them: each past costs about as much as the GPT's own scores


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A language model that is tested, and the speech of the tests."""

    tokens: Entry
    trained_on: Sequence[Entry]  # with the codes that the GPT was trained on, the corpus first
    model: Entry
    config: ZerospeechConfig
    embedded: EmbeddedConfig  # the corpus of words or of sentences, which decides the test
    seed: int  # of the untrained GPT

    @property
    def key(self) -> dict[str, object]:
        """Everything, and the name of the folder of speech, with the version of the engine."""
        phones = not self.embedded.sentences
        folder = speech_folder(self.pairs.utterances, Path(), seed=self.config.seed, phones=phones)
        embedded = {name: value for name, value in vars(self.embedded).items() if name != "agreement" or value}
        return {**vars(self), "embedded": embedded, "speech": folder.name}

    @property
    def pairs(self) -> SpokenPairs:
        return self.config.pairs(self.embedded)

    def speak(self, run: Run, asked: Sequence[Utterance]) -> Path:
        """Synthesise utterances into a folder; those of words are phonemes."""
        cache, phones = run.store.root / SYNTHESISED, not self.embedded.sentences
        return speak(asked, cache, seed=self.config.seed, phones=phones)

    def tokenizer(self, device: torch.device) -> Tokenizer:
        return Tokenizer.from_pretrained(self.tokens.folder, device=str(device))

    def gpts(self, device: torch.device) -> tuple[LanguageModel, LanguageModel]:
        """Load the GPT, and create the same network with random weights."""
        gpt = LanguageModel.from_pretrained(self.model.folder, device=str(device))
        untrained = LanguageModel.create(gpt.gpt.config, gpt.format, seed=self.seed)
        untrained.gpt.to(device)
        return gpt, untrained


@stage("spoken_pairs", version=3, title="pairs of utterances by held-out voices")
@one_thread()
def spoken_pairs(run: Run, subject: Subject) -> None:
    """Judge language models by pairs of utterances; ``pairs.json`` has the accuracy of each item by each model."""
    asked = subject.pairs
    folder = subject.speak(run, asked.utterances)
    gpt, untrained = subject.gpts(run.gang.device)
    codes = _encode(run, subject.tokenizer(run.gang.device), folder, asked.utterances)
    models = _models(subject, gpt, untrained)
    pairs = [(pair.item, pair.right, pair.wrong) for pair in asked.pairs]
    voices = list(dict.fromkeys(pair.voice for pair in asked.pairs))
    scores = {
        name: {file: float(model.log_probabilities(clip).astype(float).mean()) for file, clip in codes.items()}
        for name, model in models.items()
    }
    judged = dict.fromkeys(scores, pairs)
    if subject.embedded.sentences:
        known = [each.text for each in utterances(subject.embedded)]
        scores[WORD_BIGRAM] = word_scores(known, {each.file: each.text for each in asked.utterances})
        judged[WORD_BIGRAM] = pairs
        few = [row for row, pair in zip(pairs, asked.pairs, strict=True) if pair.voice in voices[:VOICES_OF_PASTS]]
        heard = {file for _, right, wrong in few for file in (right, wrong)}
        for name, seconds in PASTS.items() if not gpt.coarser else ():
            steps = max(round(seconds * gpt.format.codes_per_second), 2)
            scores[name] = {file: float(gpt.log_probabilities(codes[file], past=steps).mean()) for file in heard}
            judged[name] = few
    test = "spot_the_word"
    if subject.embedded.sentences:
        test = "agreement" if subject.embedded.agreement else "word_order"
    about = {"test": test, "voices": len(voices), "example": [asked.pairs[0].item, asked.pairs[0].other]}
    write_json(run.folder / PAIRS, {**about, "pairs": len(pairs), **_accuracies(scores, judged)})


CONSISTENCY = "consistency.json"
NOISE_SNR = 10.0  # dB, of the sounds with a background


@stage("consistency", version=3, title="consistency: pairs of sounds")
@one_thread()
def consistency(run: Run, subject: Subject) -> None:
    """Judge language models by sounds that change within a text: the accuracy of each text, for each of `CHANGES`."""
    config, texts = subject.config, subject.config.texts(subject.embedded)
    voices = min(config.voices, subject.embedded.voices)
    pairs, asked = consistency_pairs(texts, voices=voices, seed=config.seed)
    folder = speak(asked, run.store.root / SYNTHESISED, seed=config.seed)
    tokenizer = subject.tokenizer(run.gang.device)
    rate, channel = tokenizer.config.audio.sample_rate, tokenizer.config.audio.channel
    models = _models(subject, *subject.gpts(run.gang.device))
    scores: dict[str, dict[JoinedSound, float]] = {name: {} for name in models}
    sounds = dict.fromkeys(sound for pair in pairs for sound in (pair.right, pair.wrong))
    with run.terminal.working("encoding", len(sounds), "utterances") as progress:
        for sound in progress.each(sounds):
            first, second = (read(folder / file, rate, channel=channel).samples for file in sound.files)
            # The second part begins with a code, whatever is before it: frequencies of codes are at chance.
            first = np.pad(first, (0, -len(first) % tokenizer.format.samples_per_code))
            samples = joined_sound(first, second, sound.noises, snr=NOISE_SNR, seed=sound.seed)
            codes = tokenizer.encode(samples, rate)
            for name, model in models.items():
                scores[name][sound] = float(model.log_probabilities(codes).astype(float).mean())
    record: dict[str, object] = {}
    for change in CHANGES:
        changed = [(pair.item, pair.right, pair.wrong) for pair in pairs if pair.change == change]
        record[change] = _accuracies(scores, dict.fromkeys(scores, changed))
    about = {"texts": len({*texts}), "voices": len({each.voice for each in asked}), "example": [*texts[0]]}
    write_json(run.folder / CONSISTENCY, {**about, "pairs": len(pairs), "tests": record})


def _accuracies(
    scores: Mapping[str, Mapping[S, float]], judged: Mapping[str, Sequence[tuple[str, S, S]]]
) -> dict[str, object]:
    found = {name: item_accuracies(scores[name], pairs) for name, pairs in judged.items()}
    return {"items": found["gpt"][0], "accuracies": {name: each.tolist() for name, (_, each) in found.items()}}


def _encode(run: Run, tokenizer: Tokenizer, folder: Path, asked: Sequence[Utterance]) -> dict[str, Codes]:
    with run.terminal.working("encoding", len(asked), "utterances") as progress:
        codes = progress.each(tokenizer.encode_file(folder / each.file) for each in asked)
        return dict(zip([each.file for each in asked], codes, strict=True))


def _models(subject: Subject, gpt: LanguageModel, untrained: LanguageModel) -> Mapping[str, Scorer]:
    train, validation = training_codes(*subject.trained_on)
    return dict(zip(MODELS, (gpt, fit_bigram(train, validation), Unigram(train), untrained), strict=True))
