"""How large the project may be: bounds that only fall. The bounds are lowered with each change."""

import subprocess
from pathlib import Path

from pipelines.commandline.commands import COMMANDS
from pipelines.commandline.option_index import index
from tests.calling import ROOT
from tests.test_architecture import lies_in

# The core turns recordings into codes, a GPT, probes and sound; what lies here is beside it.
BESIDE = (
    *("pipelines/extras", "pipelines/bodies", "lm/bodies", "lm/samples"),  # the two tables
    *("lm/rates.py", "lm/pitch.py", "tokenizer/rates_tokenizer.py", "pipelines/stages/models_of_rates.py"),
    *("tokenizer/speech_layer.py", "wordless/audio/speech_models.py"),
    *("pipelines/stages/judging.py", "pipelines/chain/unlabelled.py"),
    *("lm/heads.py", "lm/finetuned.py", "lm/finetuning.py", "pipelines/labelled.py"),
    *("pipelines/chain/sweep_runs.py", "pipelines/pages/sweep_page.py", "pipelines/results/sweep_jobs.py"),
    *("pipelines/jobs", "pipelines/recordings.py", "pipelines/speech.py", "pipelines/runs.py", "pipelines/doctor.py"),
    "pipelines/store/tracking.py",
    *(f"wordless/audio/recordings/{name}.py" for name in ("packed", "espeak_voice", "spoken_pairs")),
    "tokenizer/units.py",
)
BOUNDS = {
    "lines of the core": 32_199,
    "lines outside tests": 47_116,
    "lines of tests": 35_125,
    "files outside tests": 270,
    "names of options on the command line": 420,
}


def test_the_project_does_not_grow() -> None:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = {name: (ROOT / name).read_text().count("\n") for name in listed.stdout.split()}
    ours = [name for name in lines if not name.startswith("tests/")]
    core = [name for name in ours if not any(lies_in(Path(name), place) for place in BESIDE)]
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
