"""The tests of ZeroSpeech 2021 in small, on utterances of held-out eSpeak voices: what a language model of sound knows.

A test of pairs compares the GPT with an untrained GPT, and with frequencies of codes and of their pairs. Word order
also has frequencies of pairs of *words*, the ceiling.

In a pair of utterances one is right: a real and a pseudo-word, two orders of words, or a noun that agrees. Both have
the same voice, speed and pitch. The words are those of the embedded corpus, spoken by its last voices, which a corpus
with fewer voices does not have. The pairs follow ZeroSpeech 2021's tests sWUGGY (spot the word) and sBLIMP
(acceptability): Nguyen et al. 2020, arXiv:2011.11588.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from lm.language_tests import Scorer, Unigram, fit_bigram
from lm.model import LanguageModel
from lm.probing import intervals
from lm.probing.probe_options import ProbeConfig
from pipelines.chain.trial import Trial
from pipelines.plugins.zerospeech import ZerospeechConfig
from pipelines.plugins.zerospeech.utterance_pairs import SpokenPairs, asked_pairs
from pipelines.results.run_record import FoldSeed, Made, Row, Section
from pipelines.settings.run_settings import EMBEDDED, EMBEDDED_SOURCE, RunSettings
from pipelines.stages.listening import training_codes
from pipelines.store.stage import StageRun, stage
from pipelines.store.store import SYNTHESISED, CachedArtifact, write_json
from tokenizer.codes import Codes
from tokenizer.parquet import CodedClip, mark_complete, read_codes, shard_path, write_shard
from tokenizer.tokenizer import Tokenizer
from wordless.audio.recordings.embedded import EmbeddedConfig, Utterance, speak, speech_folder, utterances
from wordless.base.arrays import Floats
from wordless.base.messages import InputError
from wordless.base.threads import one_thread

PAIRS = "pairs.json"
MODELS = ("gpt", "bigram", "unigram", "random_gpt")
WORD_BIGRAM = "word_bigram"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A language model that is tested, and the speech of the tests."""

    tokens: CachedArtifact
    trained_on: Sequence[CachedArtifact]  # with the codes that the GPT was trained on, the corpus first
    model: CachedArtifact
    config: ZerospeechConfig
    embedded: EmbeddedConfig  # the corpus of words or of sentences, which decides the test
    seed: int  # of the untrained GPT

    @property
    def key(self) -> dict[str, object]:
        """Everything, and the name of the folder of speech, with the version of the engine."""
        phones = not self.embedded.sentences
        folder = speech_folder(self.pairs.utterances, Path(), seed=self.config.seed, phones=phones)
        return {**vars(self), "speech": folder.name}

    @property
    def pairs(self) -> SpokenPairs:
        return asked_pairs(self.config, self.embedded)

    def speak(self, run: StageRun, asked: Sequence[Utterance]) -> Path:
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


def _of_the_codes(subject: Subject) -> dict[str, object]:
    return {name: value for name, value in subject.key.items() if name not in ("trained_on", "model", "seed")}


@stage("pair_codes", title="codes of pairs of utterances", keys={"subject": _of_the_codes})
@one_thread()
def pair_codes(run: StageRun, subject: Subject) -> None:
    """Speak and encode the utterances of the pairs, whichever model they test."""
    asked, tokenizer = subject.pairs.utterances, subject.tokenizer(run.gang.device)
    folder = subject.speak(run, asked)
    with run.terminal.working("encoding", len(asked), "utterances") as progress:
        clips = (CodedClip(path=each.file, codes=tokenizer.encode_file(folder / each.file)) for each in asked)
        write_shard(shard_path(run.folder, 0), progress.each(clips), tokenizer.format)
    mark_complete(run.folder, shards=1, clips=len(asked))


def _read_pairs(coded: CachedArtifact) -> dict[str, Codes]:
    return {clip.path: clip.codes for clip in read_codes(coded.folder)[1]}


# The codes of a subject follow from it, and need not be in the key.
@stage("spoken_pairs", title="pairs of utterances by held-out voices", keys={"coded": None})
@one_thread()
def spoken_pairs(run: StageRun, subject: Subject, coded: CachedArtifact) -> None:
    """Judge language models by pairs of utterances; ``pairs.json`` has the accuracy of each item by each model."""
    asked, codes = subject.pairs, _read_pairs(coded)
    gpt, untrained = subject.gpts(run.gang.device)
    models = _models(subject, gpt, untrained)
    pairs = [(pair.item, pair.right, pair.wrong) for pair in asked.pairs]
    scores = {name: _mean_scores(model, codes) for name, model in models.items()}
    if subject.embedded.sentences:
        known = [each.text for each in utterances(subject.embedded)]
        scores[WORD_BIGRAM] = word_scores(known, {each.file: each.text for each in asked.utterances})
    test = "spot_the_word"
    if subject.embedded.sentences:
        test = "agreement" if subject.embedded.agreement else "word_order"
    accuracies = {name: item_accuracies(each, pairs) for name, each in scores.items()}
    record = {
        "test": test,
        "voices": len({pair.voice for pair in asked.pairs}),
        "example": [asked.pairs[0].item, asked.pairs[0].other],
        "pairs": len(pairs),
        "items": accuracies["gpt"][0],
        "accuracies": {name: each.tolist() for name, (_, each) in accuracies.items()},
    }
    write_json(run.folder / PAIRS, record)


def _mean_scores(model: Scorer, codes: Mapping[str, Codes]) -> dict[str, float]:
    """Score each file by the mean log-probability of its codes; a GPT reads many files together."""
    if isinstance(model, LanguageModel):
        found: Sequence[Floats] = model.log_probabilities_batch([*codes.values()])
    else:
        found = [model.log_probabilities(clip) for clip in codes.values()]
    return {file: float(each.astype(float).mean()) for file, each in zip(codes, found, strict=True)}


