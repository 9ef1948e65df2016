"""Commands with the models of a run on the Hugging Face hub."""

from pathlib import Path

import pytest

from tests.calling import generate, options_of, score
from tests.hub import store_in_cache, use_hub
from tests.pipelines.jobs.conftest import OWN

generating, scoring = options_of("generate", "output", **OWN["generate"]), options_of("score", "input")


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
