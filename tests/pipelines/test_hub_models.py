"""Commands with ``model=hf://user/name``: a run in the local cache of the Hugging Face hub, without a network."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.decode import decode
from pipelines.demonstration.models import DemoModels
from pipelines.encode import encode
from pipelines.finetune import finetune_settings
from pipelines.finetuning.job import _open as open_body
from pipelines.generate import generate
from pipelines.hear import load_model
from pipelines.jobs.probe import probe_settings
from pipelines.score import score
from pipelines.settings.run import run_settings
from pipelines.store.run_folder import part_of
from tests.hub import store_in_cache, use_hub
from tests.pipelines.demonstration.test_answers import options as demonstrating
from tests.pipelines.finetuning.conftest import composed
from tests.pipelines.jobs.test_generate import options as generating
from tests.pipelines.jobs.test_score import options as scoring
from tests.pipelines.tiny_chain import config_of
from tests.wordless.audio.speech_models.checkpoints import save_checkpoint
from wordless.base.errors import InputError

RUN = "hf://user/tiny"
DECODING = {
    "synthesis": "wavenet",
    "group": None,
    "temperature": 0.7,
    "top_p": 1.0,
    "postfilter": 1.0,
    "postfilter_passes": 2,
    "pitch_comb": True,
    "seed": 0,
}


@pytest.fixture(scope="module")
def home(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("home")
    store_in_cache(place, "user/tiny", run_folder)
    return place


@pytest.fixture
def offline(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_hub(monkeypatch, home)


def encoding(model: str | Path, source: Path, output: Path) -> dict[str, object]:
    """The config that the command line composes."""
    fixed = {"format": "parquet", "deduplicate": False, "workers": 1, "clips_per_shard": 500, "device": "cpu"}
    return {"model": str(model), "input": str(source), "output": str(output), **fixed}


@pytest.mark.usefixtures("offline")
def test_commands_do_the_same_with_a_run_on_the_hub(
    run_folder: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, written = [], []
    for name, model in {"local": run_folder, "hub": RUN}.items():
        place = tmp_path / name
        encode(encoding(model, recordings, place / "codes.parquet"))
        fixed = {"model": str(model), "device": "cpu", "engine": "auto", "codes_per_unit": None, **DECODING}
        decode({**fixed, "input": str(place / "codes.parquet"), "output": str(place / "sounds")})
        generate(generating(Path(str(model)), place / "more", prompt=str(recordings / "a.wav")))
        capsys.readouterr()
        score(scoring(Path(str(model)), recordings))
        printed.append(capsys.readouterr().out)
        written.append({path.relative_to(place): path.read_bytes() for path in place.rglob("*.wav")})
    assert printed[0] == printed[1]
    assert written[0] == written[1] != {}


@pytest.mark.usefixtures("offline")
def test_the_page_and_hear_take_a_run_on_the_hub(run_folder: Path) -> None:
    models = DemoModels.of_run(demonstrating(Path(RUN)))
    assert models.language_model is not None
    assert models.vocoder is not None
    assert [*models.missing] == [*DemoModels.of_run(demonstrating(run_folder)).missing]
    own, other = (load_model(str(name)).gpt.state_dict() for name in (run_folder, RUN))
    assert all(np.array_equal(value.numpy(), other[name].numpy()) for name, value in own.items())


def test_results_need_a_place_on_this_machine() -> None:
    with pytest.raises(InputError, match=r"output=null\b.*hf://user/tiny\b.*output=F"):
        finetune_settings(composed(f"model={RUN}", "corpus.root=x"))
    with pytest.raises(InputError, match=r"hf://user/tiny\b.*output=FILE\.json"):
        probe_settings(config_of("probe", f"model='{RUN}'"))


@pytest.mark.usefixtures("offline")
def test_a_part_that_a_run_lacks_is_named() -> None:
    with pytest.raises(InputError, match=r"HF_HUB_OFFLINE\b.*wav2vec2/config\.json\b.*unset HF_HUB_OFFLINE\b"):
        part_of(Path(RUN), "wav2vec2")


def test_weights_of_other_models_come_from_the_hub(
    home: Path, tmp_path: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path / "hubert", "hubert", sample_rate=8000)
    snapshot = store_in_cache(home, "user/hubert", tmp_path / "hubert")
    use_hub(monkeypatch, home)
    words = ("body=wav2vec2", "corpus.root=x", "output=y")
    sources = [
        open_body(finetune_settings(composed(*words, f"body.weights={weights}")))
        for weights in (tmp_path / "hubert", "hf://user/hubert")
    ]
    assert sources[0].fingerprint == sources[1].fingerprint
    assert sources[1].weights == snapshot
    config = config_of("run", "experiment=smoke", "wav2vec2.weights='hf://user/hubert'")
    assert run_settings(config).wav2vec2.described.folder == snapshot
