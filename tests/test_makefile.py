"""``make install``, as far as it goes without a download: what it refuses, and what it never deletes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def made(*words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    return subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["install", "clean"])
def test_a_folder_of_another_kind_is_not_deleted(target: str, tmp_path: Path) -> None:
    kept = tmp_path / "work" / "pyvenv.cfg"  # an environment, too, may be somebody else's
    kept.parent.mkdir()
    kept.touch()
    done = made(target, f"VENV={kept.parent}")
    assert done.returncode == 2
    assert re.search(rf"{kept.parent} .*VENV=", done.stderr)
    assert kept.exists()


def test_a_python_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    done = made("install", f"VENV={tmp_path / 'venv'}", "PYTHON=/bin/false")
    assert done.returncode == 2
    assert re.search(r"PYTHON=/bin/false\b.*\b3\.10, 3\.11 or 3\.12\b", done.stderr)
    assert not (tmp_path / "venv").exists()
