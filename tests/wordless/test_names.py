"""``import wordless``: fast, typed, and the same names for Python, for type checkers and for people."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import wordless

ROOT = Path(__file__).parents[2]
SOURCE = ast.parse(Path(wordless.__file__).read_text(encoding="utf-8"))


def typed_names() -> dict[str, str]:
    """Name -> module of what type checkers see."""
    (block,) = [node for node in SOURCE.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    found = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in found for alias in node.names}


def test_python_and_type_checkers_see_the_same_names() -> None:
    assert typed_names() == wordless._HOMES
    assert sorted([*typed_names(), "__version__"]) == sorted(wordless.__all__)
    assert sorted(dir(wordless)) == sorted(wordless.__all__)


@pytest.mark.parametrize("name", [name for name in wordless.__all__ if name != "__version__"])
def test_each_name_is_that_of_its_package(name: str) -> None:
    assert getattr(wordless, name) is getattr(import_module(typed_names()[name]), name)


def test_a_name_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(AttributeError, match=r"'Tokeniser'.*\bCodes, .*\bTokenizer\b"):
        wordless.Tokeniser  # type: ignore[attr-defined]  # noqa: B018  it is refused


def test_the_import_loads_no_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import wordless\n"
        "print(sorted(name for name in set(sys.modules) - before - sys.stdlib_module_names if name != 'wordless'))\n"
        "print(wordless.__version__, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded, version = done.stdout.splitlines()
    assert [name for name in ast.literal_eval(loaded) if name.partition(".")[0] not in sys.stdlib_module_names] == []
    assert version == f"{wordless.__version__} False"
