"""The tests of ZeroSpeech 2021 in small, on the models of a run."""

from collections.abc import Sequence

from foundation.errors import InputError
from pipelines.chain.corpus import FOLDER
from pipelines.settings.run import EMBEDDED, RunSettings
from pipelines.stages.abx import abx
from pipelines.stages.zerospeech import spoken_pairs
from pipelines.store.session import Session
from pipelines.store.store import Entry


def require_language_tests(settings: RunSettings) -> None:
    """Refuse tests of a GPT that is not trained on the embedded corpus, or that is trained on the tests' voices."""
    if "zerospeech" not in settings.stages:
        return
    if settings.corpus.root != EMBEDDED and "embedded" not in (settings.unlabelled or ()):
        raise InputError(
            "stages has zerospeech, which asks what the GPT learned from the embedded corpus, but the GPT is not "
            "trained on this corpus: leave zerospeech out, add unlabelled=embedded, or leave corpus.root out"
        )
    settings.zerospeech.require_unheard(settings.embedded)


def judge_language_model(
    session: Session, settings: RunSettings, tokens: Entry, trained_on: Sequence[Entry], model: Entry
) -> list[Entry]:
    """Judge the GPT by pairs of utterances and, in a corpus of words, by its phones.

    ``trained_on`` are the codes that the GPT was trained on.
    """
    tests, embedded = settings.zerospeech, settings.embedded
    cache, seed = session.store.root / FOLDER, settings.lm.fit.seed
    pairs = spoken_pairs(session, tokens, trained_on, model, tests, embedded=embedded, cache=cache, seed=seed)
    if embedded.sentences:
        return [pairs]
    return [pairs, abx(session, tokens, model, tests, embedded=embedded, cache=cache, seed=seed)]
