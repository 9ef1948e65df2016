"""The tests of ZeroSpeech 2021 in small, on utterances of held-out eSpeak voices: what a language model of sound knows.

A test of pairs compares the GPT with an untrained GPT, and with frequencies of codes and of their pairs. Word order
also has frequencies of pairs of *words*, the ceiling, and the GPT when it sees a short past.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from lm.language_tests import Scorer, Unigram, fit_bigram, item_accuracies, word_scores
from lm.lm_options import ProbeConfig
from lm.model import LanguageModel
from lm.probing import intervals as intervals
from pipelines.chain.study import Study
from pipelines.extras.work import Work
from pipelines.extras.zerospeech import ZerospeechConfig
from pipelines.results.run_record import FoldSeed, Made, Row, Section
from pipelines.settings.run_settings import EMBEDDED, EMBEDDED_SOURCE, RunSettings
from pipelines.stages.listening import training_codes
from pipelines.store.stage import Run, stage
from pipelines.store.store import SYNTHESISED, Entry, write_json
from pipelines.store.stored_features import natural
from tokenizer.codes import Codes
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read
from wordless.audio.recordings.embedded import EmbeddedConfig, Utterance, speak, speech_folder, utterances
from wordless.audio.recordings.manifest import Clips
from wordless.audio.recordings.spoken_pairs import CHANGES, JoinedSound, SpokenPairs, consistency_pairs, joined_sound
from wordless.base.machine import one_thread
from wordless.base.messages import InputError

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
        for name, seconds in PASTS.items():
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


def _plan(study: Study) -> None:
    """Judge the GPT by pairs of utterances and, if asked for, by changes of sound."""
    session, settings = study.session, study.settings
    config = settings.of(ZerospeechConfig)
    subject = Subject(
        tokens=study.entries["tokenizer"],
        trained_on=study.trained_on,
        model=study.entries["lm"],
        config=replace(config, consistency=0),
        embedded=settings.embedded,
        seed=settings.lm.fit.seed,
    )
    study.add(spoken_pairs(session, subject))
    if config.consistency:
        study.add(consistency(session, replace(subject, config=config)))


TESTS = (  # name in results.json, stage, file, and what the section keeps of it
    ("pairs", "spoken_pairs", PAIRS, ("test", "pairs", "voices", "example")),
    ("consistency", "consistency", CONSISTENCY, ("texts", "pairs", "voices", "example")),
)


def _rows(made: Made, manifest: Clips, settings: RunSettings) -> tuple[Section, list[Row]]:
    """Describe the tests of all folds and seeds, and give their figures."""
    config = settings.probe
    tests, figures = Section(), list[Row]()
    for name, made_by, file, kept in TESTS:
        entries = {place: each[made_by] for place, each in made.items() if made_by in each}
        if not entries:
            continue
        judged = {place: entry.read_json(file) for place, entry in entries.items()}
        first, seeds = next(iter(judged.values())), len({seed for _, seed in judged})
        tests[name] = {each: first[each] for each in kept}
        key = " ".join(entry.key for entry in entries.values())
        row = Row(stage="zerospeech", name=name, value=np.nan, artifact=key, split="test", seeds=seeds)
        if name == "pairs":
            tests[name]["items"] = len(first["items"])
            of_items = {place: each["accuracies"] for place, each in judged.items()}
            held_out = replace(row, name=first["test"], protocol="voices held out")
            figures += item_figures(of_items, held_out, config, gap="difference")
        else:
            for change in CHANGES:
                of_items = {place: each["tests"][change]["accuracies"] for place, each in judged.items()}
                own = replace(row, name=f"{name}_{change}")
                figures += item_figures(of_items, own, config, gap=f"{own.name}_difference")
    return tests, figures


def item_figures(
    trainings: Mapping[FoldSeed, Mapping[str, Sequence[float]]], row: Row, config: ProbeConfig, *, gap: str
) -> Iterator[Row]:
    """Give the mean of each model over trainings and items, with a bootstrap interval over items, and each training.

    ``trainings`` have the values of the items by model. The interval says what other items would give, not other
    voices. The first model is compared with each other on the same resampled items; ``gap`` is the difference's name.
    """
    first = next(iter(trainings.values()))
    names = [*MODELS, *sorted(first.keys() - {*MODELS}, key=natural)]
    hits = np.mean([[values[name] for name in names] for values in trainings.values()], axis=0)
    outcome = intervals.Hits(hits=hits)
    measured = intervals.Measured(folds=[outcome], resamples=config.resamples, seed=config.seed)
    for number, (name, value) in enumerate(zip(names, intervals.measure(outcome)[0], strict=True)):
        low, high = intervals.interval(measured.draws[:, number], config.confidence)
        own = replace(row, of=name)
        yield replace(own, value=float(value), low=low, high=high, over="items")
        for (fold, seed), values in trainings.items() if len(trainings) > 1 else ():
            yield replace(own, value=float(np.mean(values[name])), fold=fold, seed=seed, seeds=1)
    for number, other in enumerate(names[1:], 1):
        found = measured.difference(0, number, confidence=config.confidence)
        pair = replace(row, name=gap, of=names[0], against=other, value=found.value, p=found.p)
        yield replace(pair, low=found.low, high=found.high, over="items")


def _require(settings: RunSettings) -> None:
    """Refuse a GPT without the embedded corpus, or with the tests' voices, and words that give no pairs."""
    sources = () if settings.unlabelled_hours == 0 else settings.unlabelled or ()
    if settings.corpus.root != EMBEDDED and EMBEDDED_SOURCE not in sources:
        raise InputError(
            "stages has zerospeech, and the GPT is not trained on the built-in corpus: leave zerospeech or corpus.root "
            "out, or add unlabelled=embedded to this corpus, and no unlabelled_hours=0"
        )
    config = settings.of(ZerospeechConfig)
    config.require_unheard(settings.embedded)
    config.pairs(settings.embedded)


WORK = Work(plan=_plan, rows=_rows, require=_require)
