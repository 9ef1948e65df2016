"""``import wordless``: fast, typed, and the same names for Python, for type checkers and for people."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Collection
from importlib import import_module
from pathlib import Path

import pytest

import wordless

ROOT = Path(__file__).parents[2]
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
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded, version = done.stdout.splitlines()
    assert [name for name in ast.literal_eval(loaded) if name.partition(".")[0] not in sys.stdlib_module_names] == []
    assert version == f"{wordless.__version__} False"


def script(text: str, *, cwd: Path, without: Collection[str] = ()) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in without}
    environment |= {"PYTHONPATH": str(ROOT)}
    (cwd / "script.py").write_text(text)
    command = [sys.executable, "script.py"]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("module", "name"), [("tokenizer", "Tokenizer"), ("lm", "LanguageModel")])
def test_a_module_of_the_user_with_the_name_of_a_package_is_named(module: str, name: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text("VALUE = 1")
    done = script(f"import {module}, wordless\nwordless.{name}", cwd=tmp_path)
    assert done.returncode == 1
    assert re.search(rf"InputError: {tmp_path / module}\.py\b.*; rename", done.stderr.splitlines()[-1])


NAMELESS = "import os, pwd; pwd.getpwuid = lambda uid: {}[uid]; os.environ['TMPDIR'] = '.'\n"  # as in a container


def test_a_user_without_name_and_home_gets_both_for_libraries(tmp_path: Path) -> None:
    text = f"{NAMELESS}import wordless, getpass, numba.misc.appdirs as folders\n"
    text += "print(bool(getpass.getuser()), os.access(os.path.dirname(folders.user_cache_dir('x')), os.W_OK))"
    done = script(text, cwd=tmp_path, without=("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME"))
    assert done.stdout == "True True\n", done.stderr


@pytest.mark.slow
def test_type_checkers_see_the_types_outside_the_checkout(tmp_path: Path) -> None:
    """As installed by ``make install``."""
    (tmp_path / "user.py").write_text("import wordless\nreveal_type(wordless.Tokenizer.from_pretrained('x').encode)\n")
    done = script("import sys\nfrom mypy.api import run\nprint(run(['user.py'])[0])\n", cwd=tmp_path)
    assert "Codes" in done.stdout, done.stdout