def _models(subject: Subject, gpt: LanguageModel, untrained: LanguageModel) -> Mapping[str, Scorer]:
    train, validation = training_codes(*subject.trained_on)
    return dict(zip(MODELS, (gpt, fit_bigram(train, validation), Unigram(train), untrained), strict=True))


def evaluate_pairs(trial: Trial) -> None:
    """Evaluate the GPT by pairs of utterances."""
    session, settings = trial.session, trial.settings
    subject = Subject(
        tokens=trial.artifacts["tokenizer"],
        trained_on=trial.trained_on,
        model=trial.artifacts["lm"],
        config=settings.of(ZerospeechConfig),
        embedded=settings.embedded,
        seed=settings.lm.fit.seed,
    )
    coded = trial.add(pair_codes(session, subject))
    trial.add(spoken_pairs(session, subject, coded))


def word_test_rows(made: Made, settings: RunSettings) -> tuple[Section, list[Row]]:
    """Describe the test of all folds and seeds, and give its figures."""
    artifacts = {place: each["spoken_pairs"] for place, each in made.items() if "spoken_pairs" in each}
    if not artifacts:
        return {}, []
    judged = {place: artifact.read_json(PAIRS) for place, artifact in artifacts.items()}
    first, seeds = next(iter(judged.values())), len({seed for _, seed in judged})
    key = " ".join(artifact.key for artifact in artifacts.values())
    row = Row(stage="zerospeech", name=first["test"], value=np.nan, artifact=key, split="test", seeds=seeds)
    of_items = {place: each["accuracies"] for place, each in judged.items()}
    figures = item_figures(of_items, replace(row, protocol="voices held out"), settings.probe)
    about = {name: first[name] for name in ("test", "pairs", "voices", "example")}
    return {"pairs": {**about, "items": len(first["items"])}}, [*figures]


def item_figures(
    trainings: Mapping[FoldSeed, Mapping[str, Sequence[float]]], row: Row, config: ProbeConfig
) -> Iterator[Row]:
    """Give the mean of each model over trainings and items, with a bootstrap interval over items, and each training.

    ``trainings`` have the values of the items by model. The interval says what other items would give, not other
    voices. The first model is compared with each other on the same resampled items.
    """
    first = next(iter(trainings.values()))
    names = [*MODELS, *([WORD_BIGRAM] if WORD_BIGRAM in first else [])]
    hits = np.mean([[values[name] for name in names] for values in trainings.values()], axis=0)
    outcome = intervals.Hits(hits=hits)
    measured = intervals.Measured(folds=[outcome], resamples=config.resamples, seed=config.seed)
    for number, (name, value) in enumerate(zip(names, intervals.measure(outcome)[0], strict=True)):
        low, high = intervals.confidence_interval(measured.draws[:, number], config.confidence)
        own = replace(row, of=name)
        yield replace(own, value=float(value), low=low, high=high, over="items")
        for (fold, seed), values in trainings.items() if len(trainings) > 1 else ():
            yield replace(own, value=float(np.mean(values[name])), fold=fold, seed=seed, seeds=1)
    for number, other in enumerate(names[1:], 1):
        found = measured.difference(0, number, confidence=config.confidence)
        pair = replace(row, name="difference", of=names[0], against=other, value=found.value, p=found.p)
        yield replace(pair, low=found.low, high=found.high, over="items")


def require_word_tests(settings: RunSettings) -> None:
    """Refuse a GPT without the embedded corpus, or with the tests' voices, and words that give no pairs."""
    sources = () if settings.unlabelled_hours == 0 else settings.unlabelled or ()
    if settings.corpus.root != EMBEDDED and EMBEDDED_SOURCE not in sources:
        raise InputError(
            "stages has zerospeech, and the GPT is not trained on the built-in corpus: leave zerospeech or corpus.root "
            "out, or add unlabelled=embedded to this corpus, and no unlabelled_hours=0"
        )
    config = settings.of(ZerospeechConfig)
    config.require_unheard(settings.embedded)
    asked_pairs(config, settings.embedded)


def item_accuracies(
    scores: Mapping[str, float], pairs: Sequence[tuple[str, str, str]]
) -> tuple[tuple[str, ...], Floats]:
    """Compute the accuracy of each item over its ``pairs`` (item, right, wrong): names and ``(items,)``.

    An item, such as a word, is in several pairs: in several voices, and against several pseudo-words. Its accuracy is
    the share of its pairs whose right recording has the higher score, its log-probability divided by its number of
    codes; a tie counts half. Chance is 0.5. A bootstrap resamples items, because the pairs of one are not independent.
    """
    by_item: dict[str, list[float]] = {}
    for item, right, wrong in pairs:
        by_item.setdefault(item, []).append(0.5 + 0.5 * float(np.sign(scores[right] - scores[wrong])))
    return tuple(by_item), np.array([np.mean(each) for each in by_item.values()])


def word_scores(known: Sequence[str], texts: Mapping[str, str]) -> dict[str, float]:
    """Score each text by add-one smoothed pairs of words of ``known`` texts: the mean log-probability."""

    def pairs_of(text: str) -> list[tuple[str, str]]:
        return list(pairwise(["", *text.split(), ""]))

    seen = Counter(pair for text in known for pair in pairs_of(text))
    firsts = Counter(first for text in known for first, _ in pairs_of(text))

    shares = {
        sound: [(seen[pair] + 1) / (firsts[pair[0]] + len(firsts)) for pair in pairs_of(text)]
        for sound, text in texts.items()
    }
    return {sound: float(np.log(each).mean()) for sound, each in shares.items()}
