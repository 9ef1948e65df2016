"""The whole chain with codes of a speech model's layer: what passes between its stages, and the commands after it."""

import json
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lm.model import LanguageModel
from pipelines.encode import encode
from pipelines.results.run_record import read_results
from tests.pipelines.jobs.test_encode import options
from tests.pipelines.tiny_chain import CHECKPOINTS, STEPS, Kill, run, stored
from tests.wordless.audio.speech_models.checkpoints import save_checkpoint
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from vocoder.kinds import GRIFFIN_LIM
from vocoder.sampling import Sampling
from vocoder.synthesis import create_synthesis
from vocoder.vocoder import Vocoder

CODES = ("tokenizer.features=wav2vec2", "tokenizer.feature_layer=2", "tokenizer.patch.frames=1")
KILLS = (
    Kill(path="sample/*.partial/sample.safetensors*"),
    Kill(path="autoencoder/*.checkpoints/fit.safetensors", count=STEPS // 2),  # of the decoder of states
    Kill(path="tokenizer/*.partial/speech_model/*"),
    Kill(path="codes/*.partial/codes-00000.parquet"),
)
METHODS = "compare.methods=[log_mel,bag_of_codes,gpt,wav2vec2]"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run lies, and the speech model that made its codes."""

    store: Path
    folder: Path
    weights: Path


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = tmp_path_factory.mktemp("speech_layer")
    weights = place / "weights"
    save_checkpoint(weights, "hubert", sample_rate=8000)  # a state for each 80 samples, 10 ms
    words = (*CODES, f"wav2vec2.weights={weights}", "vocoder.wavenet.condition=embedding", METHODS)
    assert run(place / "store", place / "run", *words) == 0
    return Place(store=place / "store", folder=place / "run", weights=weights)


def test_every_part_is_made_and_reported(speaking: Place) -> None:
    results = json.loads((speaking.folder / "results.json").read_text())
    assert {*read_results(speaking.folder)["comparison"].methods} == {"log_mel", "bag_of_codes", "gpt", "wav2vec2"}
    figures = {figure["name"]: figure["value"] for figure in results["figures"] if figure["stage"] == "tokenizer"}
    assert figures["codes_per_second"] == 100
    assert 0 < figures["reconstruction_mse"] < figures["quantised_mse"] + 0.5
    assert (speaking.folder / "report.html").stat().st_size > 100_000
    assert {path.name for path in (speaking.folder / "tokenizer/speech_model").iterdir()} >= {"config.json"}


@pytest.mark.slow
def test_killed_in_each_stage_and_resumed_gives_the_same_bytes(speaking: Place, tmp_path: Path) -> None:
    words = (*CODES, f"wav2vec2.weights={speaking.weights}", METHODS, "stages=[tokenizer]", *CHECKPOINTS)
    for number, kill in enumerate(KILLS):
        assert run(tmp_path / "store", tmp_path / str(number), *words, kill=kill) == -signal.SIGKILL, kill
    assert run(tmp_path / "store", tmp_path / "last", *words) == 0
    again, before = stored(tmp_path / "store"), stored(speaking.store)
    for name in ("sample/", "autoencoder/", "tokenizer/", "codes/", "health/"):
        own = {path: found for path, found in again.items() if path.startswith(name)}
        assert own
        assert own.items() <= before.items()


def test_commands_read_the_codes_of_the_run(speaking: Place, tmp_path: Path) -> None:
    recordings = next((speaking.store / "embedded").glob("embedded-*/"))
    encode(options(speaking.folder, recordings, tmp_path / "codes.parquet"))
    codes_format, clips = read_codes(tmp_path / "codes.parquet")
    tokenizer = Tokenizer.from_pretrained(speaking.folder / "tokenizer")
    assert codes_format == tokenizer.format
    clip = next(clips)
    assert np.array_equal(tokenizer.encode_file(recordings / clip.path).values, clip.codes.values)
    more = LanguageModel.from_pretrained(speaking.folder / "lm").generate(clip.codes, seconds=0.1)
    sound = Vocoder.from_pretrained(speaking.folder / "vocoder").decode(more, tokenizer)
    for made in (sound, *create_synthesis(GRIFFIN_LIM, tokenizer, Sampling()).sounds([more], [None], names=["more"])):
        assert len(made.samples) == more.num_samples == 800
        assert np.isfinite(made.samples).all()
