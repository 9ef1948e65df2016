"""Commands in this process, and Python in a process of its own."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import cli

ROOT = Path(__file__).parents[1]


def python(
    *words: str | Path, cwd: Path = ROOT, before: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Call ``python words...`` with the folder ``before`` and this checkout first on its path."""
    places = [str(each) for each in (before, ROOT, os.environ.get("PYTHONPATH")) if each]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(places), **environment}
    return subprocess.run([sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, check=False)


class Command:
    """Calls of ``wordless <name> words...`` in this process."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.name, self.monkeypatch, self.capsys = name, monkeypatch, capsys

    def __call__(self, *words: str, answer: str = "") -> tuple[object, str, str]:
        self.monkeypatch.setattr(sys, "argv", ["wordless", self.name, *words])
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        code: object = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        told = self.capsys.readouterr()
        return code, told.out, told.err
