"""Plugins: the core knows none by name, none knows another, and a tree without one works."""

import ast
import importlib
import os
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from pipelines.plugins.table import PLUGINS
from tests.killing import PROCESSES, SECONDS_TO_END
from tests.pipelines.tiny_chain import TINY
from tests.test_architecture import ALL, PACKAGES, ROOT, SOURCES, lies_in

# plugin -> its files beside its folder; who deletes the plugin deletes these, too
FILES: dict[str, tuple[str, ...]] = {
    "zerospeech": (
        "conf/experiment/spoken_sentences.yaml",
        "conf/experiment/spoken_words.yaml",
    ),
    "codes": (),
    "rates": ("conf/experiment/levels.yaml",),
    "speech_judges": (),
    "next_sample": ("lm/samples", "conf/next_sample", "conf/experiment/next_sample.yaml"),
}
ALL_FILES = FILES | dict.fromkeys(("finetune", "demo"), ())  # commands
QUICK = ("codes", "rates")  # a small and a deep one: their trees are tested outside the slow suite, too
# the tables that import plugins -> the dictionary that holds the lines
TABLES = {
    "pipelines/plugins/table.py": "PLUGINS",
    "pipelines/commands.py": "COMMANDS",
}


def files_of(plugin: str) -> tuple[str, ...]:
    return f"pipelines/plugins/{plugin}", *ALL_FILES[plugin]


def owner(file: Path) -> str | None:
    """The plugin that a file belongs to; None: the core."""
    return next((name for name in ALL_FILES if any(lies_in(file, place) for place in files_of(name))), None)


OWNERS = {file: owner(file) for file in SOURCES}


def test_every_file_of_a_plugin_is_there() -> None:
    assert FILES.keys() == PLUGINS.keys()
    assert not [place for name in ALL_FILES for place in files_of(name) if not (ROOT / place).exists()]
    folders = {path.name for path in (ROOT / "pipelines/plugins").iterdir() if (path / "__init__.py").exists()}
    assert folders == {*ALL_FILES}


def test_no_file_imports_a_plugin_but_its_own() -> None:
    modules = {".".join(file.with_suffix("").parts).removesuffix(".__init__"): of for file, of in OWNERS.items() if of}
    wrong = [
        f"{one.file} imports {name}"
        for one in ALL
        for name, of in modules.items()
        if OWNERS[one.file] != of and one.within(name) and one.file.as_posix() not in TABLES
    ]
    assert not wrong


def tree_without(plugins: Collection[str], place: Path) -> Path:
    """Copy our packages without the files of plugins and without their lines of the tables.

    What Python and numba have compiled beside the files is copied, too: it holds for files of the same size and time.
    """
    for name in PACKAGES:
        shutil.copytree(ROOT / name, place / name)
    for path in [place / file for name in plugins for file in files_of(name)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for table, name in TABLES.items():
        lines, gone = (place / table).read_text().splitlines(keepends=True), set[int]()
        for node in ast.walk(ast.parse("".join(lines))):
            match node:
                case ast.ImportFrom(module=str(module)) if any(
                    f"{module}.".startswith(f"pipelines.plugins.{each}.") for each in plugins
                ):
                    gone |= {*range(node.lineno, (node.end_lineno or node.lineno) + 1)}
                case ast.AnnAssign(target=ast.Name(id=of), value=ast.Dict(keys=keys, values=values)) if of == name:
                    for key, value in zip(keys, values, strict=True):
                        if isinstance(key, ast.Constant) and key.value in plugins:
                            gone |= {*range(key.lineno, (value.end_lineno or key.lineno) + 1)}
        # a plugin is an import and a line
        assert name == "COMMANDS" or len(gone) == 2 * len(PLUGINS.keys() & {*plugins})
        (place / table).write_text("".join(line for number, line in enumerate(lines, 1) if number not in gone))
    return place


def run_without(plugins: Collection[str], place: Path, *words: str) -> None:
    """Import all modules of a tree without plugins, and run the chain there, by a process that forgets our modules."""
    own = [f"hydra.run.dir={place / 'run'}", f"store.root={place / 'store'}", "threads=1"]
    tree, told = tree_without(plugins, place / "tree"), place / "told.txt"
    process = PROCESSES.Process(target=_run, args=(tree, plugins, [*TINY, *own, *words], told))
    process.start()
    process.join(SECONDS_TO_END)
    process.kill()  # if it hangs
    process.join()
    assert process.exitcode == 0, told.read_text()


def _run(tree: Path, plugins: Collection[str], words: list[str], told: Path) -> None:
    for stream in (1, 2):
        os.dup2(os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT), stream)
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        del sys.modules[name]
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    for path in [path.relative_to(tree) for package in PACKAGES for path in sorted((tree / package).rglob("*.py"))]:
        try:
            importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
        except ModuleNotFoundError as error:  # of a library that is an extra of the installation, such as Gradio
            if (error.name or "").partition(".")[0] in PACKAGES:
                raise
    ours = [each for name, each in sys.modules.items() if name.partition(".")[0] in PACKAGES]
    assert all(str(each.__file__).startswith(f"{tree}/") for each in ours)
    options = importlib.import_module("pipelines.commands").COMMANDS["run"].options
    options = importlib.import_module("pipelines.commandline.option_index").index(options).names
    known = [name for name in options if name.startswith(tuple(f"{each}." for each in plugins))]
    assert not known, known
    sys.argv = ["wordless", "run", *words]
    importlib.import_module("pipelines.cli").main()


@pytest.mark.parametrize(
    "plugin",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ALL_FILES],
)
def test_a_tree_without_a_plugin_imports_and_runs(plugin: str, tmp_path: Path) -> None:
    run_without([plugin], tmp_path, "stages=[tokenizer,lm,report]")
    assert (tmp_path / "run/report.html").is_file()


def test_a_tree_without_plugins_makes_codes_models_probe_and_sound(tmp_path: Path) -> None:
    run_without([*ALL_FILES], tmp_path, "stages=null")
    for part in ("tokenizer", "lm", "vocoder", "probe"):
        assert (tmp_path / "run" / part / "config.json").is_file()
    assert [*(tmp_path / "store/codes").glob("*/*.parquet")]
    assert [*(tmp_path / "run/listening").glob("*_wavenet.wav")]
    assert "report.html" in (tmp_path / "told.txt").read_text()
