"""Do the tests find faults? Small faults are put into the code of a package, each alone, until a test fails.

    python -m tests.mutants wordless/base tests/wordless/base --number 20 --seed 0

A fault is a changed sign, an off-by-one, a swapped argument, or a dropped line; the seed chooses where. It is put into
a copy of the checkout, in which the tests run until the first failure. A fault that is never found is worth a test, or
it changes nothing.

``--before CHECKOUT`` compares the tests with those of an earlier commit, pair by pair: only faults are chosen that can
be put into both, and those that are not found here are put into the earlier checkout, too.
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
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("tokenizer", "lm", "vocoder", "pipelines", "wordless")
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
    like: str  # the lines without their indent, the column, and the text: equal for a fault that has moved


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


def faults(file: Path, root: Path) -> Iterator[Fault]:
    content = file.read_bytes()
    lines = content.splitlines(keepends=True)
    starts = [0, *accumulate(map(len, lines))]
    for node in working(ast.parse(content)):
        for kind, other in altered(node):
            assert isinstance(node, ast.expr | ast.stmt)
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            begin, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
            name, text = file.relative_to(root).as_posix(), ast.unparse(other)
            where = b"".join(lines[node.lineno - 1 : node.end_lineno]).decode().strip()
            column = node.col_offset - (len(lines[node.lineno - 1]) - len(lines[node.lineno - 1].lstrip()))
            like = f"{where} {column} {text}"
            yield Fault(file=name, kind=kind, line=node.lineno, begin=begin, end=end, text=text, like=like)


def chosen(place: Path, number: int, seed: int, known: Collection[str] | None) -> list[Fault]:
    """Faults of all kinds in turn, drawn from all files; those that are ``known``, or all."""
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    every = [fault for file in files for fault in faults(file, ROOT) if known is None or fault.like in known]
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


@contextmanager
def copied(root: Path) -> Iterator[Path]:
    """A copy of a checkout."""
    with tempfile.TemporaryDirectory() as place:
        checkout = Path(place) / "checkout"
        listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout
        for name in (name for name in listed.splitlines() if (root / name).is_file()):
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, checkout / name)
        if (ROOT.parent / "shared").exists():
            (checkout.parent / "shared").symlink_to(ROOT.parent / "shared")
        yield checkout


def failure_with(fault: Fault, checkout: Path, tests: list[str]) -> str:
    """The first failure of the tests with a fault; nothing if all pass."""
    content = (checkout / fault.file).read_bytes()
    (checkout / fault.file).write_bytes(content[: fault.begin] + fault.text.encode() + content[fault.end :])
    failure = failing_test(checkout, tests)
    (checkout / fault.file).write_bytes(content)
    return failure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("code", type=Path, help="package or file")
    parser.add_argument("tests", nargs="+", help="files and folders of tests")
    parser.add_argument("--number", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--before", type=Path, help="checkout of an earlier commit")
    given = parser.parse_args()
    with copied(ROOT) as checkout, copied(given.before) if given.before else nullcontext(ROOT) as earlier:
        known = None
        if given.before:
            places = [file for name in PACKAGES for file in (earlier / name).rglob("*.py")]
            before = [fault for file in places for fault in faults(file, earlier)]
            times = Counter(fault.like for fault in before)
            known = {fault.like: fault for fault in before if times[fault.like] == 1}
        for place in (checkout, earlier) if given.before else (checkout,):
            if failure := failing_test(place, given.tests):
                sys.exit(f"without a fault: {failure}")
        found = lost = 0
        every = chosen(ROOT / given.code, given.number, given.seed, known)
        for fault in every:
            failure = failure_with(fault, checkout, given.tests)
            found, said = found + bool(failure), failure or "NOT FOUND"
            if known is not None and not failure and (test := failure_with(known[fault.like], earlier, given.tests)):
                said, lost = f"NOT FOUND, and before {test}", lost + 1
            print(f"{fault.file}:{fault.line}  {fault.kind}: {fault.text[:60]!r}  {said}", flush=True)
        print(f"{found} of {len(every)} faults found" + (f"; {lost} were found before" if given.before else ""))


if __name__ == "__main__":
    main()
