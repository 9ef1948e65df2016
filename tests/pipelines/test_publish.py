"""``wordless publish``: what a run uploads, and commands with models of the hub."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

import wordless
from pipelines.plugins.publish import PublishConfig
from pipelines.results.run_record import COSTS
from pipelines.store.claims import hold
from tests.calling import Command, generate, options_of, publish, score
from tests.hub import HubServer, serving, store_in_cache, use_hub
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.jobs.conftest import OWN
from tests.pipelines.tiny import sweep
from wordless.base.messages import InputError
from wordless.base.options import build

generating, scoring = options_of("generate", "output", **OWN["generate"]), options_of("score", "input")
PARTS = ("tokenizer", "lm", "vocoder", "probe")
MODELS = {f"{part}/{name}" for part in PARTS for name in ("config.json", "model.safetensors", "README.md")} - {
    "probe/README.md"  # its weights have no card
}


def options(run: Path, **changes: object) -> dict[str, object]:
    return {"run": str(run), "repo": "user/name", **changes}


@pytest.fixture
def run(finished_run: FinishedRun, tmp_path: Path) -> Path:
    """A copy of a finished run that a test may change."""
    return Path(shutil.copytree(finished_run.folder, tmp_path / "a run"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub on this machine, and a user who is logged in; the cache is empty."""
    with serving() as server:
        use_hub(monkeypatch, tmp_path / "home", endpoint=server.endpoint)
        monkeypatch.setenv("HF_TOKEN", "hf_token")
        yield server


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        *(({"repo": repo}, "repo") for repo in ("name", "user/my run", "https://huggingface.co/user/name", "")),
        *(({"parts": each}, "parts") for each in (["lm"], ["tokenizer", "tokenizer"], ["tokenizer", "listening"])),
        ({"licence": "CC BY 4.0"}, "licence"),
        *(({name: "x"}, name) for name in ("format", "output", "description")),
    ],
)
def test_options_that_do_not_fit_are_refused(changes: dict[str, object], option: str) -> None:
    with pytest.raises(InputError, match=rf"^{option}\b"):
        build(PublishConfig, options(Path("x"), **changes), name="")


def test_only_a_finished_run_with_its_models_is_published(run: Path, tmp_path: Path) -> None:
    def refused(problem: str, folder: Path = run, **changes: object) -> None:
        with pytest.raises(InputError, match=problem):
            publish(options(folder, **changes))

    refused(r"\bnothing\b.*exist", tmp_path / "nothing")
    with hold(run, option="run"):
        refused("writing")
    (run / "vocoder/model.safetensors").write_bytes(b"damaged")
    refused(rf"{run}/vocoder\b.*damaged")
    shutil.rmtree(run / "vocoder")
    refused(r"vocoder\b.*parts=\[tokenizer,lm,probe\]", parts=["tokenizer", "vocoder"])
    refused(r"\bprobe\b.*\blm\b", parts=["tokenizer", "probe"])
    shutil.rmtree(run / "tokenizer")
    refused(r"store\b.*wordless run\b.*\bcompare\.folds and seeds\b")
    (run / "results.json").unlink()
    refused(r"results\.json\b.*\brepeat\b")


def test_a_call_without_upload_shows_files_and_card(
    finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_hub(monkeypatch, tmp_path)  # offline
    call, words = Command("publish", monkeypatch, capsys), (f"run={finished_run.folder}", "repo=user/my.run")
    code, told, _ = call(*words, "licence=cc-by-4.0")
    assert code == 0
    assert {*re.findall(r"^ *[\d.]+ MB  (\S+)$", told, re.MULTILINE)} == MODELS | {"README.md", "figures.json"}
    assert all(part in told for part in ("hf://user/my.run (private)", "license: cc-by-4.0", "| bag_of_codes | "))
    assert str(finished_run.folder) not in told
    code, _, told = call(*words, "upload=true")
    assert (code, "HF_HUB_OFFLINE" in told) == (2, True)


def test_an_upload_loads_again_with_the_code_of_its_card(
    finished_run: FinishedRun, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(options(finished_run.folder, upload=True))
    files = hub.repos["user/name"]
    assert hub.private == {"user/name": True}
    assert files.keys() == MODELS | {"README.md", "figures.json"}
    for name in MODELS:
        assert files[name] == (finished_run.folder / name).read_bytes()
    figures = json.loads(files["figures.json"])["figures"]
    own = json.loads((finished_run.folder / "results.json").read_bytes())["figures"]
    assert figures == [row for row in own if row["name"] not in COSTS]
    secrets = (str(finished_run.folder), str(finished_run.store), str(Path.home()), "manifest.tsv")
    assert not [(name, word) for name in files for word in secrets if word.encode() in files[name]]

    monkeypatch.chdir(tmp_path)
    waveform = wordless.Waveform(samples=sweep(0.5, 8000), sample_rate=8000)
    waveform.write("a.wav")
    (code,) = re.findall(r"```python\n(.*?)```", files["README.md"].decode(), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert len(wordless.read("more.wav").samples) > 0
    tokenizer = wordless.Tokenizer.from_pretrained(finished_run.folder / "tokenizer")
    codes = cast(wordless.Codes, names["codes"])
    assert np.array_equal(codes.values, tokenizer.encode(wordless.read("a.wav")).values)


def test_an_upload_that_would_do_harm_is_refused(finished_run: FinishedRun, hub: HubServer) -> None:
    hub.repos["user/name"], hub.private["user/name"] = {"README.md": b""}, False
    with pytest.raises(InputError, match=r"^private is true\b.*\buser/name\b.*\bpublic\b.*private=false\b"):
        publish(options(finished_run.folder, upload=True))
    hub.repos["user/name"]["vocoder/model.safetensors"] = b"of another run"
    few = {"upload": True, "private": False, "parts": ["tokenizer", "lm"]}
    with pytest.raises(InputError, match=r"^repo is user/name\b.*vocoder/model\.safetensors\b"):
        publish(options(finished_run.folder, **few))
    assert hub.repos["user/name"].keys() == {"README.md", "vocoder/model.safetensors"}
    del hub.repos["user/name"]["vocoder/model.safetensors"]
    publish(options(finished_run.folder, **few, report=True))
    parts = {"README.md", "figures.json", "tokenizer", "lm", "report.html"}
    assert {name.split("/")[0] for name in hub.repos["user/name"]} == parts


def test_commands_do_the_same_with_a_run_on_the_hub(
    run_folder: Path,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store_in_cache(tmp_path / "home", "user/tiny", run_folder)
    use_hub(monkeypatch, tmp_path / "home")
    printed, written = [], []
    for name, model in {"local": run_folder, "hub": "hf://user/tiny"}.items():
        place = tmp_path / name
        generate(generating(Path(str(model)), place, prompt=str(recordings / "a.wav")))
        capsys.readouterr()
        score(scoring(Path(str(model)), recordings))
        printed.append(capsys.readouterr().out)
        written.append({path.relative_to(place): path.read_bytes() for path in place.rglob("*.wav")})
    assert printed[0] == printed[1]
    assert written[0] == written[1] != {}
