"""The arrows between the packages, and what a built wheel holds."""

import ast
import os
import runpy
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from pipelines.commands import COMMANDS
from pipelines.plugins.table import PLUGINS
from tests.calling import python
from tests.pipelines.tiny_chain import TINY

ROOT = Path(__file__).parents[1]
PACKAGES = ("tokenizer", "lm", "vocoder", "pipelines", "conf", "wordless")
SOURCES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

_COMMANDLINE, _STORE, _STAGES, _BACKBONES, _METHODS, _SETTINGS, _RESULTS = (
    f"pipelines.{name}" for name in ("commandline", "store", "stages", "backbones", "methods", "settings", "results")
)
# folder of pipelines/ -> the other folders of pipelines/ that it may import, from the ground up
FOLDERS: dict[str, tuple[str, ...]] = {
    # a command claims the folders that it writes
    "commandline": (_STORE, "pipelines.settings.run_settings"),
    "store": (),
    "stages": (_STORE,),
    # options, methods, and what makes their vectors of the trial of a run
    "backbones": (_STORE, _STAGES, "pipelines.methods.method", "pipelines.chain.trial"),
    "methods": (_BACKBONES,),
    "settings": (_STORE, _STAGES, _METHODS),
    "results": (_STORE, _STAGES, _METHODS, _SETTINGS),
    "pages": (_COMMANDLINE, _STORE, _METHODS, _RESULTS),
    "chain": (_STORE, _STAGES, _BACKBONES, _METHODS, _SETTINGS, "pipelines.results.run_record"),
    "jobs": (
        *(_COMMANDLINE, _STORE, _STAGES, _BACKBONES, _METHODS, _SETTINGS, _RESULTS),
        *("pipelines.chain", "pipelines.pages"),
    ),
}
# What a plugin may import is what the chain may; tests/test_plugins.py says what only plugins may import.
FOLDERS["plugins"] = (*FOLDERS["jobs"], "pipelines.jobs")
# The table of plugins is for everyone.
PLUGIN_TABLES = ("pipelines.plugins.plugin", "pipelines.plugins.table")
COMMAND_FILES = {of for each in COMMANDS.values() if ".plugins." not in (of := each.options.__module__)}
BELOW = ("tokenizer", "lm", "vocoder", "wordless")  # the packages below the commands
_AUDIO, _BASE = "wordless.audio", "wordless.base"

