"""The charts of a run and of a sweep as files; and their tables in LaTeX."""

import re
import shutil
from pathlib import Path

from pipelines.commandline.run_folders import Job, note, read_jobs
from pipelines.pages.phrasing import full_name, latex_table
from pipelines.pages.report import write_report
from pipelines.pages.sweep_page import write_sweep
from pipelines.results.run_record import read_results
from tests.pipelines.conftest import FinishedRun


def drawn(folder: Path) -> dict[str, bytes]:
    """The charts of a run or sweep as files."""
    return {path.name: path.read_bytes() for path in (folder / "charts").iterdir()}


def test_each_chart_of_the_page_of_a_run_is_a_file(finished_run: FinishedRun, tmp_path: Path) -> None:
    files = drawn(finished_run.folder)
    assert all(content.startswith(b"%PDF" if name.endswith(".pdf") else b"<?xml") for name, content in files.items())
    kinds = ("svg", "pdf")
    assert {f"{name}.{kind}" for name in ("curve_lm", "usage", "comparison", "sounds-0") for kind in kinds} <= {*files}
    page = (finished_run.folder / "report.html").read_text()
    assert len(files) == 2 * page.count('class="chart"')
    again = Path(shutil.copytree(finished_run.folder, tmp_path / "again"))
    (again / "charts/of_an_earlier_page.svg").touch()
    write_report(again, read_results(again))
    assert drawn(again) == files


def test_a_sweep_has_a_table_and_charts_with_the_same_bytes_twice(finished_run: FinishedRun, tmp_path: Path) -> None:
    (sweep := tmp_path / "sweep").mkdir()
    for number in range(2):
        (sweep / str(number)).symlink_to(finished_run.folder)
        job = Job(number=number, overrides={"lm.gpt.layers": str(number + 1)}, folder=str(number), state="finished")
        note(sweep, job)
    runs, failures = write_sweep(sweep, read_jobs(sweep), command="")
    assert not failures
    table = (sweep / "table.tex").read_text()
    assert r"lm.gpt.layers" in table
    assert "bits per second" in table
    assert "perplexity" not in table
    assert len(runs.methods) > 2
    for method in runs.methods:
        assert full_name(method) in table
    page = (sweep / "sweep.html").read_text()
    assert all(f"{full_name(method)} on test" in page for method in runs.methods)
    assert "LM perplexity" not in page
    assert table.count(r"\\") == 3
    files = drawn(sweep)
    assert files.keys() == {f"{name}.{kind}" for name in ("figures", "learning") for kind in ("svg", "pdf")}
    write_sweep(sweep, read_jobs(sweep), command="")
    assert drawn(sweep) == files


def test_a_run_has_its_methods_as_a_latex_table(finished_run: FinishedRun) -> None:
    text = (finished_run.folder / "table.tex").read_text()
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    methods = (finished_run.folder / "comparison.md").read_text().split("\n\n")[0].splitlines()[2:]
    assert len(rows) == 1 + len(methods)
    assert {row.count(" & ") for row in rows} == {8}
    assert not re.search(r"(?<!\\)[%#_$](?![<>|-]?\$)", text.replace("$-$", ""))


def test_what_latex_reads_as_commands_is_escaped() -> None:
    table = latex_table(["a_b", "50 %"], [["x & y", r"\alpha{} ~ ^ # $ −1 – <>|"]])
    assert table.splitlines()[2] == r"a\_b & 50 \% \\"
    escaped = r"\textbackslash{}alpha\{\} \textasciitilde{} \textasciicircum{} \# \$ $-$1 -- $<$$>$$|$"
    assert table.splitlines()[4] == rf"x \& y & {escaped} \\"
