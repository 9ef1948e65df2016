"""``runs/index.html``: the runs of a folder beside each other, with links to their reports."""

import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pipelines.pages.phrasing import draw, quantity
from pipelines.results.run_listing import KEY_COLUMNS, RunRow, run_rows
from pipelines.store.run_folder import REPORT

RUNS: Final = "runs"  # folder in which commands put the folders of runs
INDEX: Final = "index.html"
HEADS = ("run", "date (UTC)", "corpus", "options", *(column.heading for column in KEY_COLUMNS), "MB")


def write_runs_page(root: Path, *, finished: Path | None = None) -> Path:
    """Write the page of the runs below a folder, and return its path; see `run_rows` for ``finished``."""
    page, beside = root / INDEX, root / f".{INDEX}.{os.getpid()}"  # other runs may end at the same time
    runs = []
    for row in run_rows(root, finished=finished):
        link = quote(os.fsencode(f"{row.folder.name}/{REPORT}")) if (row.folder / REPORT).is_file() else None
        runs.append((row, link, cells(row)))
    try:
        beside.write_text(draw("runs.html.jinja", runs=runs, heads=HEADS), encoding="utf-8")
        beside.replace(page)
    finally:
        beside.unlink(missing_ok=True)
    return page


def cells(row: RunRow) -> list[str]:
    """Write the columns of a run behind its name; ``HEADS`` has their headings."""
    state = "" if row.state == "finished" else f" ({row.state})"
    figures = [quantity(value, column.unit) for value, column in zip(row.figures, KEY_COLUMNS, strict=True)]
    return [f"{row.date}{state}", row.corpus or "–", " ".join(row.options) or "–", *figures, f"{row.size / 1e6:,.1f}"]