# file or package -> which of our modules it may import; the longest matching name counts
ARROWS = {
    "wordless/base": (_BASE,),
    "wordless/training": ("wordless.training", _BASE),
    "wordless/audio": (_AUDIO, _BASE),
    "tokenizer": ("tokenizer", _AUDIO, _BASE),
    # codes, and folders of several rates: no tokenizer
    "lm": ("lm", "tokenizer.codes", "tokenizer.rate_folders", _BASE),
    # backbones read recordings: by a tokenizer or by a front end of their own
    "lm/backbones": ("lm", "tokenizer", _AUDIO, _BASE),
    "lm/probing": ("lm", "tokenizer.codes", "wordless.audio.views", _BASE),
    "lm/finetuning": ("lm", _AUDIO, _BASE),
    "lm/heads": ("lm", _AUDIO, _BASE),
    "lm/finetuned": ("lm", _AUDIO, _BASE),
    "lm/layer_reader": ("lm", _AUDIO, _BASE),
    "lm/samples": ("lm.samples", "vocoder", _AUDIO, _BASE),
    "vocoder": ("vocoder", "tokenizer.codes", _AUDIO, _BASE),
    "pipelines": (*BELOW, "pipelines"),
    **{
        f"pipelines/{folder}": (*BELOW, "conf", *PLUGIN_TABLES, f"pipelines.{folder}", *below)
        for folder, below in FOLDERS.items()
    },
    "pipelines/jobs": (*BELOW, "pipelines.jobs", *PLUGIN_TABLES, *FOLDERS["jobs"], *COMMAND_FILES),
    "conf": (),
    # the models, for users of Python, and one command
    "wordless": ("wordless", "tokenizer", "lm", "vocoder", "pipelines.running"),
}
# The core turns recordings into codes, a GPT, probes and sound. Beside it lie commands and pages, which call it, and
# what it reaches through a table alone: plugins, backbones, sources of recordings, kinds of codes, engines.
BESIDE = (
    *(f"pipelines/{name}" for name in ("backbones", "commandline", "plugins", "jobs", "pages")),
    *(
        f"pipelines/{name}.py"
        for name in ("cli", "commands", "probe_run", "recordings", "run", "running", "runs", "speech")
    ),
    "wordless/__init__.py",
    *("lm/backbones", "lm/samples", "lm/rates.py", "lm/pitch.py", "lm/heads.py", "lm/finetuned.py", "lm/finetuning.py"),
    "lm/layer_reader.py",
    *(f"tokenizer/{name}.py" for name in ("rate_folders", "rates_tokenizer", "speech_layer", "units")),
    *("wordless/audio/padding.py", "wordless/audio/speech_models.py", "wordless/base/ray_pool.py"),
    *("vocoder/numba_streams.py", "vocoder/triton_streams.py"),
    *(f"wordless/audio/recordings/{name}.py" for name in ("espeak_voice", "data_set")),
)
# Interfaces of the core in rooms beside it, and the tables, which may import what they list.
INTERFACES = ("lm/backbones/backbone.py",)
TABLES_OF = {
    "pipelines/plugins/table.py": "pipelines.plugins",
    "pipelines/methods/methods_table.py": "pipelines.backbones",
    "pipelines/chain/method_vectors.py": "pipelines.backbones",
    "lm/model.py": "lm",
    "tokenizer/tokenizer.py": "tokenizer",
    "pipelines/chain/evaluator.py": "pipelines.backbones",
    "wordless/audio/recordings/corpus.py": "wordless.audio.recordings",
    "vocoder/engines.py": "vocoder",
    "wordless/base/pools.py": "wordless.base.ray_pool",
    "pipelines/plugins/plugin.py": "pipelines.pages",  # types of what a plugin draws
}
# library -> the files and packages that may import it
KEEPERS = {
    "hydra": ("pipelines",),
    "omegaconf": ("pipelines",),
    "faiss": ("tokenizer/kmeans.py",),
    "fairseq2": (
        *("wordless/base/causal_transformer.py", "lm/gpt.py", "lm/backbones/denoising.py"),
        "wordless/training/fit.py",
        # its layers and its cache
        *("lm/samples/sample_model.py", "lm/samples/local_attention.py"),
    ),
    "sklearn": ("lm", "pipelines", "vocoder/filters.py"),
    "librosa": (
        *("vocoder/measures.py", "pipelines/stages/features.py"),  # under a lock
        "pipelines/plugins/speech_judges/opinions.py",
    ),
    "numba": ("vocoder/numba_streams.py", "wordless/base/compiling.py"),
    "llvmlite": ("vocoder/numba_streams.py",),
    "jinja2": ("pipelines/pages",),
    "gradio": ("pipelines/plugins/demo/demo_page.py",),
    "starlette": ("pipelines/plugins/demo/server.py",),
    "datasets": ("wordless/audio/recordings/data_set.py",),  # without decoder, pickle and download
    "ray": ("wordless/base/ray_pool.py",),
    "huggingface_hub": ("wordless/base/saved_models.py",),
    "tensorboard": ("pipelines/store/tensorboard.py",),
    "rich": ("pipelines", "wordless/base/progress.py"),
}


# Libraries that are imported inside functions, because an option, backbone or format needs them, and their import takes
# half a second or more, or they are optional. All else is imported at the top of a file.
LATE = {
    **dict.fromkeys(("gradio", "starlette", "ray", "datasets", "triton"), "optional"),
    **dict.fromkeys(("speechmos", "onnxruntime", "distillmos", "pesq", "torchaudio.models.decoder"), "optional"),
    **dict.fromkeys(("fairseq2", "transformers", "sklearn", "numba", "faiss"), "a second or more, of some models"),
    **dict.fromkeys(("soundfile", "soxr", "av"), "of sound files, which machines that train alone do not read"),
    "scipy.stats.qmc": "half a second of every command; of augmentations alone",
    "librosa": "it is imported under a lock, because its lazy imports are not safe in threads",
    "pystoi": "of a figure",
    "huggingface_hub": "of models on the hub; it reads HF_HUB_OFFLINE when it is imported",
    "torch.utils.tensorboard": "slow; of runs alone",
    "matplotlib": "of the pictures of TensorBoard",
    "_typeshed": "types of type checkers alone",
}
# file -> why it imports our files, or names them by strings, where they are used
LATE_FILES = {
    "wordless/__init__.py": "public names; `import wordless` is fast",
    **dict.fromkeys(("lm/model.py", "tokenizer/tokenizer.py"), "a class opens its subclasses, whose files import it"),
    "pipelines/cli.py": "a training begins its process anew, before anything is imported",
    "pipelines/plugins/plugin.py": "types of what a plugin's functions get, whose files read the table of plugins",
    **{
        f"pipelines/plugins/{name}/__init__.py": "every command reads its options; its functions import what computes"
        for name in PLUGINS
    },
}


