"""``wordless figures``: the charts of a run and of a sweep as files; and their tables in LaTeX."""

import re
from pathlib import Path

import pytest
from PIL import Image

from pipelines.commandline.command import perform
from pipelines.commandline.run_folders import Job, note, read_jobs
from pipelines.commands import COMMANDS
from pipelines.pages.phrasing import full_name, latex_table
from pipelines.pages.sweep_page import write_sweep
from tests.pipelines.conftest import FinishedRun
from wordless.base.messages import InputError

KINDS = {"pdf": b"%PDF", "svg": b"<?xml", "png": b"\x89PNG"}


def drawn(of: Path, output: Path, form: str) -> dict[str, bytes]:
    """The charts of a run or sweep as files."""
    perform(COMMANDS["figures"], {"model": str(of), "output": str(output), "format": form})
    files = {path.name: path.read_bytes() for path in output.iterdir()}
    assert all(content.startswith(KINDS[form]) for content in files.values())
    return files


@pytest.mark.parametrize("form", ["pdf", "svg"])
def test_each_chart_of_the_page_of_a_run_is_a_file(
    form: str, finished_run: FinishedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = drawn(finished_run.folder, tmp_path / "one", form)
    told = capsys.readouterr().out.splitlines()
    assert form == "pdf" or drawn(finished_run.folder, tmp_path / "two", form) == files
    assert {f"{name}.{form}" for name in ("curve_lm", "usage", "comparison", "sounds-0")} <= files.keys()
    page = (finished_run.folder / "report.html").read_text()
    assert len(files) == page.count('class="chart"')
    assert {line.partition("\t")[0] for line in told} == files.keys()


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
    for form in KINDS:
        files, again = (drawn(sweep, tmp_path / form / name, form) for name in ("one", "two"))
        assert files.keys() == {f"figures.{form}", f"learning.{form}"}
        assert files == again
    with Image.open(tmp_path / "png/one/figures.png") as picture:
        assert picture.width > 1000


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


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model": "docs"}, r"^model is docs\b.*\bresults\.json\b.*\bsweep$"),
        ({"output": "charts.pdf"}, r"charts\.pdf\b.*\bfolder\b"),
        ({"output": "docs"}, r"docs exists"),
    ],
)
def test_what_has_no_charts_and_outputs_that_cannot_be_are_refused(
    options: dict[str, object], told: str, finished_run: FinishedRun, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=told):
        perform(COMMANDS["figures"], {"model": str(finished_run.folder), "output": str(tmp_path / "x"), **options})
