"""``wordless predict``, as a user calls it."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from lm.finetuned import FineTunedModel
from tests.calling import predict, publish
from tests.hub import serving, use_hub
from tests.pipelines.jobs.conftest import Finetuned, write_tone
from tests.pipelines.tiny import AUDIO
from tests.rejected import read_rejected
from wordless.audio.levels import trim_ends
from wordless.audio.reading import read
from wordless.base.errors import InputError


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


def test_annotated_parts_are_predicted_as_if_they_were_cut(classifier: Finetuned, tones: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    names, rate = ("high_0.wav", "low_0.wav"), AUDIO.sample_rate
    one, other = (soundfile.read(tones / name, dtype="float32")[0] for name in names)
    field = np.concatenate([one, silence := np.zeros(rate, np.float32), other])
    soundfile.write(tmp_path / "in/field.wav", field, rate, subtype="FLOAT")
    second = (len(one) + len(silence)) / rate
    parts = f"0\t{len(one) / rate}\thigh\n{second}\t{len(field) / rate}\tlow\n"
    (tmp_path / "in/field.txt").write_text(parts)
    rows = predicted(classifier.folder, tmp_path / "in", tmp_path / "parts.json")
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
