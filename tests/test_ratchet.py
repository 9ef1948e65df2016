"""How large the project may be: bounds that only fall. The bounds are lowered with each change."""

import subprocess
from pathlib import Path

from pipelines.commandline.command_options import index
from pipelines.commandline.commands import COMMANDS
from tests.calling import ROOT
from tests.test_architecture import is_core

BOUNDS = {
    "lines of the core": 24_299,
    "lines outside tests": 46_643,
    "lines of tests": 34_639,
    "files outside tests": 194,
    "names of options on the command line": 420,
}


def test_the_project_does_not_grow() -> None:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = {name: (ROOT / name).read_text().count("\n") for name in listed.stdout.split()}
    ours = [name for name in lines if not name.startswith("tests/")]
    core = [name for name in ours if is_core(Path(name))]
    counts = {
        "lines of the core": sum(map(lines.__getitem__, core)),
        "lines outside tests": sum(map(lines.__getitem__, ours)),
        "lines of tests": sum(lines.values()) - sum(map(lines.__getitem__, ours)),
        "files outside tests": len(ours),
        "names of options on the command line": len({name for command in COMMANDS for name in index(command).options}),
    }
    for what, bound in BOUNDS.items():
        too_many, file = f"{counts[what] - bound} {what} too many: take as many out elsewhere", Path(__file__).name
        problem = f"{too_many}; if that is impossible, set the bound in {file} to {counts[what]}, and say why"
        assert counts[what] <= bound, problem
