"""``wordless.run`` is the command: the same options, refusals and artifacts, with clips of a data frame."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas
import pytest
import torch
import yaml

import wordless
from pipelines import running
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
    assert not made.figures["title"].str.contains("_").any()
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


class Decoder:
    """What torchcodec's decoder gives of sound, which data sets of Hugging Face hold."""

    def __init__(self, samples: np.ndarray) -> None:
        self.samples = samples

    def get_all_samples(self) -> SimpleNamespace:
        return SimpleNamespace(data=torch.from_numpy(self.samples.T.copy()), sample_rate=float(RATE))


def test_sound_in_a_column_audio_is_read_as_the_tokenizer_reads_it(tmp_path: Path) -> None:
    rng, options = np.random.default_rng(0), OPTIONS | {"store.root": str(tmp_path / "store"), "stages": ["tokenizer"]}
    sounds = [rng.uniform(-0.5, 0.5, (RATE // 2, 2)) for _ in range(12)]
    held: list[object] = [{"array": each, "sampling_rate": RATE, "path": None} for each in sounds]
    held[0] = wordless.Waveform(samples=sounds[0].mean(1).astype(np.float32), sample_rate=RATE)
    held[1:3] = (sounds[1], RATE), Decoder(sounds[2])
    rows = [{"audio": sound, "label": "ab"[number % 2]} for number, sound in enumerate(held)]
    made = wordless.run(options, clips=rows, folder=tmp_path / "run")
    listed = pandas.read_csv(tmp_path / "run/manifest.tsv", sep="\t")
    assert sorted(listed["label"]) == sorted(row["label"] for row in rows)
    tokenizer = made.tokenizer
    for number, sound in enumerate(held):
        stored = wordless.read(tmp_path / f"run/recordings/{number:06}.wav")
        np.testing.assert_allclose(stored.samples, sounds[number].mean(1), atol=2**-22)
        assert len(tokenizer.encode(sound)) == len(tokenizer.encode(stored))  # type: ignore[arg-type]
    table = running._without_audio(pandas.DataFrame({"audio": sounds, "sampling_rate": RATE}))
    assert [*table] == ["array", "sampling_rate"]
    paths = pandas.DataFrame({"audio": ["a.wav", None]})
    assert running._without_audio(paths) is paths
    for wrong, told in (
        ({"audio": [{"bytes": b"RIFF", "path": "a.wav"}]}, r"audio\[0\].*bytes.*decode=False"),
        ({"audio": [held[1], 3]}, r"audio\[1\].*int"),
        ({"audio": [held[1]], "path": ["a.wav"]}, "path beside audio"),
    ):
        with pytest.raises(wordless.InputError, match=told):
            wordless.run(clips=pandas.DataFrame(wrong), folder=tmp_path / "other")


def test_a_run_refuses_what_the_command_refuses(tmp_path: Path) -> None:
    with pytest.raises(wordless.InputError, match=r"^lm\.gpt\.layer\b.*lm\.gpt\.layers"):
        wordless.run({"lm.gpt.layer": 3}, folder=tmp_path / "run")
    for sound, rate in ((np.zeros(9), {}), (np.full(9, np.nan), {"sampling_rate": 8000}), (0, {"sampling_rate": 8000})):
        with pytest.raises(wordless.InputError, match=r"^clips"):
            wordless.run(clips=pandas.DataFrame({"array": [sound], **rate}), folder=tmp_path / "run")
    with pytest.raises(wordless.InputError, match=r"results\.json"):
        _ = wordless.Run(tmp_path).figures
