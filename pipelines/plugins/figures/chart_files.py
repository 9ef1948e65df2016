"""The work of ``wordless figures``: each chart of a page in a file of its own."""

from collections.abc import Iterator

import matplotlib

from pipelines.commandline.run_folders import read_jobs
from pipelines.pages.charts import Chart, styled
from pipelines.pages.players import sound_charts
from pipelines.pages.report import report_charts
from pipelines.pages.sweep_page import finished_runs, sweep_charts
from pipelines.plugins.figures import FiguresConfig
from pipelines.plugins.table import plugins
from pipelines.results.run_record import read_results
from pipelines.store.outputs import new_folder
from wordless.base.messages import InputError, counted
from wordless.base.progress import Terminal

# Without names of programs and times, equal charts are equal files.
UNNAMED = {
    "pdf": ("Creator", "Producer", "CreationDate"),
    "svg": ("Date", "Creator", "Format", "Type"),
    "png": ("Software",),
}


def write_figures(settings: FiguresConfig) -> None:
    """Write the charts, and print their names with what they show."""
    with new_folder(settings.output) as folder:
        charts = {chart.name: chart for chart in charts_of(settings)}
        if not charts:
            rule = "its page has no charts: name a run or a sweep of a stage that measures"
            raise InputError(option="model", value=settings.model, rule=rule)
        for chart in charts.values():
            write_chart(chart, f"{folder / chart.name}.{settings.format}", settings.format)
    for chart in charts.values():
        print(f"{chart.name}.{settings.format}\t{chart.description}")
    Terminal().say(f"{counted(len(charts), 'chart')}: {settings.output}")


def charts_of(settings: FiguresConfig) -> Iterator[Chart]:
    if settings.is_sweep:
        yield from sweep_charts(finished_runs(settings.model, read_jobs(settings.model))[0]).values()
        return
    results = read_results(settings.model)
    yield from report_charts(results)
    yield from sound_charts(settings.model, results)
    for plugin in plugins(results):
        yield from plugin.charts(settings.model, results)


@styled
def write_chart(chart: Chart, path: str, form: str) -> None:
    """Write a chart in black on white; its letters are part of the file, so that they are the same everywhere."""
    with matplotlib.rc_context({"svg.hashsalt": chart.name, "svg.fonttype": "path", "pdf.fonttype": 42}):
        background = "white" if form == "png" else "none"
        metadata = dict.fromkeys(UNNAMED[form])
        chart.figure.savefig(path, format=form, dpi=300, facecolor=background, metadata=metadata)
