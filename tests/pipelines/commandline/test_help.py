"""``--help``, every option's explanation, and completion in a shell, which is Hydra's."""

import subprocess
import sys

import pytest
from hydra import initialize_config_module

from pipelines.commandline.command import command_help, help_request
from pipelines.commandline.composed_config import plain_config
from pipelines.commands import COMMANDS
from pipelines.methods.methods_table import METHODS
from pipelines.settings.run_settings import RunSettings
from tests.calling import compose, index
from tests.pipelines.tiny_chain import ROOT
from wordless.base.messages import InputError
from wordless.base.options import leaves


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (["--help"], ("", [])),
        (["lm=tiny", "--help", "lm"], ("lm", ["lm=tiny"])),
        (["--help", "lm", "lm=tiny"], ("lm", ["lm=tiny"])),
        (["--help=lm.gpt", "seed=1"], ("lm.gpt", ["seed=1"])),
        (["-h", "lm=tiny"], ("", ["lm=tiny"])),
        (["--help", "-m"], ("", ["-m"])),
        (["--help", "~lm"], ("", ["~lm"])),
        (["seed=1", "--cfg", "job"], None),
    ],
)
def test_help_may_name_a_topic(words: list[str], request_: tuple[str, list[str]] | None) -> None:
    assert help_request(words) == request_


def rows(command: str, topic: str, *words: str) -> dict[str, list[str]]:
    """The words behind each option or choice in a help text."""
    lines = (
        line.split()
        for line in command_help(COMMANDS[command], topic, list(words)).splitlines()
        if line.startswith("  ")
    )
    return {line[0]: line[1:] for line in lines if line}


def test_help_is_of_a_group_of_a_part_of_a_single_option_or_of_all() -> None:
    """Values are those of the chosen presets."""
    overview, tiny, part = rows("run", ""), rows("run", "lm", "lm=tiny"), rows("run", "lm.gpt")
    assert {*RunSettings.often, *index("run").groups, "seed", "audio", "listening"} <= {*overview}
    assert (tiny["lm.gpt.layers"][0], part["lm.gpt.layers"][0], tiny["lm=tiny"][0]) == ("2", "6", "chosen")
    assert not [name for name in tiny if name.startswith("tokenizer.")]
    assert not [name for name in part if name.startswith("lm.fit.")]
    assert rows("run", "lm.gpt.layers", "lm.gpt.layers=3")["lm.gpt.layers"][0] == "3"
    assert {*index("run").options, "experiment=smoke"} <= {*rows("run", "all")}
    assert {*index("encode").options} <= {*rows("encode", "")}
    with pytest.raises(InputError, match=r"--help lmm\b.*\blm\b"):
        command_help(COMMANDS["run"], "lmm", [])
    assert {*METHODS} <= {word.strip(":") for word in command_help(COMMANDS["run"], "compare", []).split()}


def test_hydras_own_switches_work_behind_help() -> None:
    code = (
        "import sys; sys.argv = ['wordless', 'run', '--help', 'lm', 'lm=tiny'];"
        "from pipelines.cli import main; main();"
        "sys.argv = ['wordless', 'run', '--cfg', 'job', 'lm=tiny']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "\n  lm.gpt.layers " in done.stdout
    assert "\n    layers: 2\n" in done.stdout  # --cfg job


def composed(command: str, *words: str) -> list[str]:
    with initialize_config_module("conf", version_base="1.3"):
        return [name for name, _ in leaves(plain_config(compose(command, overrides=list(words))))]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_group_and_choice_is_explained(command: str) -> None:
    known = index(command)
    tiny = [f"{name}=tiny" for name, group in known.groups.items() if "tiny" in group.choices]
    names = {*composed(command), *composed(command, *tiny)}
    assert names
    assert names <= {*known.options}
    assert [name for name, option in known.options.items() if not option.explanation] == []
    assert [name for name, explanation in known.sections.items() if not explanation and "." not in name] == []
    choices = [(name, each, text) for name, group in known.groups.items() for each, text in group.choices.items()]
    assert [(name, each) for name, each, text in choices if not text] == []
    assert [name for name, group in known.groups.items() if group.chosen not in group.choices] == []


BASH = f"""
wordless() {{ '{sys.executable}' -m pipelines.cli "$@"; }}
COMP_LINE="wordless enc" wordless -sc query=bash
COMP_LINE="wordless run seed=1 lm.gpt.layer" wordless -sc query=bash
COMP_LINE="wordless decode synth" wordless -sc query=bash
eval "$(wordless -sc install=bash)"
complete -p wordless
"""


def test_hydra_completes_the_options_of_a_command_in_bash() -> None:
    done = subprocess.run(["bash", "-c", BASH], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split()[:3] == ["encode", "lm.gpt.layers=", "synthesis="]
    assert done.stdout.endswith("-F hydra_bash_completion wordless\n")
