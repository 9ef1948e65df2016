"""``--help``, every option's explanation, and completion in a shell."""

import re
import subprocess
import sys

import pytest
from hydra import initialize_config_module

from pipelines.commandline.commands import COMMANDS
from pipelines.commandline.completion import SCRIPTS, candidates, join_words
from pipelines.commandline.composition import compose, plain
from pipelines.commandline.help import command_help, help_request
from pipelines.commandline.options import index, options_class
from pipelines.settings.run import RunSettings
from pipelines.tables import TableOptions
from tests.calling import python
from tests.pipelines.tiny_chain import ROOT
from vocoder.kinds import CHOICES
from wordless.base.errors import InputError
from wordless.base.values import leaves


@pytest.mark.parametrize(
    ("words", "topic", "others"),
    [
        (["--help"], "", []),
        (["lm=tiny", "--help", "lm"], "lm", ["lm=tiny"]),
        (["--help", "lm", "lm=tiny"], "lm", ["lm=tiny"]),
        (["--help=lm.gpt", "seed=1"], "lm.gpt", ["seed=1"]),
        (["-h", "lm=tiny"], "", ["lm=tiny"]),
        (["--help", "-m"], "", ["-m"]),
        (["--help", "~lm"], "", ["~lm"]),
    ],
)
def test_help_may_name_a_topic(words: list[str], topic: str, others: list[str]) -> None:
    assert help_request(words) == (topic, others)


def test_the_overview_fits_on_two_screens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    lines = command_help("run", "", []).splitlines()
    assert len(lines) <= 80
    assert max(map(len, lines)) <= 120
    known = index("run")
    for name in (*RunSettings.often, *known.groups, "seed", "audio", "listening"):
        assert any(line.startswith(f"  {name} ") for line in lines), name
    assert "lm.gpt.layers 6 layers of the transformer (1 to 256)" in [" ".join(line.split()) for line in lines]


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in ("run", "probe", "finetune")])
def test_other_commands_take_one_screen(command: str) -> None:
    lines = command_help(command, "", []).splitlines()
    assert len(lines) <= 60
    for option in index(command).options.values():
        assert any(line.startswith(f"  {option.name} ") for line in lines)


@pytest.mark.parametrize("command", ["score", "predict"])
def test_help_names_the_kinds_of_tables_that_a_command_writes(command: str) -> None:
    named = re.findall(r"(?<= )\.\w+", index(command).options["output"].explanation)
    assert {*named} == {*vars(options_class(command)).get("suffixes", TableOptions.suffixes)}


def test_a_group_has_the_values_of_its_choice() -> None:
    tiny, small = command_help("run", "lm", ["lm=tiny"]), command_help("run", "lm", [])
    row = next(line for line in tiny.splitlines() if line.startswith("  lm.gpt.layers "))
    assert row.split()[:2] == ["lm.gpt.layers", "2"]
    assert next(line for line in small.splitlines() if line.startswith("  lm.gpt.layers ")).split()[1] == "6"
    assert "  tokenizer." not in tiny
    assert next(line for line in tiny.splitlines() if line.startswith("  lm=tiny ")).split()[1] == "chosen"


def test_help_is_of_a_part_of_a_single_option_or_of_all() -> None:
    part = command_help("run", "lm.gpt", [])
    assert "  lm.gpt.layers " in part
    assert "lm.fit." not in part
    assert "  lm.gpt.layers  3  " in command_help("run", "lm.gpt.layers", ["lm.gpt.layers=3"])
    text = command_help("run", "all", [])
    assert [name for name in index("run").options if f"\n  {name} " not in text] == []
    assert "\n  experiment=smoke " in text
    with pytest.raises(InputError, match=r"--help lmm\b.*\blm\b"):
        command_help("run", "lmm", [])
    assert help_request(["seed=1", "--cfg", "job"]) is None


