"""How large the project may be: bounds that only fall. The bounds are lowered with each change."""

import ast
import subprocess
from pathlib import Path

from tests.calling import ROOT

LINES, LINES_OF_TESTS, OPTIONS = 43_955, 33_557, 348


def test_the_project_does_not_grow() -> None:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    texts = {name: (ROOT / name).read_text() for name in listed.stdout.split()}
    tests = {name for name in texts if name.startswith("tests/")}
    calls = [
        getattr(each.func, "id", "")
        for name in texts.keys() - tests
        for each in ast.walk(ast.parse(texts[name]))
        if isinstance(each, ast.Call)
    ]
    lines = {name: text.count("\n") for name, text in texts.items()}
    for what, count, bound in (
        ("lines outside tests", sum(lines[name] for name in texts.keys() - tests), LINES),
        ("lines of tests", sum(lines[name] for name in tests), LINES_OF_TESTS),
        ("options", calls.count("option"), OPTIONS),
    ):
        too_many, file = f"{count - bound} {what} too many: take as many out elsewhere", Path(__file__).name
        assert count <= bound, f"{too_many}; if that is impossible, set the bound in {file} to {count}, and say why"
