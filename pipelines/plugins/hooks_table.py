"""The table of what plugins do in a run; `pipelines.plugins.table` has their options and facts."""

from collections.abc import Iterable, Iterator, Mapping

from pipelines.plugins.codes.code_table import HOOKS as CODES
from pipelines.plugins.hooks import Hooks
from pipelines.plugins.next_sample.samples import HOOKS as NEXT_SAMPLE
from pipelines.plugins.rates.continuations import HOOKS as RATES
from pipelines.plugins.speech_judges.opinions import HOOKS as SPEECH_JUDGES
from pipelines.plugins.zerospeech.word_tests import HOOKS as ZEROSPEECH

HOOKS_OF_PLUGINS: Mapping[str, Hooks] = {
    "codes": CODES,
    "zerospeech": ZEROSPEECH,
    "rates": RATES,
    "next_sample": NEXT_SAMPLE,
    "speech_judges": SPEECH_JUDGES,
}


def hooks_of(names: Iterable[object]) -> Iterator[Hooks]:
    """Give what the plugins among names do, in the order of the table."""
    wanted = {*names}
    return (hooks for name, hooks in HOOKS_OF_PLUGINS.items() if name in wanted)
