"""The tests of ZeroSpeech 2021 in small, on utterances of held-out eSpeak voices: what a language model of sound knows.

A test compares the GPT with an untrained GPT, and with frequencies of codes and of their pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from lm.judging.ngrams import Unigram, fit_bigram
from lm.judging.scores import Scorer, item_accuracies, mean_log_probability
from lm.model import LanguageModel
from pipelines.stages.options import ZerospeechConfig
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from tokenizer.codes import Codes
from tokenizer.encoder import Encoder
from tokenizer.parquet import read_codes
from wordless.audio.recordings.embedded import EmbeddedConfig, speak, speech_folder
from wordless.audio.recordings.spoken_pairs import SpokenPairs
from wordless.base.text import counted
from wordless.base.threads import one_thread

PAIRS = "pairs.json"
MODELS = ("gpt", "bigram", "unigram", "random_gpt")
Test = Literal["spot_the_word", "word_order"]


def spoken_pairs(
    session: Session,
    tokens: Entry,
    trained_on: Sequence[Entry],
    model_entry: Entry,
    config: ZerospeechConfig,
    *,
    embedded: EmbeddedConfig,
    cache: Path,
    seed: int,
) -> Entry:
    """Judge language models by pairs of utterances; ``pairs.json`` has the accuracy of each item by each model.

    Args:
        trained_on: entries with the codes that the GPT was trained on, the corpus first.
        embedded: the corpus of words or of sentences, which decides the test.
        cache: folder of synthesised speech.
        seed: of the untrained GPT.
    """
    test: Test = "word_order" if embedded.sentences else "spot_the_word"
    asked = config.pairs(embedded)
    phones = test == "spot_the_word"
    folder = speech_folder(asked.utterances, cache, seed=config.seed, phones=phones)
    inputs = {"tokenizer": tokens.key, "lm": model_entry.key, "utterances": folder.name}
    inputs |= {"codes": " ".join(entry.key for entry in trained_on)}
    recipe = Recipe("spoken_pairs", 1, config={**asdict(config), "test": test, "untrained": seed}, inputs=inputs)

    @one_thread()
    def make(partial: Path) -> None:
        speak(asked.utterances, cache, seed=config.seed, phones=phones)
        codes = encode_utterances(session, tokens, folder, [each.file for each in asked.utterances])
        models = _models(session, trained_on, model_entry, seed=seed)
        pairs = [(pair.item, pair.right, pair.wrong) for pair in asked.pairs]
        accuracies = {}
        for name, model in models.items():
            scores = {file: mean_log_probability(model, clip) for file, clip in codes.items()}
            items, found = item_accuracies(scores, pairs)
            accuracies[name] = found.tolist()
        write_json(partial / PAIRS, {**_describe(test, asked), "items": items, "accuracies": accuracies})

    title = f"{test}: {len(asked.pairs)} pairs of utterances by {counted(config.voices, 'voice')}"
    return session.obtain(recipe, title, make, files=[PAIRS])


def _describe(test: Test, asked: SpokenPairs) -> dict[str, object]:
    first, voices = asked.pairs[0], {pair.voice for pair in asked.pairs}
    return {"test": test, "voices": len(voices), "pairs": len(asked.pairs), "example": [first.item, first.other]}


def encode_utterances(session: Session, tokens: Entry, folder: Path, files: Sequence[str]) -> dict[str, Codes]:
    """Encode the utterances of a folder; codes by file."""
    encoder = Encoder(folder=tokens.folder, root=folder, device=str(session.gang.device))
    codes = {}
    with session.terminal.working("encoding", len(files), "utterances") as progress:
        for done, file in enumerate(files, 1):
            codes[file] = encoder.tokenizer.encode_file(folder / file)
            progress.advance_to(done)
    return codes


def _models(session: Session, trained_on: Sequence[Entry], model_entry: Entry, *, seed: int) -> Mapping[str, Scorer]:
    """Load or count the models that are compared, by name."""
    gpt = LanguageModel.from_pretrained(model_entry.folder, device=str(session.gang.device))
    untrained = LanguageModel.create(gpt.gpt.config, gpt.format, seed=seed)
    untrained.gpt.to(session.gang.device)
    clips = [clip for entry in trained_on for clip in read_codes(entry.folder)[1]]
    train, validation = ([clip.codes for clip in clips if clip.split == split] for split in ("train", "validation"))
    bigram = fit_bigram(train, validation)
    return dict(zip(MODELS, (gpt, bigram, Unigram(train), untrained), strict=True))
