"""Completion in a shell, in a real bash too."""

import subprocess
import sys

import pytest

from pipelines.commandline.commands import COMMANDS
from pipelines.commandline.completion import SCRIPTS, candidates, join_words
from tests.calling import python
from tests.pipelines.tiny_chain import ROOT


def found(*words: str) -> list[str]:
    return candidates(words, COMMANDS)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("r",), ["run ", "report ", "runs "]),
        (("--comp",), ["--completion "]),
        (("--completion", "b"), ["bash "]),
        (("run", "lm=t"), ["lm=tiny "]),
        (("run", "lm", "=", "t"), ["tiny "]),
        (("run", "lm", "="), ["small ", "tiny "]),
        (("run", "tokenizer.heal"), ["tokenizer.health."]),
        (("run", "lm.gpt.interleaving="), ["lm.gpt.interleaving=flattening ", "lm.gpt.interleaving=parallel "]),
        (("run", "quick", "=", "t"), ["true "]),
        (("run", "seed=1", "device", "=", "c"), ["cpu ", "cuda "]),
        (("run", "corpus.root=/ho"), []),
        (("run", "+lm.gpt.rope"), ["+lm.gpt.rope_theta="]),
        (("run", "--help", "lm.g"), ["lm.gpt."]),
        (("run", "--cfg", "j"), ["job "]),
        (("run", "--mul"), ["--multirun "]),
        (("bench", "v"), ["vocoder "]),
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
        ["synthesis=wavenet", "synthesis=griffin_lim", "synthesis=noise_vocoder"],
    ]


def test_an_answer_needs_neither_hydra_nor_pytorch() -> None:
    code = (
        "import sys; sys.argv = ['wordless', '--complete', 'run', 'lm.gpt.']; from pipelines.cli import main; main();"
        "heavy = {'torch', 'hydra', 'omegaconf'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "lm.gpt.layers=" in done.stdout


@pytest.mark.parametrize(("words", "shells"), [((), "bash, zsh, fish"), (("tcsh",), "bash, zsh, fish")])
def test_an_unknown_shell_is_refused(words: tuple[str, ...], shells: str) -> None:
    done = python("-m", "pipelines.cli", "--completion", *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert shells in done.stderr
