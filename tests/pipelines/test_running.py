"""``wordless.run`` is the command: the same options, refusals and artifacts, with clips of a data frame."""

from pathlib import Path

import numpy as np
import pandas
import pytest
import yaml

import wordless
from tests.pipelines.tiny_chain import OWN

OPTIONS: dict[str, object] = {name: yaml.safe_load(value) for name, value in (word.split("=", 1) for word in OWN)}
RATE = 16_000


def test_a_run_of_arrays_has_figures_and_models_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    sounds = [rng.uniform(-0.5, 0.5, (RATE // 2, 1 + number % 2)) for number in range(12)]
    clips = pandas.DataFrame({"array": sounds, "sampling_rate": RATE, "label": ["007", "NA"] * 6})
    options = OPTIONS | {"store.root": str(tmp_path / "st,ore"), "stages": ["tokenizer", "lm"], "parallel": 1}
    made = wordless.run(options | {"stages": ["tokenizer", "lm", "report"]}, clips=clips, folder=tmp_path / "run")
    assert {"name", "value", "low", "high", "unit"} < {*made.figures}
    assert (made.figures["stage"] == "lm").any()
    assert made.report.is_file()
    codes = made.tokenizer.encode(sounds[0], sample_rate=RATE)
    assert made.language_model.perplexity([codes]) > 1
    listed = pandas.read_csv(tmp_path / "run/manifest.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert sorted(listed["label"]) == sorted(clips["label"])
    capsys.readouterr()
    rows = [{str(name): value for name, value in row.items()} for row in clips.to_dict("records")]
    again = wordless.run(options, clips=rows, folder=tmp_path / "run")
    assert again.language_model.format == made.language_model.format
    assert "computing" not in capsys.readouterr().out
    written = {path: path.read_bytes() for path in (tmp_path / "run").glob("[cr]*/*.wav")}
    fewer = clips[1:].reset_index(drop=True)
    with pytest.raises(wordless.InputError, match=r"\brun\b.*\b12 then, 11 now\b.*replace=True"):
        wordless.run(options, clips=fewer, folder=tmp_path / "run")
    assert {path: path.read_bytes() for path in (tmp_path / "run").glob("[cr]*/*.wav")} == written
    wordless.run(options | {"replace": True, "stages": ["tokenizer"]}, clips=fewer, folder=tmp_path / "run")
    assert len(pandas.read_csv(tmp_path / "run/manifest.tsv", sep="\t")) == 11


def test_a_run_refuses_what_the_command_refuses(tmp_path: Path) -> None:
    with pytest.raises(wordless.InputError, match=r"^lm\.gpt\.layer\b.*lm\.gpt\.layers"):
        wordless.run({"lm.gpt.layer": 3}, folder=tmp_path / "run")
    for sound, rate in ((np.zeros(9), {}), (np.full(9, np.nan), {"sampling_rate": 8000}), (0, {"sampling_rate": 8000})):
        with pytest.raises(wordless.InputError, match=r"^clips"):
            wordless.run(clips=pandas.DataFrame({"array": [sound], **rate}), folder=tmp_path / "run")
    with pytest.raises(wordless.InputError, match=r"results\.json"):
        _ = wordless.Run(tmp_path).figures