def test_help_is_light_and_hydras_own_switches_work() -> None:
    code = (
        "import sys; sys.argv = ['wordless', 'run', '--help', 'lm', 'lm=tiny'];"
        "from pipelines.cli import main; main();"
        "sys.argv = ['wordless', 'run', '--cfg', 'job', 'lm=tiny']; main();"
        "heavy = {'torch', 'scipy', 'matplotlib'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "\n  lm.gpt.layers " in done.stdout
    assert "\n    layers: 2\n" in done.stdout  # --cfg job


def composed(command: str, *words: str) -> list[str]:
    with initialize_config_module("conf", version_base="1.3"):
        return [name for name, _ in leaves(plain(compose(command, overrides=list(words))))]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_group_and_choice_is_explained(command: str) -> None:
    known = index(command)
    tiny = [f"{name}=tiny" for name, group in known.groups.items() if "tiny" in group.choices]
    names = {*composed(command), *composed(command, *tiny)}
    assert names
    assert sorted(name for name in names if name not in known.options) == []
    assert sorted(name for name, option in known.options.items() if not option.explanation) == []
    assert sorted(name for name, explanation in known.sections.items() if not explanation and "." not in name) == []
    unexplained = [
        (name, each) for name, group in known.groups.items() for each, text in group.choices.items() if not text
    ]
    assert unexplained == []
    assert [name for name, group in known.groups.items() if group.chosen not in group.choices] == []


def found(*words: str) -> list[str]:
    return candidates(words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("r",), ["run ", "runs "]),
        (("--comp",), ["--completion "]),
        (("--completion", "b"), ["bash "]),
        (("run", "lm=t"), ["lm=tiny "]),
        (("run", "lm", "=", "t"), ["tiny "]),
        (("run", "lm", "="), ["small ", "tiny "]),
        (("run", "tokenizer.patc"), ["tokenizer.patch."]),
        (("run", "lm.gpt.interleaving="), ["lm.gpt.interleaving=flattening ", "lm.gpt.interleaving=parallel "]),
        (("run", "quick", "=", "t"), ["true "]),
        (("run", "seed=1", "device", "=", "c"), ["cpu ", "cuda "]),
        (("run", "corpus.root=/ho"), []),
        (("run", "+lm.gpt.drop"), ["+lm.gpt.dropout="]),
        (("run", "--help", "lm.g"), ["lm.gpt."]),
        (("run", "--cfg", "j"), ["job "]),
        (("run", "--mul"), ["--multirun "]),
        (("nothing", "x"), []),
    ],
)
def test_what_may_come_next(words: tuple[str, ...], expected: list[str]) -> None:
    assert found(*words) == expected


def test_commands_come_first_and_then_options_and_groups() -> None:
    assert {f"{command} " for command in COMMANDS} <= set(found(""))
    assert found() == found("")
    assert {"seed=", "lm.", "lm=", "audio.", "experiment="} <= set(found("run", ""))
    assert "synthesis=" in found("decode", "")
    assert join_words(["run", "a", "=", "b", "c=d", "e", "=", "x", ":", "y"]) == ["run", "a=b", "c=d", "e=x:y"]
    assert all("--complete" in script for script in SCRIPTS.values())


BASH = f"""
wordless() {{ '{sys.executable}' -m pipelines.cli "$@"; }}
eval "$(wordless --completion bash)"
complete -p wordless
answer() {{ COMP_WORDS=(wordless "$@"); COMP_CWORD=$#; COMPREPLY=(); _wordless; echo "${{COMPREPLY[@]}}"; }}
answer enc
answer run lm = t
answer run tokenizer.pat
answer decode synthesis=
"""


def test_a_real_bash_completes() -> None:
    done = subprocess.run(["bash", "-c", BASH], cwd=ROOT, capture_output=True, text=True, check=True)
    registered, *answers = done.stdout.splitlines()
    assert registered.endswith("-F _wordless wordless")
    assert [answer.split() for answer in answers] == [
        ["encode"],
        ["tiny"],
        ["tokenizer.patch."],
        [f"synthesis={key}" for key in CHOICES],
    ]


@pytest.mark.parametrize(("words", "shells"), [((), "bash, zsh, fish"), (("tcsh",), "bash, zsh, fish")])
def test_an_unknown_shell_is_refused(words: tuple[str, ...], shells: str) -> None:
    done = python("-m", "pipelines.cli", "--completion", *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert shells in done.stderr
