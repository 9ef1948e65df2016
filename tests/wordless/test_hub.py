"""Models on the Hugging Face hub, from its cache and from a server on this machine."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch

import wordless
from lm.model import LanguageModel
from pipelines.store.run_parts import run_of
from tests.hub import serving, store_in_cache, use_hub
from tests.pipelines.tiny import AUDIO, save_rates_run, save_run, sweep
from tests.wordless.base.test_saved_models import LOADERS
from tokenizer.tokenizer import Tokenizer
from wordless.base.saved_models import HubAddress, hub_address


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_run(tmp_path_factory.mktemp("run"), seed=0)
    (folder / "lm/optimizer.pt").write_bytes(b"a pickle")
    return folder


@pytest.fixture
def offline(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache in which user/name is the run and user/gpt its language model alone; the current folder is empty."""
    store_in_cache(tmp_path / "home", "user/name", run)
    store_in_cache(tmp_path / "home", "user/gpt", run / "lm")
    use_hub(monkeypatch, tmp_path / "home")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("hf://user/name", HubAddress(repo="user/name")),
        ("hf://user/name/", HubAddress(repo="user/name")),
        ("hf://user/name@v1", HubAddress(repo="user/name", revision="v1")),
        ("hf://user/name@refs%2Fpr%2F1/a/lm", HubAddress(repo="user/name", revision="refs/pr/1", folder="a/lm")),
        (Path("hf://user/name@v1/lm"), HubAddress(repo="user/name", revision="v1", folder="lm")),  # loses a slash
        ("user/name", None),
        (Path("runs/x"), None),
    ],
)
def test_addresses_are_read(text: str | Path, address: HubAddress | None) -> None:
    assert hub_address(text) == address
    assert address is None or hub_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["hf://name", "hf://user/name/../x", "hf://user/a b", "hf://user/name@", "hf:///user/name"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(wordless.InputError, match="Hugging Face hub"):
        hub_address(text)


@pytest.mark.parametrize("name", ["user/name", "hf://user/name", "user/name@main", "hf://user/name@main"])
def test_each_model_is_found_in_a_run(offline: Path, run: Path, name: str) -> None:
    tokenizer, model = wordless.Tokenizer.from_pretrained(name), wordless.LanguageModel.from_pretrained(name)
    own = wordless.LanguageModel.from_pretrained(run / "lm").gpt.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in model.gpt.state_dict().items())
    codes = tokenizer.encode(sweep(0.2, AUDIO.sample_rate), AUDIO.sample_rate)
    vocoders = [wordless.Vocoder.from_pretrained(place) for place in (name, run / "vocoder")]
    assert np.array_equal(*(vocoder.decode(codes, tokenizer).samples for vocoder in vocoders))


@pytest.mark.parametrize("name", ["user/gpt", "hf://user/gpt", "hf://user/name/lm"])
def test_a_model_may_stand_alone_or_be_named_in_a_run(offline: Path, name: str) -> None:
    assert wordless.LanguageModel.from_pretrained(name).format.codebook_size == 8


def test_a_command_gets_all_parts_of_a_run_on_the_hub(offline: Path) -> None:
    folder = run_of(Path("hf://user/name"))
    assert all((folder / part / "config.json").is_file() for part in ("tokenizer", "lm", "vocoder"))


def test_a_local_folder_of_that_name_wins(offline: Path, run: Path) -> None:
    other = save_run(Path("user/name"), seed=1)
    loaded = wordless.Tokenizer.from_pretrained(str(other / "tokenizer"))
    assert loaded.format != wordless.Tokenizer.from_pretrained("hf://user/name").format
    with pytest.raises(wordless.InputError, match=r"user/name/config\.json\b.*missing.*user/name/tokenizer\b"):
        wordless.Tokenizer.from_pretrained("user/name")


def test_models_of_several_rates_are_found(offline: Path) -> None:
    folder = save_rates_run(offline / "rates", seed=0)
    store_in_cache(offline / "home", "user/rates", folder)
    assert Tokenizer.from_pretrained("user/rates").format == LanguageModel.from_pretrained("hf://user/rates").format
    assert Tokenizer.from_pretrained("hf://user/rates").format.rates


@pytest.mark.parametrize("part", ["tokenizer", "lm", "vocoder"])
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("user/other", r"\buser/other\b.*hf://user/other\b.*\bHF_HUB_OFFLINE\b"),
        ("hf://user/name@v1", r"hf://user/name@v1\b.*\bHF_HUB_OFFLINE\b"),
        ("hf://user/name/elsewhere", r"config\.json\b.*HF_HUB_OFFLINE\b"),
        ("runs/a--b", r"\bruns/a--b\b.*hf://runs/a--b\b"),
    ],
)
def test_what_the_cache_lacks_is_refused_offline(offline: Path, part: str, name: str, problem: str) -> None:
    with pytest.raises(wordless.InputError, match=rf"\A.*{problem}.*\Z"):  # one line
        LOADERS[part](name)


def test_a_download_that_was_cut_is_refused_offline(offline: Path, run: Path) -> None:
    snapshot = store_in_cache(offline / "home", "user/cut", run)
    (snapshot / "lm/model.safetensors").unlink()
    with pytest.raises(wordless.InputError, match=r"\blm\b.*HF_HUB_OFFLINE\b"):
        wordless.LanguageModel.from_pretrained("user/cut")


def test_only_safe_files_of_the_part_are_downloaded(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as hub:
        files = {path.relative_to(run).as_posix(): path for path in run.rglob("*") if path.is_file()}
        hub.repos["user/name"] = {name: path.read_bytes() for name, path in files.items()}
        use_hub(monkeypatch, tmp_path, endpoint=hub.endpoint)
        assert wordless.LanguageModel.from_pretrained("user/name").format.codebook_size == 8
        asked = {line.partition("/resolve/")[2].partition("/")[2] for line in hub.asked if "/resolve/" in line}
        assert asked == {"lm/config.json", "lm/model.safetensors", "lm/README.md"}
        for name, problem in {
            "user/nobody": r"\buser/nobody\b.*hf://user/nobody\b",
            "hf://user/name/elsewhere": r"hf://user/name/elsewhere\b.*\blm/config\.json\b",
        }.items():
            with pytest.raises(wordless.InputError, match=problem):
                wordless.LanguageModel.from_pretrained(name)
    # The server is gone: the cache answers, and what it lacks is refused at once.
    assert wordless.LanguageModel.from_pretrained("user/name").format.codebook_size == 8
    began = time.monotonic()
    with pytest.raises(wordless.InputError, match=r"vocoder/config\.json\b.*\bnetwork\b"):
        wordless.Vocoder.from_pretrained("user/name")
    assert time.monotonic() - began < 5
