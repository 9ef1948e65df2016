"""What each code stands for, in the report of a single training: facts."""

from pipelines.plugins.plugin import Plugin

PLUGIN = Plugin(
    name="codes",
    explanation="patches, mean spectrum and labels of each code; runs of one training with a report have it",
    needs=("codes",),
    of_report=True,
    parts={"code_sounds": "code_table"},
    page="codes/codes.html.jinja",
    link="Codes",
    late=True,
)
