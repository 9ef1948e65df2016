"""The Python examples of README and of docs/options.md run as they are printed."""

import re
from pathlib import Path

import pytest

from audio.reading import read
from tests.pipelines.conftest import FinishedRun

ROOT = Path(__file__).parents[2]


def example_of(document: str) -> str:
    """The only Python example of a document."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)
    assert set(re.findall(r"^(?:from|import) (\w+)", example, re.MULTILINE)) <= {"wordless", "numpy"}
    return str(example)


@pytest.fixture
def runs(finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder in which ``runs/x`` is a run."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/x").symlink_to(finished_run.folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_example_runs(runs: Path) -> None:
    exec(compile(example_of("README.md"), "README.md", "exec"), {})
    assert len(read(runs / "more.wav", 8000).samples) == 8000
    assert len(read(runs / "copy.wav", 8000).samples) > 0


def test_the_example_with_arrays_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    exec(compile(example_of("docs/options.md"), "docs/options.md", "exec"), names)
    assert getattr(names["more"], "seconds", 0) == pytest.approx(0.5, abs=0.02)
    assert "not finite" in capsys.readouterr().out