@dataclass(frozen=True, kw_only=True)
class Import:
    """One imported module; for ``from a import b`` both ``a`` and ``a.b`` may be modules."""

    file: Path
    module: str
    name: str = ""

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    def within(self, allowed: str) -> bool:
        """Whether the module is ``allowed``, lies in it, or is imported by name from the package above it."""
        return any(f"{name}.".startswith(f"{allowed}.") for name in (self.module, f"{self.module}.{self.name}"))


def imports(file: Path) -> Iterator[Import]:
    """Every import of a file, inside functions too."""
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (Import(file=file, module=name.name) for name in names)
            case ast.ImportFrom(module=module, names=names, level=0) if module:
                yield from (Import(file=file, module=module, name=name.name) for name in names)
            case ast.ImportFrom(level=level) if level:
                pytest.fail(f"{file}:{node.lineno}: relative import; write it in full")


def inner_imports(tree: ast.Module) -> Iterator[str]:
    """Every module that is imported inside a function, or for type checkers alone."""
    for node in ast.walk(tree):
        types = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        if types or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                match inner:
                    case ast.Import(names=names):
                        yield from (name.name for name in names)
                    case ast.ImportFrom(module=str(module)):
                        yield module


def named_modules(tree: ast.Module) -> Iterator[str]:
    """Every string that names one of our modules, or a part of one, and every call that imports a named module.

    Options have names such as ``lm.gpt``, so a module of two parts counts with the name of a part: ``lm.gpt:GPT``.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if (name := text.partition(":")[0]) in MODULES and "." in name:
                if name != text or name.count(".") > 1:
                    yield text
            case ast.Call(func=ast.Name(id="import_module" | "resolve_name" | "__import__" as name)):
                yield name
            case ast.Call(func=ast.Attribute(attr="import_module" | "resolve_name" as name)):
                yield name


def is_late(module: str) -> bool:
    """Whether a module is of a late library, or of ours and imports one at its top."""
    if any(f"{module}.".startswith(f"{name}.") for name in LATE):
        return True
    tops = TREES[MODULES[module]].body if module in MODULES else []
    modules = [node.module for node in tops if isinstance(node, ast.ImportFrom)]
    modules += [name.name for node in tops if isinstance(node, ast.Import) for name in node.names]
    return any(f"{each}.".startswith(f"{name}.") for each in modules if each for name in LATE)


MODULES = {".".join(file.with_suffix("").parts).removesuffix(".__init__"): file for file in SOURCES}
TREES = {file: ast.parse((ROOT / file).read_text(encoding="utf-8")) for file in SOURCES}
ALL = [found for file in SOURCES for found in imports(file)]


def lies_in(file: Path, place: str) -> bool:
    """Whether a file is ``place`` or lies in it; ``lm/backbones`` stands for a folder and for a file of that name."""
    return f"{file.as_posix()}/".startswith((f"{place}/", f"{place}.py/"))


def beside(file: Path) -> str:
    """The place beside the core that a file lies in; empty: the file is of the core."""
    if file.as_posix() in (*INTERFACES, *TABLES_OF):
        return ""
    return next((place for place in BESIDE if lies_in(file, place)), "")


def is_core(file: Path) -> bool:
    return file.parts[0] in PACKAGES and not beside(file)


def told(found: list[Import]) -> list[str]:
    return [f"{one.file} imports {one.module}{f'.{one.name}' if one.name else ''}" for one in found]


def test_packages_import_only_what_the_table_allows() -> None:
    def allowed(file: Path) -> tuple[str, ...]:
        return ARROWS[max((place for place in ARROWS if lies_in(file, place)), key=len)]

    assert {path.parts[1] for path in SOURCES if path.parts[0] == "pipelines" and len(path.parts) > 2} == set(FOLDERS)
    ours = [found for found in ALL if found.package in PACKAGES]
    assert not told([found for found in ours if not any(found.within(name) for name in allowed(found.file))])


def test_the_core_imports_nothing_that_lies_beside_it() -> None:
    places = (*BESIDE, *INTERFACES, *TABLES_OF)
    assert not [place for place in places if not any(lies_in(file, place) for file in SOURCES)]
    modules = {".".join(file.with_suffix("").parts).removesuffix(".__init__"): file for file in SOURCES}

    def file_of(one: Import) -> Path | None:
        return modules.get(f"{one.module}.{one.name}") or modules.get(one.module)

    wrong = [
        one
        for one in ALL
        if is_core(one.file) and (found := file_of(one)) is not None and beside(found)
        if not one.within(TABLES_OF.get(one.file.as_posix(), "no table"))
    ]
    assert not told(wrong)


def test_no_files_import_each_other_in_a_circle() -> None:
    """Imports inside functions count, but for those of `LATE_FILES`.

    The package of a file is no import of the file: Python has begun it before.
    """
    modules = [(".".join(file.with_suffix("").parts), file) for file in SOURCES if file != Path("wordless/__init__.py")]
    names = {name.removesuffix(".__init__"): file for name, file in modules}
    below: dict[Path, set[Path]] = {file: set() for file in names.values()}
    for one in ALL:
        parts = f"{one.module}.{one.name}".split(".")
        places = {names.get(".".join(parts[:end])) for end in range(1, len(parts) + 1)}
        late = one.file.as_posix() in LATE_FILES and one.module in {*inner_imports(TREES[one.file])}
        if one.file in below and not late:
            around = {folder / "__init__.py" for folder in one.file.parents}
            below[one.file] |= {place for place in places if place} - {one.file} - around
    assert [*TopologicalSorter(below).static_order()]  # it refuses circles


def test_imports_inside_functions_are_of_late_libraries() -> None:
    wrong = [
        f"{file} imports {module}"
        for file, tree in TREES.items()
        if file.as_posix() not in LATE_FILES
        for module in inner_imports(tree)
        if not is_late(module)
    ]
    assert not wrong


def test_no_module_is_named_by_a_string() -> None:
    wrong = [
        f"{file} names {text}"
        for file, tree in TREES.items()
        if file.as_posix() not in LATE_FILES
        for text in named_modules(tree)
    ]
    assert not wrong


def test_a_module_that_is_imported_late_or_named_is_found() -> None:
    planted = ast.parse(
        """
