"""What each code stands for, in the report of a single training: facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.plugins.plugin import Plugin

if TYPE_CHECKING:
    from pipelines.chain.trial import Trial
    from pipelines.results.run_record import Made, Row, Section
    from pipelines.settings.run_settings import RunSettings
    from wordless.audio.recordings.manifest import Clips


def _add_tasks(trial: Trial) -> None:
    from pipelines.plugins.codes.code_table import describe_codes

    describe_codes(trial)


def _rows(made: Made, manifest: Clips, settings: RunSettings) -> tuple[Section, list[Row]]:
    from pipelines.plugins.codes.code_table import code_table_section

    return code_table_section(made), []


def _require(settings: RunSettings) -> None:
    from pipelines.settings.run_settings import require_one_training

    require_one_training("codes", settings, remedy="leave it out of the stages")


PLUGIN = Plugin(
    name="codes",
    explanation="patches, mean spectrum and labels of each code; runs of one training with a report have it",
    needs=("codes",),
    of_report=True,
    parts={"code_sounds": "code_table"},
    page="codes/codes.html.jinja",
    link="Codes",
    late=True,
    add_tasks=_add_tasks,
    rows=_rows,
    require=_require,
)
