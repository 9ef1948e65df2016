"""Where results come from: commit, sizes of the models, and a command line that a shell repeats."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.model import LanguageModel
from pipelines.commandline.composition import verbatim_options
from pipelines.commandline.overrides import command_line, prepare, remember
from pipelines.results.provenance import CHECKOUT, commit_of, parameters, provenance
from pipelines.store.store import CURVE, Entry, write_json
from vocoder.vocoder import Vocoder
from wordless.training.gangs import Alone

ODD_WORDS = (
    "corpus.root=/data/my {odd} 'words', \"and\" more",
    "corpus.pattern={label}_{group}_{index}.wav",
    "store.root=~/a b",
    "tokenizer.codebook_size=64,256",
    "stages=[tokenizer,lm]",
    "hydra.run.dir=runs/$HOME/(1)",
    "-m",
)


def test_a_shell_repeats_the_command_word_for_word() -> None:
    with remember(ODD_WORDS):
        told = command_line("run")
    assert shlex.split(told) == ["wordless", "run", *ODD_WORDS]
    assert prepare(shlex.split(told)[2:], verbatim_options("run")) == prepare(ODD_WORDS, verbatim_options("run"))
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {told}"], capture_output=True, text=True, check=True)
    assert done.stdout.split("\0")[2:-1] == list(ODD_WORDS)


@given(st.lists(st.text()))
def test_any_words_are_repeated(words: list[str]) -> None:
    with remember(words):
        assert shlex.split(command_line("run"))[2:] == words


def test_models_are_counted_without_loading_them(run_folder: Path) -> None:
    models = {
        "lm": LanguageModel.from_pretrained(run_folder / "lm").gpt,
        "vocoder": Vocoder.from_pretrained(run_folder / "vocoder").model,
    }
    for part, model in models.items():
        assert parameters(run_folder / part) == sum(parameter.numel() for parameter in model.parameters())


def test_the_checkout_is_the_folder_above_all_packages() -> None:
    assert (CHECKOUT / "pipelines/results/provenance.py").is_file()


def test_a_commit_is_named_with_what_differs_from_it(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    assert commit_of(tmp_path) is None
    git("init")
    assert commit_of(tmp_path) is None  # nothing is committed
    (tmp_path / "a.py").write_text("1")
    git("add", "a.py")
    git("commit", "-m", "a")
    commit = str(commit_of(tmp_path))
    assert len(commit) == 40
    (tmp_path / "untracked").touch()
    assert commit_of(tmp_path) == commit
    (tmp_path / "a.py").write_text("2")
    assert commit_of(tmp_path) == f"{commit}+changes"


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(tmp_path) is None


def test_provenance_tells_machine_models_and_options_but_no_home(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    trained = Entry(stage="vocoder", key="a", folder=tmp_path / "vocoder", reused=True)
    trained.folder.mkdir()
    (trained.folder / "model.safetensors").symlink_to(run_folder / "vocoder/model.safetensors")
    write_json(trained.folder / CURVE, {})
    others = Entry(stage="tokenizer", key="b", folder=run_folder / "tokenizer", reused=True)
    config = {"store": {"root": "/home/somebody/store"}, "seed": 3, "stages": ["lm"], "corpus": {"root": "/data"}}
    source = provenance(
        "wordless run", config, Alone(torch.device("cpu")), {each.stage: each for each in (trained, others)}
    )
    assert json.loads(json.dumps(source)) == source
    assert source["config"] == {**config, "store": {"root": "~/store"}}
    assert source["parameters"] == {"vocoder": parameters(run_folder / "vocoder")}
    assert source["machine"]["cores"] >= 1
    assert source["date"].endswith("+00:00")
    assert (source["ranks"], source["threads"]) == (1, torch.get_num_threads())
    assert source["device"].startswith("cpu")
    assert "torch" in source["libraries"]
