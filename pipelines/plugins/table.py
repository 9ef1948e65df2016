"""The table of the plugins of ``wordless run``. The core knows no plugin by name: it reads this table.

A plugin is a folder beside this file, an import and a line of `PLUGINS`. Who deletes these three has deleted it.
"""

from collections.abc import Iterable, Mapping

from pipelines.plugins.codes import PLUGIN as CODES
from pipelines.plugins.next_sample import PLUGIN as NEXT_SAMPLE
from pipelines.plugins.plugin import Plugin
from pipelines.plugins.rates import PLUGIN as RATES
from pipelines.plugins.speech_judges import PLUGIN as SPEECH_JUDGES
from pipelines.plugins.zerospeech import PLUGIN as ZEROSPEECH

PLUGINS: Mapping[str, Plugin] = {
    "codes": CODES,
    "zerospeech": ZEROSPEECH,
    "rates": RATES,
    "next_sample": NEXT_SAMPLE,
    "speech_judges": SPEECH_JUDGES,
}


def plugins(names: Iterable[object] = PLUGINS) -> tuple[Plugin, ...]:
    """Return the plugins among names, in the order of the table."""
    wanted = {*names}
    return tuple([plugin for name, plugin in PLUGINS.items() if name in wanted])
