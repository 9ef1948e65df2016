"""docs/figures.md: its lines of Python work in the folder of a run, and its tables name the columns that there are."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from pipelines.commandline.command import perform
from pipelines.commandline.run_folders import Job
from pipelines.commands import COMMANDS
from pipelines.pages.sweep_page import write_sweep
from pipelines.results.run_record import frame
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.pages_apart import comparison_example, probe
from tests.pipelines.tiny_chain import config_of

pandas = pytest.importorskip("pandas", reason="needs pip install 'wordless[dev]'")
PAGE = (Path(__file__).parents[3] / "docs/figures.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
FILES = {
    "sweep.csv": "Figures of a sweep: sweep.csv",
    "predictions.parquet": "Predictions: predictions.parquet",
    "scores.tsv": "Scores: wordless score",
}


@pytest.fixture(scope="module")
def folder(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything that the page reads."""
    place = tmp_path_factory.mktemp("figures")
    run, store = Path(shutil.copytree(finished_run.folder, place / "run")), f"store.root={place / 'store'}"
    for command, output, more in (
        ("embed", "vectors.npz", (store,)),
        ("encode", "codes.parquet", (store,)),
        ("score", "scores.tsv", ()),
    ):
        given = (f"model={run}", f"input={finished_run.manifest.root}", f"output={run / output}", *more)
        perform(COMMANDS[command], config_of(command, *given))
    job = Job(number=0, folder=".", overrides={"tokenizer.codebook_size": "8"}, state="finished")
    write_sweep(run, [job], command="wordless run -m tokenizer.codebook_size=8")
    return run


@pytest.mark.parametrize("title", [title for title, text in SECTIONS.items() if "```python" in text])
def test_lines_of_python_work(title: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names = lines_of(title)
    if "accuracy" in names:
        assert names["accuracy"] == names["probe"]["value"]  # as the page reads it


def lines_of(title: str) -> dict[str, Any]:
    """The names that a section's lines of Python leave, run in the current folder."""
    names: dict[str, Any] = {}
    (code,) = re.findall(r"```python\n(.*?)```", SECTIONS[title], re.DOTALL)
    exec(compile(code, title, "exec"), names)
    return names


def test_a_run_has_one_row_whatever_it_was_trained_and_measured_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folds, seeds, groups, few labels and noise have rows of their own."""
    whole = comparison_example()
    more = [
        probe("gpt", 0.5, seed=0),
        probe("gpt", 0.5, noise="white", noise_snr=10.0),
        probe("gpt", 0.5, seed=0, split="validation"),
    ]
    for job in range(3):
        (tmp_path / str(job)).mkdir()
        figures = frame((*whole.rows(), *more)).to_dict("records")
        (tmp_path / f"{job}/results.json").write_text(json.dumps({"figures": figures}))
    jobs = [Job(number=job, folder=str(job), overrides={"seed": str(job)}, state="finished") for job in range(3)]
    write_sweep(tmp_path, jobs, command="wordless run -m seed=0,1,2")
    monkeypatch.chdir(tmp_path / "0")
    assert lines_of("Figures of a run: results.json")["overall"].of.tolist() == whole.methods
    monkeypatch.chdir(tmp_path)
    found = lines_of("Figures of a sweep: sweep.csv")["validation"]
    assert (found.job.tolist(), found.low.notna().all()) == ([0, 1, 2], True)


def columns_of(section: str) -> set[str]:
    """The names in the first column of the tables."""
    return {name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(.+?)`", row)}


@pytest.mark.parametrize("file", FILES)
def test_every_column_is_named(file: str, folder: Path) -> None:
    match file.rpartition(".")[2]:
        case "parquet":
            found = {*pandas.read_parquet(folder / file).columns}
        case kind:
            found = {*pandas.read_csv(folder / file, sep="," if kind == "csv" else "\t").columns}
    known = columns_of(SECTIONS[FILES[file]])
    if file == "sweep.csv":
        known |= columns_of(SECTIONS["Figures of a run: results.json"])
    assert known - found <= {"tokenizer.codebook_size"}
    assert found <= known


def test_figures_have_counts_resamples_and_the_names_of_sweeps(folder: Path) -> None:
    figures = pandas.DataFrame(pandas.read_json(folder / "results.json", typ="series")["figures"])
    rows = figures[(figures.stage == "probe") & figures.split.isin(["validation", "test"])]
    assert "difference" in {*rows["name"]}
    assert (rows["count"] > 0).all()
    assert figures[figures["name"] == "gap"]["count"].isna().all()
    arrays = load_file(folder / "resamples.safetensors")
    probed = figures[(figures.stage == "probe") & (figures["name"] == "accuracy")]
    assert {*arrays} == {of for of in probed.of if "/" not in of}  # layers have none
    assert len({array.shape for array in arrays.values()}) == 1
    assert {*figures.columns} == columns_of(SECTIONS["Figures of a run: results.json"])
    assert {*figures.columns} <= {*pandas.read_csv(folder / "sweep.csv").columns}
