"""``wordless report``: one self-contained page from the results of a run."""

from dataclasses import dataclass
from pathlib import Path

from audio.configuration import build
from audio.files import write_aside
from pipelines.command import command
from pipelines.run_folder import REPORT


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Which run the report is about."""

    run: Path


def write_report(folder: Path) -> Path:
    """Draw ``report.html`` from what the run folder holds, whole or not at all; gives its path.

    Raises:
        InputError: the results, or a sound that they name, are missing or broken.
    """
    from pipelines.pages.report import page  # matplotlib takes a second, which a misspelt option need not wait for

    write_aside(folder / REPORT, page(folder))
    return folder / REPORT


def report(config: dict[str, object]) -> None:
    """Draw the report of one run and print its path."""
    settings = build(ReportConfig, config, name="")
    print(write_report(settings.run))


main = command("report", report, paths=frozenset({"run"}))

if __name__ == "__main__":
    main()
