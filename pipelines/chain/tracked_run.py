"""What trackers learn of a run of the chain: its options when it begins, figures and report when it ends."""

from collections.abc import Mapping
from pathlib import Path

from pipelines.chain.corpus import MANIFEST, REJECTED
from pipelines.chain.run_output import COMPARISON
from pipelines.chain.unlabelled import UNLABELLED
from pipelines.commandline.overrides import command_line
from pipelines.commandline.run_log import LOG
from pipelines.commandline.run_names import SWEEP_WORDS
from pipelines.results.figures import COSTS, OF_LAYER, Figure
from pipelines.results.provenance import tracked_run
from pipelines.results.run_record import RESULTS, Results, read_results
from pipelines.settings.run import RunSettings
from pipelines.store.run_folder import REPORT
from pipelines.tracking.tracker import Outcome
from pipelines.tracking.tracking import Tracking, open_trackers
from wordless.base.progress import Terminal

FILES = (REPORT, RESULTS, COMPARISON, MANIFEST, REJECTED, UNLABELLED, LOG)


def open_tracking(settings: RunSettings, folder: Path, config: Mapping[str, object], terminal: Terminal) -> Tracking:
    """Open the trackers of a run. A job of a sweep has the sweep's name before its own, and is in its group."""
    above = folder.absolute().parent
    sweep = above.name if (above / SWEEP_WORDS).is_file() else None
    name = f"{sweep}/{folder.name}" if sweep else ""
    run = tracked_run(folder, command_line("run"), config, name=name, group=sweep)
    return open_trackers(settings.tracking, run, terminal.say)


def conclude(tracking: Tracking, folder: Path) -> None:
    """Give trackers what a finished run wrote into its folder."""
    if not tracking.channels:
        return
    from pipelines.pages.report import report_pictures  # matplotlib takes its time to import

    files = [path for path in (folder / name for name in FILES) if path.is_file()]
    tracking.conclude(Outcome(figures=figures(read_results(folder)), files=files, pictures=report_pictures(folder)))


def figures(results: Results) -> dict[str, float]:
    """Name the figures of a run as ``stage/figure/of``; those of probes on validation end with that word.

    Costs, the layers of each network and single folds and seeds are left out.
    """
    return {
        "/".join(filter(None, (row.stage, row.name, row.subject, _split(row)))): float(row.value)
        for row in results["figures"].overall
        if row.name not in COSTS and not row.name.startswith(OF_LAYER)
    }


def _split(row: Figure) -> str:
    return "validation" if (row.stage, row.split) == ("probe", "validation") else ""
