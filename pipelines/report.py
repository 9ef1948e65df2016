"""``wordless report``: one self-contained page from the results of a run."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.commandline.command import command
from wordless.base.options import REQUIRED, Options, option
from wordless.base.values import build


@dataclass(frozen=True, kw_only=True)
class ReportConfig(Options):
    """Options of ``wordless report``.

    example: wordless report run=runs/x
    """

    run: Path = option(REQUIRED, "a run folder, such as runs/2025-01-31_12-00-00")


def report(config: dict[str, object]) -> None:
    """Draw the report of one run and print its path."""
    # matplotlib takes a second, which a misspelt option need not wait for.
    from pipelines.pages.report import write_report

    settings = build(ReportConfig, config, name="")
    print(write_report(settings.run))


main = command("report", report)

if __name__ == "__main__":
    main()
