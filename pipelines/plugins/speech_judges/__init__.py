"""MOS predictors, which rate decoded speech and its recordings: facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.plugins.plugin import Plugin

if TYPE_CHECKING:
    from pipelines.chain.trial import Trial
    from pipelines.results.run_record import Made, Row, Section
    from pipelines.settings.run_settings import RunSettings
    from wordless.audio.recordings.manifest import Clips


def _add_tasks(trial: Trial) -> None:
    from pipelines.plugins.speech_judges.opinions import rate_speech

    rate_speech(trial)


def _rows(made: Made, manifest: Clips, settings: RunSettings) -> tuple[Section, list[Row]]:
    from pipelines.plugins.speech_judges.opinions import mos_rows

    return mos_rows(made, manifest, settings)


def _require(settings: RunSettings) -> None:
    from pipelines.plugins.speech_judges.opinions import require_predictors

    require_predictors(settings)


PLUGIN = Plugin(
    name="speech_judges",
    explanation="models that rate decoded speech; needs wordless[judges]",
    needs=("codes",),
    page="speech_judges/opinions.html.jinja",
    link="MOS prediction",
    late=True,
    measures={
        "dnsmos": ("MOS", "DNSMOS P.808", "clips with sound, for DNSMOS"),
        "dnsmos_overall": ("MOS", "DNSMOS P.835, overall"),
        "dnsmos_voice": ("MOS", "DNSMOS P.835, voice"),
        "dnsmos_background": ("MOS", "DNSMOS P.835, background"),
        "distillmos": ("MOS", "DistillMOS", "clips with sound, for DistillMOS"),
    },
    add_tasks=_add_tasks,
    rows=_rows,
    require=_require,
)
