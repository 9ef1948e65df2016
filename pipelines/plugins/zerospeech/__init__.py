"""Tests of what the GPT knows of words and sentences: options and facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pipelines.plugins.plugin import Plugin
from wordless.audio.recordings.embedded import VOICES, EmbeddedConfig
from wordless.base.messages import InputError, require
from wordless.base.options import Options, option

if TYPE_CHECKING:
    from pipelines.chain.trial import Trial
    from pipelines.results.run_record import Made, Row, Section
    from pipelines.settings.run_settings import RunSettings
    from wordless.audio.recordings.manifest import Clips


@dataclass(frozen=True, kw_only=True)
class ZerospeechConfig(Options):
    voices: int = option(
        12,
        "number of the last voices of the built-in corpus, which speak the tests; embedded.voices must leave them out",
        least=1,
        most=len(VOICES) - 1,
    )
    words: int = 30  # of test at most, in a corpus of words: those that begin with exactly one consonant
    pseudo_words_per_word: int = 3  # in a corpus of words
    sentences: int = option(
        30,
        "in a corpus of sentences: those that are paired with another order of words, or with a noun that disagrees",
        least=1,
        most=500,
    )
    seed: ClassVar[int] = 0  # of the speeds and pitches

    def require_unheard(self, embedded: EmbeddedConfig) -> None:
        """Refuse voices that the corpus has, too, and a corpus without the words of the tests."""
        rule = "the stage zerospeech asks for words of the default corpus: choose false, or leave the stage out"
        if embedded.other:
            raise InputError(option="embedded.other", value=True, rule=rule)
        left = len(VOICES) - self.voices
        needed = f"zerospeech needs {self.voices} voices that are not trained on"
        rule = f"{needed}: choose {left} or fewer, or a smaller zerospeech.voices"
        require(embedded.voices <= left, "embedded.voices", embedded.voices, rule)


def _joins(values: Mapping[str, Any]) -> str | None:
    """Join a GPT of one rate over the built-in sentences; say why too few voices are left to test it by word order."""
    embedded, unheard, every = values["embedded"], values["zerospeech"]["voices"], len(VOICES)
    voices = embedded["voices"]
    if not embedded["sentences"] or values["tokenizer"]["rates"] is not None:
        return None
    if max(voices - 1, unheard) < every < voices + unheard:  # other numbers are refused with their range
        left = f"embedded.voices={voices} leaves {every - voices} of {every}, zerospeech.voices is {unheard}"
        return f"word order is not tested: {left}"
    return ""


def _add_tasks(trial: Trial) -> None:
    from pipelines.plugins.zerospeech.word_tests import evaluate_pairs

    evaluate_pairs(trial)


def _rows(made: Made, manifest: Clips, settings: RunSettings) -> tuple[Section, list[Row]]:
    from pipelines.plugins.zerospeech.word_tests import word_test_rows

    return word_test_rows(made, settings)


def _require(settings: RunSettings) -> None:
    from pipelines.plugins.zerospeech.word_tests import require_word_tests

    require_word_tests(settings)


PLUGIN = Plugin(
    name="zerospeech",
    options=ZerospeechConfig,
    explanation="does the GPT tell words from pseudo-words; runs on the built-in sentences have the stage by default",
    needs=("codes", "lm"),
    voices="voices",
    joins=_joins,
    page="zerospeech/language_tests.html.jinja",
    link="Words and sentences",
    sentences="zerospeech/zerospeech_sentences.jinja",
    names={"word_bigram": "frequencies of pairs of words"},
    add_tasks=_add_tasks,
    rows=_rows,
    require=_require,
)
