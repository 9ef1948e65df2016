"""The tests of ZeroSpeech 2021 in small, on the models of a run."""

from collections.abc import Sequence

from pipelines.settings.completed import EMBEDDED, EMBEDDED_SOURCE
from pipelines.settings.run import RunSettings
from pipelines.stages.zerospeech import ERRORS, abx, spoken_pairs
from pipelines.store.session import Session
from pipelines.store.store import SYNTHESISED, Entry
from wordless.base.errors import InputError


def require_language_tests(settings: RunSettings) -> None:
    """Refuse a GPT without the embedded corpus, or with the tests' voices, and words that give no pairs."""
    if "zerospeech" not in settings.stages:
        return
    sources = () if settings.unlabelled_hours == 0 else settings.unlabelled or ()
    if settings.corpus.root != EMBEDDED and EMBEDDED_SOURCE not in sources:
        raise InputError(
            "stages has zerospeech, which asks what the GPT learned from the built-in corpus, but the GPT is not "
            "trained on this corpus: leave zerospeech out, add unlabelled=embedded and no "
            "unlabelled_hours=0, or leave corpus.root out"
        )
    settings.zerospeech.require_unheard(settings.embedded)
    settings.zerospeech.pairs(settings.embedded)


def judge_language_model(
    session: Session, settings: RunSettings, tokens: Entry, trained_on: Sequence[Entry], model: Entry
) -> tuple[Entry, Entry | None]:
    """Judge the GPT by pairs of utterances and, in a corpus of words with enough phones, by its phones.

    ``trained_on`` are the codes that the GPT was trained on.
    """
    tests, embedded = settings.zerospeech, settings.embedded
    cache, seed = session.store.root / SYNTHESISED, settings.lm.fit.seed
    pairs = spoken_pairs(session, tokens, trained_on, model, tests, embedded=embedded, cache=cache, seed=seed)
    if embedded.sentences:
        return pairs, None
    phones = abx(session, tokens, model, tests, embedded=embedded, cache=cache, seed=seed)
    if not phones.read_json(ERRORS)["pairs"]:
        session.terminal.say(
            "notice    ABX is left out: no two phones stand between the same neighbours in two voices. It needs "
            "zerospeech.voices=2 or more, and codes that are shorter than most phones"
        )
        return pairs, None
    return pairs, phones
