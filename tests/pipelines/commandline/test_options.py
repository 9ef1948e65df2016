"""Every option of every command is explained, and the index agrees with what Hydra composes."""

import pytest
from hydra import initialize_config_module

from pipelines.commandline.commands import COMMANDS
from pipelines.commandline.composition import compose
from pipelines.commandline.options import index
from pipelines.commandline.refusals import plain
from wordless.base.values import leaves


def composed(command: str, *words: str) -> list[str]:
    with initialize_config_module("conf", version_base="1.3"):
        return [name for name, _ in leaves(plain(compose(command, overrides=list(words))))]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command: str) -> None:
    known = index(command)
    tiny = [f"{name}=tiny" for name, group in known.groups.items() if "tiny" in group.choices]
    names = {*composed(command), *composed(command, *tiny)}
    assert names
    assert sorted(name for name in names if name not in known.options) == []
    assert sorted(name for name, option in known.options.items() if not option.explanation) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_group_and_choice_is_explained(command: str) -> None:
    known = index(command)
    assert sorted(name for name, explanation in known.sections.items() if not explanation and "." not in name) == []
    unexplained = [
        (name, each) for name, group in known.groups.items() for each, text in group.choices.items() if not text
    ]
    assert unexplained == []
    assert [name for name, group in known.groups.items() if group.chosen not in group.choices] == []


def test_an_explanation_is_written_once_for_all_namesakes() -> None:
    options = index("run").options
    assert options["lm.fit.steps"].explanation == options["tokenizer.fit.steps"].explanation
    assert index("probe").options["probe.penalties"].explanation == options["probe.penalties"].explanation
    assert options["lm.fit.steps"].value == "300"
