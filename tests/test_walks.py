"""How far a reader must go: files and hand-overs from one place to another. The bounds only fall."""

import json
from pathlib import Path

import pytest

from tests.calling import python
from tests.pipelines.tiny import save_run, sweep, write_clip
from tests.pipelines.tiny_chain import TINY

# walk -> most files, and most hand-overs; None: it has none, or they are not bounded
BOUNDS: dict[str, tuple[int, int | None]] = {
    "gpt": (28, None),
    "codes": (28, 216),
    "page": (27, None),  # with what each code stands for, an extra that a run joins
    "size": (23, None),
}
Found = dict[str, dict[str, int] | list[str]]  # files and hand-overs


def walked(walk: str, place: Path, *words: str) -> dict[str, Found]:
    done = python("-m", "tests.walks", walk, place, *words)
    assert done.returncode == 0, done.stderr
    found: dict[str, Found] = json.loads(done.stdout.splitlines()[-1])
    return found


def require_short(name: str, found: Found) -> None:
    """Print a walk, and compare it with its bounds."""
    files = [file for file in found["files"] if not file.endswith("__init__.py")]
    handovers, (most, most_handovers) = dict(found.get("handovers", {})), BOUNDS[name]
    print(f"{name}: {len(files)} files, {sum(handovers.values())} hand-overs", *sorted(files), sep="\n")
    print(*(f"{count:5} {between}" for between, count in sorted(handovers.items())), sep="\n")
    assert len(files) <= most, f"{name}: {len(files)} files, at most {most}"
    assert most_handovers is None or sum(handovers.values()) <= most_handovers, f"{name}: {sum(handovers.values())}"


def test_the_stage_of_the_gpt_loads_few_files(tmp_path: Path) -> None:
    require_short("gpt", walked("load", tmp_path)["gpt"])


def test_a_folder_becomes_codes_in_few_files(tmp_path: Path) -> None:
    save_run(tmp_path / "run", seed=0)
    (tmp_path / "in").mkdir()
    for number in (1, 2):
        write_clip(tmp_path / "in", f"{number}.wav", sweep(0.5, 4000, low=200 * number))
    require_short("codes", walked("encode", tmp_path)["codes"])


@pytest.fixture(scope="module")
def of_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    words = (*TINY, "stages=[tokenizer,probe,report]", "compare.methods=[bag_of_codes]", "threads=1")
    return walked("run", tmp_path_factory.mktemp("walk"), *words)


@pytest.mark.parametrize("name", ["size", "page"])
def test_options_reach_models_and_figures_the_page_in_few_files(name: str, of_run: dict[str, Found]) -> None:
    require_short(name, of_run[name])
