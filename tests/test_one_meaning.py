"""A public name of a module means one thing in all packages."""

import ast
from collections import defaultdict
from collections.abc import Iterator

from tests.test_architecture import ROOT, SOURCES

# Names that several files define, and why they may.
SEVERAL = {
    "PLUGIN": "each plugin has one, and a table lists them",
    **dict.fromkeys(("run", "score"), "the function of a command has the command's name"),
    **dict.fromkeys(("loss", "validation_batches"), "each network that is trained has one"),
    "main": "of scripts",
}


def public_names(tree: ast.Module) -> Iterator[str]:
    """The names that a module defines, without private ones and type variables."""
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                found = [node.name]
            case ast.AnnAssign(target=ast.Name(id=name)):
                found = [name]
            case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec"))):
                found = []
            case ast.Assign():
                names = [each for of in node.targets for each in ast.walk(of) if isinstance(each, ast.Name)]
                found = [each.id for each in names if isinstance(each.ctx, ast.Store)]  # not the A of A.b = 1
            case _:
                found = []
        yield from (name for name in found if not name.startswith("_"))


def test_each_public_name_is_defined_once() -> None:
    files = defaultdict[str, set[str]](set)
    for file in SOURCES:
        for name in public_names(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
            files[name].add(file.as_posix())
    several = {name: sorted(of) for name, of in files.items() if len(of) > 1}
    assert {name: of for name, of in several.items() if name not in SEVERAL} == {}
    assert {*SEVERAL} <= {*several}, "the list above has names that one file defines"


def test_the_check_sees_names_of_every_form() -> None:
    source = "A = B = 1\nA.J = 1\nC, D = 1, 2\nE: int = 3\nT = TypeVar('T')\n_F = 1\ndef f(): g = 1\nclass H: i = 1\n"
    assert [*public_names(ast.parse(source))] == ["A", "B", "C", "D", "E", "f", "H"]
