"""A run whose GPT reads merged codes (``lm.bpe``), and the commands that read its model."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from lm.model import LanguageModel
from pipelines.embed import embed
from pipelines.generate import generate
from pipelines.score import score
from pipelines.settings.run import run_settings
from tests.killing import Kill
from tests.pipelines.tiny_chain import CHECKPOINTS, composed, run, stored
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from wordless.base.errors import InputError

WORDS = ("lm.bpe=10", "stages=[tokenizer,lm]", *CHECKPOINTS)


@pytest.fixture(scope="module")
def merged_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with the folder ``run`` and its ``store``."""
    place = tmp_path_factory.mktemp("merged")
    assert run(place / "store", place / "run", *WORDS) == 0
    return place


def test_the_merges_travel_with_the_model(merged_run: Path) -> None:
    (entry,) = (merged_run / "store/merges").glob("*/merges.json")
    model = LanguageModel.from_pretrained(merged_run / "run/lm")
    assert model.merges is not None
    assert [list(pair) for pair in model.merges.pairs] == json.loads(entry.read_text())["merges"]
    figures = json.loads((merged_run / "run/results.json").read_text())["figures"]
    of_lm = {row["name"]: row["value"] for row in figures if row["stage"] == "lm"}
    (codes,) = (path.parent for path in (merged_run / "store/codes").glob("*/entry.json"))
    held_out = [clip.codes for clip in read_codes(codes)[1] if clip.split == "validation"]
    assert of_lm["perplexity"] == pytest.approx(model.perplexity(held_out), rel=1e-4)
    assert of_lm["codes_per_token"] > 1


def test_commands_read_merged_codes(merged_run: Path, tmp_path: Path) -> None:
    folder = merged_run / "run"
    recording = str(next((merged_run / "store/embedded").rglob("*.wav")))
    codes = Tokenizer.from_pretrained(folder / "tokenizer").encode_file(recording)
    model, own = LanguageModel.from_pretrained(folder / "lm"), {"model": str(folder), "device": "cpu"}
    score({**own, "input": recording, "workers": 1, "output": str(tmp_path / "scores.json")})
    (row,) = json.loads((tmp_path / "scores.json").read_text())
    assert row["log_probability"] == pytest.approx(model.log_probabilities(codes).astype(float).sum(), rel=1e-6)
    embed({**own, "input": recording, "workers": 1, "output": str(tmp_path / "states.safetensors")})
    assert all(np.isfinite(each).all() for each in load_file(tmp_path / "states.safetensors").values())
    made = tmp_path / "made"
    generate({**own, "prompt": recording, "seconds": 0.5, "num_samples": 2, "synthesis": "none", "output": str(made)})
    assert [clip.codes.seconds > 0.5 for clip in read_codes(made / "codes.parquet")[1]] == [True, True]


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(merged_run: Path, tmp_path: Path) -> None:
    for number, path in enumerate(("merges/*.partial/merges.json.aside", "lm/*.checkpoints/fit.safetensors")):
        assert run(tmp_path / "store", tmp_path / str(number), *WORDS, kill=Kill(path=path)) == -signal.SIGKILL, path
    assert run(tmp_path / "store", tmp_path / "last", *WORDS) == 0
    assert stored(tmp_path / "store") == stored(merged_run / "store")


@pytest.mark.parametrize(
    "words",
    [("tokenizer.levels=2",), ("tokenizer.rates=[4,2]", "tokenizer.patch.frames=2"), ("compare.assignments=soft",)],
)
def test_what_cannot_be_merged_is_refused_in_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lm\.bpe=10") as refused:
        run_settings(composed(tmp_path, "lm.bpe=10", *words))
    assert "\n" not in str(refused.value)
