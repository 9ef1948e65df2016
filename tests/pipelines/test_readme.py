"""The Python example of README runs as it is printed."""

import re
from pathlib import Path

import pytest

from audio.reading import read
from tests.pipelines.conftest import FinishedRun

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/x").symlink_to(finished_run.folder)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert len(read(tmp_path / "more.wav", 8000).samples) == 8000
    assert len(read(tmp_path / "copy.wav", 8000).samples) > 0
