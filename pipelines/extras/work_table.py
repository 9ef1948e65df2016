"""The table of what extras do in a run; `pipelines.extras.table` has their options and facts."""

from collections.abc import Iterable, Iterator, Mapping

from pipelines.extras.codes.code_table import WORK as CODES
from pipelines.extras.next_sample.samples import WORK as NEXT_SAMPLE
from pipelines.extras.rates.continuations import WORK as RATES
from pipelines.extras.speech_judges.opinions import WORK as SPEECH_JUDGES
from pipelines.extras.work import Work
from pipelines.extras.zerospeech.word_tests import WORK as ZEROSPEECH

WORKS: Mapping[str, Work] = {
    "codes": CODES,
    "zerospeech": ZEROSPEECH,
    "rates": RATES,
    "next_sample": NEXT_SAMPLE,
    "speech_judges": SPEECH_JUDGES,
}


def works(names: Iterable[object]) -> Iterator[Work]:
    """Give what the extras among names do, in the order of the table."""
    wanted = {*names}
    return (work for name, work in WORKS.items() if name in wanted)
