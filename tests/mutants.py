"""Do the tests find faults? Small faults are put into the code of a package, each alone, until a test fails.

    python -m tests.mutants wordless/base tests/wordless/base --number 20 --seed 0

A fault is a changed sign, an off-by-one, a swapped argument, or a dropped line; the seed chooses where. It is put into
a copy of the checkout, in which the tests run until the first failure. A fault that is never found is worth a test, or
it changes nothing.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS = 1200.0  # for the tests of one fault: an endless loop is found, too
SIGNS: dict[type[ast.operator], ast.operator] = {ast.Add: ast.Sub(), ast.Sub: ast.Add()}
BOUNDS: dict[type[ast.cmpop], ast.cmpop] = {ast.Lt: ast.LtE(), ast.LtE: ast.Lt(), ast.Gt: ast.GtE(), ast.GtE: ast.Gt()}


@dataclass(frozen=True, kw_only=True)
class Fault:
    file: str
    kind: str
    line: int
    begin: int  # byte of the file
    end: int
    text: str  # in place of what stands there


def altered(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The faults of a node: kind, and the node with the fault."""
    match node:
        case ast.BinOp(op=ast.Add() | ast.Sub()) if not _is_text(node):
            yield "sign", _with(node, op=SIGNS[type(node.op)])
        case ast.UnaryOp(op=ast.USub()):
            yield "sign", node.operand
        case ast.Compare(ops=[ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE() as bound]):
            yield "off by one", _with(node, ops=[BOUNDS[type(bound)]])
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            yield "off by one", ast.Constant(value + 1)
        case ast.Call(args=[first, second, *rest]) if not any(isinstance(each, ast.Starred) for each in node.args):
            if ast.dump(first) != ast.dump(second):
                yield "swapped arguments", _with(node, args=[second, first, *rest])
        case ast.Expr(value=ast.Call() | ast.Yield()) | ast.AugAssign() | ast.Continue() | ast.Raise():
            yield "dropped line", ast.Pass()


def _with(node: ast.AST, **fields: object) -> ast.AST:
    other = copy.copy(node)
    vars(other).update(fields)
    return other


def _is_text(node: ast.BinOp) -> bool:
    return any(isinstance(each, ast.JoinedStr) or isinstance(getattr(each, "value", 0), str) for each in ast.walk(node))


def working(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below a node that compute something: no annotation, message, option or value of a class or module."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.JoinedStr() | ast.arguments():
                continue
            case ast.Assign() | ast.AnnAssign() if isinstance(node, ast.Module | ast.ClassDef):
                continue
            case ast.FunctionDef(body=body):
                for each in body:
                    yield each
                    yield from working(each)
            case _:
                yield child
                yield from working(child)


def faults(file: Path) -> Iterator[Fault]:
    content = file.read_bytes()
    starts = [0, *accumulate(len(line) for line in content.splitlines(keepends=True))]
    for node in working(ast.parse(content)):
        for kind, other in altered(node):
            assert isinstance(node, ast.expr | ast.stmt)
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            begin, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
            name = file.relative_to(ROOT).as_posix()
            yield Fault(file=name, kind=kind, line=node.lineno, begin=begin, end=end, text=ast.unparse(other))


def chosen(place: Path, number: int, seed: int) -> list[Fault]:
    """Faults of all kinds in turn, drawn from all files."""
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    every = [fault for file in files for fault in faults(file)]
    random.Random(seed).shuffle(every)
    kinds = [[fault for fault in every if fault.kind == kind] for kind in sorted({fault.kind for fault in every})]
    return [fault for turn in zip_longest(*kinds) for fault in turn if fault][:number]


def failing_test(place: Path, tests: list[str]) -> str:
    """The first failure of the tests; nothing if all pass."""
    words = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests]
    env = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(words, cwd=place, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "no end"
    said = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return (said[0] if said else f"exit code {done.returncode}") if done.returncode else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("code", type=Path, help="package or file")
    parser.add_argument("tests", nargs="+", help="files and folders of tests")
    parser.add_argument("--number", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        checkout = Path(place) / "checkout"
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in (name for name in listed.splitlines() if (ROOT / name).is_file()):
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, checkout / name)
        if (ROOT.parent / "shared").exists():
            (checkout.parent / "shared").symlink_to(ROOT.parent / "shared")
        if failure := failing_test(checkout, given.tests):
            sys.exit(f"without a fault: {failure}")
        found = 0
        every = chosen(ROOT / given.code, given.number, given.seed)
        for fault in every:
            content = (ROOT / fault.file).read_bytes()
            (checkout / fault.file).write_bytes(content[: fault.begin] + fault.text.encode() + content[fault.end :])
            failure = failing_test(checkout, given.tests)
            (checkout / fault.file).write_bytes(content)
            found += bool(failure)
            print(f"{fault.file}:{fault.line}  {fault.kind}: {fault.text[:60]!r}  {failure or 'NOT FOUND'}", flush=True)
        print(f"{found} of {len(every)} faults found")


if __name__ == "__main__":
    main()