if TYPE_CHECKING:
    from lm.gpt import GPT
def load():
    import wordless.base.files
    from torch import nn
TABLE = {"gpt": "lm.gpt:GPT", "files": "wordless.base.files", "option": "lm.gpt", "text": "lm: of a sentence"}
GPT = importlib.import_module(name)
"""
    )
    assert [*inner_imports(planted)] == ["lm.gpt", "wordless.base.files", "torch"]
    assert sorted(named_modules(planted)) == ["import_module", "lm.gpt:GPT", "wordless.base.files"]
    assert [name for name in ("torch", "lm.gpt", "wordless.base.ray_pool", "fairseq2.nn") if is_late(name)] == [
        *("wordless.base.ray_pool", "fairseq2.nn")
    ]


PICTURES = "python docs/images/architecture.py"


def test_the_picture_of_the_rooms_is_that_of_the_code() -> None:
    """Sizes may differ by what rounding hides."""
    pictures = runpy.run_path(str(ROOT / "docs/images/architecture.py"))
    drawn, now = pictures["drawn"]("rings"), pictures["rings"]()
    assert (drawn["arrows"], drawn["core"].keys()) == (now["arrows"], now["core"].keys()), f"draw again: {PICTURES}"
    for part in ("core", "pipelines", "beside"):
        assert drawn[part].keys() == now[part].keys(), f"draw again: {PICTURES}"
        apart = [name for name, lines in now[part].items() if abs(lines - drawn[part][name]) > pictures["ROUNDED"]]
        assert apart == [], f"draw again: {PICTURES}"


def test_the_picture_of_a_run_is_that_of_the_code() -> None:
    pictures = runpy.run_path(str(ROOT / "docs/images/architecture.py"))
    assert pictures["drawn"]("plan") == pictures["plan"](), f"draw again: {PICTURES}"


def test_libraries_stay_where_they_are_kept() -> None:
    kept = [found for found in ALL if found.package in KEEPERS]
    apart = [found for found in kept if not any(lies_in(found.file, place) for place in KEEPERS[found.package])]
    assert not told(apart)


def test_all_but_the_language_model_import_without_fairseq2() -> None:
    packages = ("wordless/audio", "tokenizer", "vocoder")
    paths = [path for path in SOURCES if any(lies_in(path, package) for package in packages)]
    modules = [path.with_suffix("").as_posix().replace("/", ".") for path in paths]
    blocked = "import sys; sys.modules.update({'fairseq2': None, 'fairseq2n': None, 'hydra': None})"
    code = f"{blocked}\nimport importlib\nfor name in {modules!r}: importlib.import_module(name)"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


def test_a_language_model_loads_no_other_models_of_fairseq2() -> None:
    """fairseq2 imports all its models where it is asked for the device or the gangs, which takes two seconds."""
    others = {"fairseq2.composition", "transformers"}
    code = "import sys, lm.model, tokenizer.encoder, tokenizer.kmeans\nfrom wordless.base.causal_transformer import *"
    gpt = "create_causal_transformer(CausalSizes(), positions=4, tokens=4)"
    done = python("-c", f"{code}\n{gpt}\nassert not (found := {others} & {{*sys.modules}}), found")
    assert done.returncode == 0, done.stderr


def require_build_tools() -> None:
    """Skip where a wheel cannot be built offline: build isolation would download setuptools."""
    try:
        version("build")
        found = int(version("setuptools").partition(".")[0])
    except PackageNotFoundError:
        found = 0
    if found < 77:
        pytest.skip("needs pip install build 'setuptools>=77' in this environment")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_build_tools()
    place = tmp_path_factory.mktemp("wheel")
    (place / "source").mkdir()
    for name in (*PACKAGES, "tests", "pyproject.toml", "LICENSE", "README.md"):
        (place / "source" / name).symlink_to(ROOT / name)
    built = python(
        "-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check", "--outdir", place, cwd=place / "source"
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = place.glob("*.whl")
    return path


def test_a_wheel_holds_the_packages_and_the_configs_but_no_tests(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    data = [*(ROOT / "conf").rglob("*.yaml"), *(ROOT / "pipelines").rglob("*.jinja"), *ROOT.glob("*/py.typed")]
    data += [path for path in (ROOT / "vocoder/universal").glob("*/*") if path.is_file()]  # start weights
    typed = {path.parent.name for path in data if path.name == "py.typed"}
    assert typed >= {each.partition(".")[0] for each in ARROWS["wordless"]}
    wanted = {path.as_posix() for path in SOURCES} | {path.relative_to(ROOT).as_posix() for path in data}
    assert not wanted - held
    assert not [name for name in held if name.startswith(("tests", "docs"))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [(("run", "--help"), "usage: wordless run"), (("--help",), "commands"), (("run", *TINY), "report.html")],
)
def test_a_wheel_works_where_it_is_installed(wheel: Path, words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    """Unpacked elsewhere and called from an empty folder; the libraries are those of this environment."""
    packages, here = tmp_path / "packages", tmp_path / "here"
    here.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", packages, wheel]
    subprocess.run(install, check=True)
    done = python("-m", "pipelines.cli", *words, cwd=here, PYTHONPATH=str(packages))
    assert done.returncode == 0, done.stderr
    assert told in done.stdout
    found = subprocess.run(
        [sys.executable, "-c", "import conf, pipelines; print(pipelines.__file__, conf.__file__)"],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.count(str(packages)) == 2  # not this checkout


def test_a_name_of_a_file_says_which_room_it_is_in() -> None:
    """A traceback names a file; two of one name would not say which."""
    names = Counter(file.name for file in SOURCES if file.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []
