"""How far a reader must go: files and hand-overs from one place to another; `pytest -s` prints them."""

import json
from pathlib import Path

import pytest

from tests.calling import python
from tests.pipelines.tiny import save_run, sweep, write_clip
from tests.pipelines.tiny_chain import TINY

Found = dict[str, dict[str, int] | list[str]]  # files and hand-overs


def walked(walk: str, place: Path, *words: str) -> dict[str, Found]:
    done = python("-m", "tests.walks", walk, place, *words)
    assert done.returncode == 0, done.stderr
    found: dict[str, Found] = json.loads(done.stdout.splitlines()[-1])
    return found


def show(name: str, found: Found) -> None:
    """Print a walk, which has files."""
    files = [file for file in found["files"] if not file.endswith("__init__.py")]
    handovers = dict(found.get("handovers", {}))
    print(f"{name}: {len(files)} files, {sum(handovers.values())} hand-overs", *sorted(files), sep="\n")
    print(*(f"{count:5} {between}" for between, count in sorted(handovers.items())), sep="\n")
    assert files


def test_the_files_that_the_stage_of_the_gpt_loads(tmp_path: Path) -> None:
    show("gpt", walked("load", tmp_path)["gpt"])


def test_the_walk_from_a_folder_to_codes(tmp_path: Path) -> None:
    save_run(tmp_path / "run", seed=0)
    (tmp_path / "in").mkdir()
    for number in (1, 2):
        write_clip(tmp_path / "in", f"{number}.wav", sweep(0.5, 4000, low=200 * number))
    show("codes", walked("encode", tmp_path)["codes"])


@pytest.fixture(scope="module")
def of_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    words = (*TINY, "stages=[tokenizer,probe,report]", "compare.methods=[bag_of_codes]", "threads=1")
    return walked("run", tmp_path_factory.mktemp("walk"), *words)


@pytest.mark.parametrize("name", ["size", "page"])
def test_the_walks_of_an_option_to_models_and_of_figures_to_the_page(name: str, of_run: dict[str, Found]) -> None:
    show(name, of_run[name])
