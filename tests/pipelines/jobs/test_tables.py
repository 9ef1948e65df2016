"""``wordless score`` and ``wordless predict``: a line and a row for each recording."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from lm.finetuned import FineTunedModel
from lm.model import LanguageModel
from tests.calling import options_of, predict, publish, score
from tests.hub import serving, use_hub
from tests.pipelines.jobs.conftest import Finetuned, write_tone
from tests.pipelines.tiny import AUDIO
from tests.rejected import read_rejected
from tokenizer.tokenizer import Tokenizer
from wordless.audio.levels import trim_ends
from wordless.audio.reading import read
from wordless.base.errors import InputError

options = options_of("score", "input")


def test_lines_and_tables_hold_the_probabilities_of_what_can_be_read(
    run_folder: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("scores.tsv", "scores.json", "scores.parquet"):
        score(options(run_folder, recordings, output=str(tmp_path / name)))
    (broken := tmp_path / "broken.wav").write_bytes(b"RIFF")
    score(options(run_folder, f"[{recordings / 'a.wav'},{broken}]", output=str(tmp_path / "scores.txt")))
    (rejected,) = read_rejected(tmp_path / "scores.txt.rejected.tsv")
    assert rejected.path == str(broken)
    tokenizer = Tokenizer.from_pretrained(run_folder / "tokenizer")
    model = LanguageModel.from_pretrained(run_folder / "lm")
    rows = json.loads((tmp_path / "scores.json").read_text())
    names = ("a.wav", "b.flac", "c.ogg", "d.wav", "more of them/a.wav", "more of them/e.wav")
    assert [row["path"] for row in rows] == [str(recordings / name) for name in names]
    for row in rows:
        codes = tokenizer.encode_file(Path(row["path"]))
        nats = model.log_probabilities(codes).astype(float)
        assert row["log_probability_per_second"] == pytest.approx(nats.sum() / codes.seconds, rel=1e-6)
        assert row["log_probability"] == pytest.approx(nats.sum(), rel=1e-6)
        assert row["nats_per_code"] == pytest.approx(-nats.mean(), rel=1e-6)
    assert pq.read_table(tmp_path / "scores.parquet").to_pylist() == rows
    head, *lines = (tmp_path / "scores.tsv").read_text().splitlines()
    assert [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines] == [
        {name: str(value) for name, value in row.items()} for row in rows
    ]
    assert (tmp_path / "scores.txt").read_text() == f"a {-rows[0]['nats_per_code']}\n"
    assert capsys.readouterr().out.splitlines()[1].split()[0] == f"{rows[0]['log_probability']:.1f}"
    (tmp_path / "file").touch()
    for output, told in (("scores.tsv", "exists"), ("file/scores.tsv", r"\bfile\b.* output=PATH")):
        with pytest.raises(InputError, match=told):
            score(options(run_folder, recordings, output=str(tmp_path / output)))


def test_names_that_the_output_cannot_hold_are_refused(run_folder: Path, recordings: Path, tmp_path: Path) -> None:
    text = str(tmp_path / "scores.txt")
    with pytest.raises(InputError, match=r"'a'.*\b2 recordings\b.*\.tsv\b"):
        score(options(run_folder, recordings, output=text))
    spoilt = tmp_path / "spo\udcffilt"
    spoilt.mkdir()
    for name in ("one word.wav", "b.wav"):
        (spoilt / name).write_bytes((recordings / "a.wav").read_bytes())
    with pytest.raises(InputError, match=r"UTF-8\b.*\bfolder\b"):
        score(options(run_folder, spoilt, output=str(tmp_path / "scores.parquet")))
    plain = spoilt.rename(tmp_path / "plain")
    with pytest.raises(InputError, match=r"'one word'.*\bspace"):
        score(options(run_folder, plain, output=text))


def predicted(model: Path | str, source: Path, output: Path, **others: object) -> list[dict[str, Any]]:
    """The rows of the table of a folder of recordings."""
    predict({"model": str(model), "input": str(source), "output": str(output), "device": "cpu", "workers": 1, **others})
    rows: list[dict[str, Any]] = json.loads(output.read_text())
    return rows


def test_the_table_has_the_predictions_of_the_test_clips(classifier: Finetuned, tones: Path, tmp_path: Path) -> None:
    rows = {Path(row["path"]).name: row for row in predicted(classifier.folder, tones, tmp_path / "table.json")}
    assert len(rows) == 27
    for line in (classifier.folder / "predictions.tsv").read_text().splitlines()[1:]:
        path, truth, label, probability, *_ = line.split("\t")
        assert path.startswith(truth)
        assert rows[path]["label"] == label
        assert rows[path]["probability"] == pytest.approx(float(probability), abs=1e-4)


def test_annotated_parts_are_predicted_as_if_they_were_cut(
    classifier: Finetuned, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    names, rate = ("high_0.wav", "low_0.wav"), AUDIO.sample_rate
    one, other = (soundfile.read(tones / name, dtype="float32")[0] for name in names)
    field = np.concatenate([one, silence := np.zeros(rate, np.float32), other])
    soundfile.write(tmp_path / "in/field.wav", field, rate, subtype="FLOAT")
    second = (len(one) + len(silence)) / rate
    parts = f"0\t{len(one) / rate}\thigh\n{second}\t{len(field) / rate}\tlow\n"
    (tmp_path / "in/field.txt").write_text(parts)
    rows = predicted(classifier.folder, tmp_path / "in", tmp_path / "parts.json")
    assert "2 parts: " in capsys.readouterr().err
    whole = {Path(row["path"]).name: row for row in predicted(classifier.folder, tones, tmp_path / "whole.json")}
    for row, name in zip(rows, names, strict=True):
        assert "#t=" in row["path"]
        assert row["probability"] == pytest.approx(whole[name]["probability"], abs=1e-3)


def test_recordings_are_trimmed_as_the_clips_were(classifier: Finetuned, tones: Path, tmp_path: Path) -> None:
    root, silence = tmp_path / "padded", np.zeros(AUDIO.sample_rate // 2, np.float32)
    root.mkdir()
    for path in tones.iterdir():
        padded = np.concatenate([silence, soundfile.read(path)[0], silence])
        soundfile.write(root / path.name, padded, AUDIO.sample_rate)
    model = FineTunedModel.from_pretrained(classifier.folder)
    sounds = [read(path, AUDIO.sample_rate) for path in sorted(root.iterdir())]
    trimmed = [trim_ends(sound, 30) for sound in sounds]
    wanted, whole = ([row["probability"] for row in model.predict(each)] for each in (trimmed, sounds))
    model.trim_db = 30
    model.save_pretrained(tmp_path / "model", front_end=classifier.folder)
    rows = predicted(tmp_path / "model", root, tmp_path / "table.json")
    assert [row["probability"] for row in rows] == pytest.approx(wanted, abs=1e-4)
    assert wanted != pytest.approx(whole, abs=1e-4)


def test_recordings_are_read_by_the_channel_of_the_clips(
    classifier: Finetuned, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root := tmp_path / "opposed").mkdir()
    for path in tones.iterdir():
        tone = soundfile.read(path)[0]
        soundfile.write(root / path.name, np.stack([-tone, tone], axis=1), AUDIO.sample_rate)
    model, channels = FineTunedModel.from_pretrained(classifier.folder), {}
    for channel in (1, "mean"):
        model.channel = channel  # type: ignore[assignment]  # one of its values
        model.save_pretrained(tmp_path / f"{channel}", front_end=classifier.folder)
        rows = predicted(tmp_path / f"{channel}", root, tmp_path / f"{channel}.json")
        channels[channel] = [row["probability"] for row in rows]
    mono = predicted(classifier.folder, tones, tmp_path / "tones.json")
    assert channels[1] == pytest.approx([row["probability"] for row in mono], abs=1e-3)
    assert "audio.channel=0" in capsys.readouterr().err  # their mean is silent
    with pytest.raises(InputError, match=r"audio\.channel=1"):  # the tones have one channel
        predicted(tmp_path / "1", tones, tmp_path / "one.json")


def test_what_cannot_be_read_and_recordings_of_a_lower_rate_are_set_aside(
    classifier: Finetuned, tones: Path, tmp_path: Path
) -> None:
    (root := tmp_path / "mixed").mkdir()
    shutil.copy(tones / "low_0.wav", root / "a.wav")
    (root / "b.wav").write_bytes(b"no sound")
    soundfile.write(root / "c.wav", np.full(70, 0.1, np.float32), AUDIO.sample_rate)
    write_tone(root / "slow.wav", 200, 0.3, rate=2000)
    assert len(predicted(classifier.folder, root, tmp_path / "table.json")) == 1
    rejected = read_rejected(tmp_path / "table.json.rejected.tsv")
    assert [each.path for each in rejected] == [str(root / name) for name in ("b.wav", "c.wav", "slow.wav")]
    assert re.search(r"upsample=true\b.*\b2000 Hz\b.*\b4000 Hz\b", rejected[-1].reason)
    assert len(predicted(classifier.folder, root, tmp_path / "all.json", upsample=True)) == 2


def test_a_published_model_predicts_the_same(
    classifier: Finetuned, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    config = {"repo": "user/tones", "private": True, "licence": "mit"}
    with serving() as hub:
        use_hub(monkeypatch, tmp_path / "home", endpoint=hub.endpoint)
        publish({"run": str(classifier.folder), "upload": True, **config})
        files = hub.repos["user/tones"]
        names = ("config.json", "model.safetensors", "README.md")
        assert files.keys() == {f"{place}{name}" for place in ("", "tokenizer/") for name in names}
        assert b"license: mit" in files["README.md"]
        assert (classifier.folder / "figures.md").read_bytes().strip() in files["README.md"]
        published = predicted("hf://user/tones", tones, tmp_path / "a.json")
    assert published == predicted(classifier.folder, tones, tmp_path / "b.json")
