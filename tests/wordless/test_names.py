"""``import wordless``: fast, typed, and the same names for Python, for type checkers and for people."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import wordless
from tests.calling import python

SOURCE = ast.parse(Path(wordless.__file__).read_text(encoding="utf-8"))


def typed_names() -> dict[str, str]:
    (block,) = [node for node in SOURCE.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    found = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in found for alias in node.names}


def test_python_and_type_checkers_see_the_same_names() -> None:
    assert sorted([*typed_names(), "__version__"]) == sorted(wordless.__all__) == sorted(dir(wordless))
    for name, module in typed_names().items():
        assert getattr(wordless, name) is getattr(import_module(module), name)


def test_a_name_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(AttributeError, match=r"'Tokeniser'.*\bCodes, .*\bTokenizer\b"):
        wordless.Tokeniser  # type: ignore[attr-defined]  # noqa: B018  it is refused


def test_the_import_loads_no_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import wordless\n"
        "print(sorted(name for name in set(sys.modules) - before - sys.stdlib_module_names if name != 'wordless'))\n"
        "print(wordless.__version__, 'torch' in sys.modules)"
    )
    loaded, version = python("-c", code).stdout.splitlines()
    assert [name for name in ast.literal_eval(loaded) if name.partition(".")[0] not in sys.stdlib_module_names] == []
    assert version == f"{wordless.__version__} False"


def script(text: str, *, cwd: Path) -> subprocess.CompletedProcess[str]:
    (cwd / "script.py").write_text(text)
    return python("script.py", cwd=cwd)


@pytest.mark.parametrize(("module", "name"), [("tokenizer", "Tokenizer"), ("lm", "LanguageModel")])
def test_a_module_of_the_user_with_the_name_of_a_package_is_named(module: str, name: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text("VALUE = 1")
    done = script(f"import {module}, wordless\nwordless.{name}", cwd=tmp_path)
    assert done.returncode == 1
    assert re.search(rf"InputError: {tmp_path / module}\.py\b.*; rename", done.stderr.splitlines()[-1])


NAMELESS = """
import os, pwd
pwd.getpwuid = lambda uid: {}[uid]
os.environ["TMPDIR"] = "."
for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME"):
    os.environ.pop(name, None)
import wordless, getpass, numba.misc.appdirs as folders
print(bool(getpass.getuser()), os.access(os.path.dirname(folders.user_cache_dir('x')), os.W_OK))
"""


def test_a_user_without_name_and_home_gets_both_for_libraries(tmp_path: Path) -> None:
    """As in a container."""
    done = script(NAMELESS, cwd=tmp_path)
    assert done.stdout == "True True\n", done.stderr


@pytest.mark.slow
def test_type_checkers_see_the_types_outside_the_checkout(tmp_path: Path) -> None:
    """As installed by ``make install``."""
    (tmp_path / "user.py").write_text("import wordless\nreveal_type(wordless.Tokenizer.from_pretrained('x').encode)\n")
    done = script("import sys\nfrom mypy.api import run\nprint(run(['user.py'])[0])\n", cwd=tmp_path)
    assert "Codes" in done.stdout, done.stdout
