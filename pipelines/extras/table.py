"""The table of the extras of ``wordless run``. The core knows no extra by name: it reads this table.

An extra is a folder beside this file, a line of `EXTRAS`, and one of `pipelines.extras.work_table.WORKS`. Who deletes
the folder, and the lines of both files that name it, has deleted the extra.
"""

from collections.abc import Iterable, Mapping

from pipelines.extras.codes import EXTRA as CODES
from pipelines.extras.extra import Extra
from pipelines.extras.next_sample import EXTRA as NEXT_SAMPLE
from pipelines.extras.rates import EXTRA as RATES
from pipelines.extras.speech_judges import EXTRA as SPEECH_JUDGES
from pipelines.extras.zerospeech import EXTRA as ZEROSPEECH

EXTRAS: Mapping[str, Extra] = {
    "codes": CODES,
    "zerospeech": ZEROSPEECH,
    "rates": RATES,
    "next_sample": NEXT_SAMPLE,
    "speech_judges": SPEECH_JUDGES,
}


def extras(names: Iterable[object] = EXTRAS) -> tuple[Extra, ...]:
    """Return the extras among names, in the order of the table."""
    wanted = {*names}
    return tuple(extra for name, extra in EXTRAS.items() if name in wanted)
