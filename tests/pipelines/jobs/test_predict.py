"""``wordless predict``, as a user calls it."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lm.finetuned import FineTunedModel
from tests.calling import predict, publish
from tests.hub import serving, use_hub
from tests.pipelines.jobs.conftest import Finetuned, write_tone
from tests.pipelines.tiny import AUDIO
from wordless.audio.levels import trim_ends
from wordless.audio.reading import read
from wordless.base.errors import InputError


def predicted(model: Path, source: str, output: Path) -> Path:
    """The table of a folder of recordings."""
    predict({"model": str(model), "input": source, "output": str(output), "device": "cpu", "workers": 1})
    return output


def test_the_table_has_the_predictions_of_the_test_clips(
    classifier: Finetuned, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = predicted(classifier.folder, str(tones), tmp_path / "table.json")
    rows = {Path(row["path"]).name: row for row in json.loads(table.read_text())}
    assert len(rows) == 27
    for line in (classifier.folder / "predictions.tsv").read_text().splitlines()[1:]:
        path, _, label, probability, *_ = line.split("\t")
        assert rows[path]["label"] == label
        assert rows[path]["probability"] == pytest.approx(float(probability), abs=1e-4)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{rows['high_0.wav']['label']}\t{tones / 'high_0.wav'}"


def test_annotated_parts_are_predicted_as_if_they_were_cut(classifier: Finetuned, tones: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    sounds = [soundfile.read(tones / name, dtype="float32")[0] for name in ("high_0.wav", "low_0.wav")]
    rate = AUDIO.sample_rate
    silence = np.zeros(rate, np.float32)
    soundfile.write(tmp_path / "in/field.wav", np.concatenate([sounds[0], silence, sounds[1]]), rate, subtype="FLOAT")
    first, second = len(sounds[0]) / rate, (len(sounds[0]) + len(silence)) / rate
    end = second + len(sounds[1]) / rate
    (tmp_path / "in/field.txt").write_text(f"0\t{first}\thigh\n{second}\t{end}\tlow\n")
    predict(
        {"model": str(classifier.folder), "input": str(tmp_path / "in"), "output": str(tmp_path / "parts.json")}
        | {"device": "cpu", "workers": 1}
    )
    rows = json.loads((tmp_path / "parts.json").read_text())
    table = predicted(classifier.folder, str(tones), tmp_path / "whole.json")
    whole = {Path(row["path"]).name: row for row in json.loads(table.read_text())}
    assert ["#t=" in row["path"] for row in rows] == [True, True]
    for row, name in zip(rows, ("high_0.wav", "low_0.wav"), strict=True):
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
    rows = json.loads(predicted(tmp_path / "model", str(root), tmp_path / "table.json").read_text())
    assert [row["probability"] for row in rows] == pytest.approx(wanted, abs=1e-4)
    assert wanted != pytest.approx(whole, abs=1e-4)


def test_recordings_are_read_by_the_channel_of_the_clips(
    classifier: Finetuned, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "opposed"
    root.mkdir()
    for path in tones.iterdir():
        tone = soundfile.read(path)[0]
        soundfile.write(root / path.name, np.stack([-tone, tone], axis=1), AUDIO.sample_rate)
    model, tables = FineTunedModel.from_pretrained(classifier.folder), {}
    for channel in (1, "mean"):
        model.channel = channel  # type: ignore[assignment]  # one of its values
        model.save_pretrained(tmp_path / f"{channel}", front_end=classifier.folder)
        tables[channel] = predicted(tmp_path / f"{channel}", str(root), tmp_path / f"{channel}.json").read_text()
    mono = json.loads(predicted(classifier.folder, str(tones), tmp_path / "tones.json").read_text())
    found = [row["probability"] for row in json.loads(tables[1])]
    assert found == pytest.approx([row["probability"] for row in mono], abs=1e-3)
    told = " ".join(capsys.readouterr().err.split())
    assert re.search(r"\b26 other recordings\b.*\bsilent\b", told)
    assert "audio.channel=0" in told
    with pytest.raises(InputError, match=r"audio\.channel=1"):  # the tones have one channel
        predicted(tmp_path / "1", str(tones), tmp_path / "one.json")
    assert "audio.channel=1" in (tmp_path / "one.json.rejected.tsv").read_text()


def test_recordings_of_a_lower_rate_are_set_aside_unless_allowed(
    classifier: Finetuned, tones: Path, tmp_path: Path
) -> None:
    root = tmp_path / "mixed"
    root.mkdir()
    shutil.copy(tones / "low_0.wav", root)
    write_tone(root / "slow.wav", 200, 0.3, rate=2000)
    assert len(json.loads(predicted(classifier.folder, str(root), tmp_path / "table.json").read_text())) == 1
    rejected = (tmp_path / "table.json.rejected.tsv").read_text()
    assert re.search(r"upsample=true\b.*\b2000 Hz\b.*\b4000 Hz\b", rejected)
    options = {"model": str(classifier.folder), "input": str(root), "output": str(tmp_path / "all.json")}
    predict({**options, "upsample": True, "device": "cpu", "workers": 1})
    assert len(json.loads((tmp_path / "all.json").read_text())) == 2


def test_a_published_model_predicts_the_same(
    classifier: Finetuned,
    tones: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
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
        given = {"model": "hf://user/tones", "input": str(tones), "device": "cpu", "workers": 1}
        predict({**given, "output": str(tmp_path / "a.tsv")})
    local = predicted(classifier.folder, str(tones), tmp_path / "b.tsv")
    assert (tmp_path / "a.tsv").read_bytes() == local.read_bytes()


def test_what_cannot_be_read_is_listed_beside_the_table(classifier: Finetuned, tones: Path, tmp_path: Path) -> None:
    root = tmp_path / "some"
    root.mkdir()
    shutil.copy(tones / "low_3.wav", root / "a.wav")
    (root / "b.wav").write_bytes(b"no sound")
    soundfile.write(root / "c.wav", np.full(70, 0.1, np.float32), AUDIO.sample_rate)
    table = predicted(classifier.folder, str(root), tmp_path / "table.tsv")
    assert len(table.read_text().splitlines()) == 2
    rejected = (tmp_path / "table.tsv.rejected.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in rejected[1:]] == [str(root / "b.wav"), str(root / "c.wav")]
    assert "20 ms" in rejected[2]
