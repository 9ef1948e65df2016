"""Nothing that the project reads is unpickled or evaluated."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.test_architecture import ROOT, SOURCES

EXECUTING_MODULES = {
    *("pickle", "_pickle", "cPickle", "pickletools", "dill", "cloudpickle", "joblib", "shelve", "marshal", "runpy"),
    *("torch.package", "torch.hub", "torch.jit", "torch.serialization", "imp"),
}
EXECUTING_NAMES = {"eval", "exec", "compile", "__import__"}
# Files with other calls of that name, and what they call it of: numba's builder, our `Training`, safetensors' function.
OTHER_LOADS = {"vocoder/numba_streams.py": "builder", "wordless/training/fit.py": "training", "vocoder/vocoder.py": ""}
# Their from_pretrained reads safetensors and JSON.
OURS = {"Tokenizer", "LanguageModel", "SampleLanguageModel", "Vocoder", "FineTunedModel", "FittedProbe", "cls"}
# It imports modules that its own constants name: public names.
NAMES_MODULES = {Path("wordless/__init__.py")}


def constant(call: ast.Call, name: str) -> object:
    """The value of a keyword argument that stands there literally; None for all else."""
    values = [keyword.value for keyword in call.keywords if keyword.arg == name]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def executes(call: ast.Call, file: Path) -> bool:
    """Whether a call may run code that a file holds."""
    name = ast.unparse(call.func)
    of, _, last = name.rpartition(".")
    if name in EXECUTING_NAMES or of in EXECUTING_MODULES or name.startswith("torch.jit."):
        return True
    if any(keyword.arg == "allow_pickle" for keyword in call.keywords) and constant(call, "allow_pickle") is not False:
        return True
    if last in ("read_pickle", "read_hdf", "query"):  # of pandas
        return True
    if last in ("load", "full_load", "unsafe_load") and of == "yaml":
        return True
    # NumPy reads no pickle unless it is asked to; tl.load is of Triton and reads a GPU's memory
    if last == "load" and of not in ("json", "np", "numpy", "tl"):
        return OTHER_LOADS.get(file.as_posix()) != of and constant(call, "weights_only") is not True
    if last == "from_pretrained" and of.rpartition(".")[2] not in OURS:
        if of == "AutoConfig":  # reads JSON, and code only if it is trusted
            return constant(call, "trust_remote_code") is not False
        return constant(call, "use_safetensors") is not True
    if last == "resolve_name":  # of constants of the file, and never of what a saved folder says
        return file not in NAMES_MODULES or not all(map(is_constant, chosen(call.args[0])))
    return last in ("read_pickle", "unsafe_load") or (last == "import_module" and file not in NAMES_MODULES)


def chosen(value: ast.expr) -> Iterator[ast.expr]:
    """What a conditional expression may be."""
    branches = (value.body, value.orelse) if isinstance(value, ast.IfExp) else ()
    yield from (each for branch in branches for each in chosen(branch))
    if not branches:
        yield value


def is_constant(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id.isupper()


def found(source: str, file: Path) -> Iterator[str]:
    """Places of a file that may run code which another file holds."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                bad = [name.name for name in names if name.name in EXECUTING_MODULES]
            case ast.ImportFrom(module=str(module), names=names):
                loads = module in ("torch", "numpy", "yaml") and any(name.name == "load" for name in names)
                inner = [f"{module}.{name.name}" for name in names]
                bad = [module] if module in EXECUTING_MODULES or loads else [n for n in inner if n in EXECUTING_MODULES]
            case ast.Call() as call:
                bad = [ast.unparse(call.func)] if executes(call, file) else []
            case _:
                bad = []
        yield from (f"{file}:{getattr(node, 'lineno', 0)}: {name}" for name in bad)


def test_no_call_of_the_project_reads_what_can_run() -> None:
    assert [place for file in SOURCES for place in found((ROOT / file).read_text(encoding="utf-8"), file)] == []
