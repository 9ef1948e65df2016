"""``wordless predict``: a line and a row for each recording, by a fine-tuned model or a probe of a run."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

import wordless
from lm.finetuned import FineTunedModel
from pipelines.store.store import SYNTHESISED
from tests.hub import store_in_cache, use_hub
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.jobs.conftest import Calling, Finetuned, rows_of, write_tone
from tests.pipelines.tiny import AUDIO
from tests.rejected import read_rejected
from wordless.audio.levels import trim_ends
from wordless.audio.reading import read
from wordless.base.messages import InputError

Rows = list[dict[str, Any]]
Predicted = Callable[..., Rows]


@pytest.fixture
def predicted(call: Calling) -> Predicted:
    """The rows that a model predicts for a folder of recordings, in a table with a name."""

    def predict(model: Path | str, source: Path, name: str, **others: object) -> Rows:
        rows: Rows = json.loads(call("predict", f"{name}.json", model=model, input=source, **others).read_text())
        return rows

    return predict


def test_the_table_has_the_predictions_of_the_test_clips(
    predicted: Predicted, classifier: Finetuned, tones: Path
) -> None:
    rows = {Path(row["path"]).name: row for row in predicted(classifier.folder, tones, "table")}
    assert len(rows) == 27
    for row in rows_of(classifier.folder / "predictions.tsv"):
        assert row["path"].startswith(row["truth"])
        assert rows[row["path"]]["label"] == row["label"]
        assert rows[row["path"]]["probability"] == pytest.approx(float(row["probability"]), abs=1e-4)


def test_annotated_parts_are_predicted_as_if_they_were_cut(
    predicted: Predicted, classifier: Finetuned, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    names, rate = ("high_0.wav", "low_0.wav"), AUDIO.sample_rate
    one, other = (soundfile.read(tones / name, dtype="float32")[0] for name in names)
    field = np.concatenate([one, silence := np.zeros(rate, np.float32), other])
    soundfile.write(tmp_path / "in/field.wav", field, rate, subtype="FLOAT")
    second = (len(one) + len(silence)) / rate
    first, last = f"field.wav\t0\t{len(one) / rate}\thigh", f"field.wav\t{second}\t{len(field) / rate}\tlow"
    (tmp_path / "in/parts.tsv").write_text(f"path\tstart\tend\tlabel\n{first}\n{last}\n")
    rows = predicted(classifier.folder, tmp_path / "in/parts.tsv", "parts")
    assert "2 clips" in capsys.readouterr().err
    whole = {Path(row["path"]).name: row for row in predicted(classifier.folder, tones, "whole")}
    for row, name in zip(rows, names, strict=True):
        assert "#t=" in row["path"]
        assert row["probability"] == pytest.approx(whole[name]["probability"], abs=1e-3)


def test_recordings_are_trimmed_as_the_clips_were(
    predicted: Predicted, classifier: Finetuned, tones: Path, tmp_path: Path
) -> None:
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
    rows = predicted(tmp_path / "model", root, "table")
    assert [row["probability"] for row in rows] == pytest.approx(wanted, abs=1e-4)
    assert wanted != pytest.approx(whole, abs=1e-4)


def test_recordings_are_read_by_the_channel_of_the_clips(
    predicted: Predicted, classifier: Finetuned, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root := tmp_path / "opposed").mkdir()
    for path in tones.iterdir():
        tone = soundfile.read(path)[0]
        soundfile.write(root / path.name, np.stack([-tone, tone], axis=1), AUDIO.sample_rate)
    model, channels = FineTunedModel.from_pretrained(classifier.folder), {}
    for channel in (1, "mean"):
        model.channel = channel  # type: ignore[assignment]  # one of its values
        model.save_pretrained(tmp_path / f"{channel}", front_end=classifier.folder)
        rows = predicted(tmp_path / f"{channel}", root, str(channel))
        channels[channel] = [row["probability"] for row in rows]
    mono = predicted(classifier.folder, tones, "tones")
    assert channels[1] == pytest.approx([row["probability"] for row in mono], abs=1e-3)
    assert "audio.channel=0" in capsys.readouterr().err  # their mean is silent
    with pytest.raises(InputError, match=r"audio\.channel=1"):  # the tones have one channel
        predicted(tmp_path / "1", tones, "one")


def test_what_cannot_be_read_and_recordings_of_a_lower_rate_are_set_aside(
    predicted: Predicted, classifier: Finetuned, tones: Path, tmp_path: Path
) -> None:
    (root := tmp_path / "mixed").mkdir()
    shutil.copy(tones / "low_0.wav", root / "a.wav")
    (root / "b.wav").write_bytes(b"no sound")
    soundfile.write(root / "c.wav", np.full(70, 0.1, np.float32), AUDIO.sample_rate)
    write_tone(root / "slow.wav", 200, 0.3, rate=2000)
    assert len(predicted(classifier.folder, root, "table")) == 1
    rejected = read_rejected(tmp_path / "table.json.rejected.tsv")
    assert [each.path for each in rejected] == [str(root / name) for name in ("b.wav", "c.wav", "slow.wav")]
    assert re.search(r"upsample=true\b.*\b2000 Hz\b.*\b4000 Hz\b", rejected[-1].reason)
    assert len(predicted(classifier.folder, root, "all", upsample=True)) == 2


def test_a_model_of_the_hub_predicts_the_same(
    predicted: Predicted, classifier: Finetuned, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_in_cache(tmp_path / "home", "user/tones", classifier.folder)
    use_hub(monkeypatch, tmp_path / "home")
    assert predicted("hf://user/tones", tones, "a") == predicted(classifier.folder, tones, "b")


def answer_as_compared(predicted: Predicted, run: Path, corpus: Path, place: Path, method: str) -> dict[str, Any]:
    """Assert that the command says what the comparison of a run said of its test clips; the row of one of them."""
    rows = [row for row in pq.read_table(run / "predictions.parquet").to_pylist() if row["method"] == method]
    for row in rows:
        (clip := place / method / row["clip"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(next(corpus.rglob(row["clip"])), clip)
    table = {row["path"]: row for row in predicted(run, place / method, method, method=method)}
    found = [table[str(place / method / row["clip"])] for row in rows]
    assert [each["label"] for each in found] == [row["prediction"] for row in rows]
    assert [each["probability"] for each in found] == pytest.approx([row["probability"] for row in rows], abs=1e-3)
    return found[0]


@pytest.mark.parametrize("method", ["gpt", "bag_of_codes", "log_mel", "bottleneck"])
def test_each_probe_that_a_run_keeps_answers_as_the_comparison_did(
    method: str, predicted: Predicted, finished_run: FinishedRun, tmp_path: Path
) -> None:
    row = answer_as_compared(predicted, finished_run.folder, finished_run.store, tmp_path, method)
    sound = Path(row["path"])
    own = wordless.Run(finished_run.folder).predict(sound, method=method)
    assert next(iter(own)) == row["label"]
    assert own == pytest.approx({name.removeprefix("probability of "): row[name] for name in row if " of " in name})
    assert wordless.Run(finished_run.folder).predict(read(sound), method=method) == own


def test_probes_of_the_denoising_network_answer_over_two_augmentations_with_its_input(
    predicted: Predicted, sound_run: Path, tmp_path: Path
) -> None:
    answer_as_compared(predicted, sound_run / "run", sound_run / "store" / SYNTHESISED, tmp_path, "denoising")


def test_by_default_the_method_is_the_best_on_validation_that_can_be_applied(
    predicted: Predicted,
    finished_run: FinishedRun,
    recordings: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = shutil.copytree(finished_run.folder, tmp_path / "run")
    listed = json.loads((run / "probe/methods.json").read_text())
    assert [each["method"] for each in listed["methods"] if each["folder"] is None] == ["random_gpt"]
    values = [each["validation"] for each in listed["methods"]]
    assert values == sorted(values, reverse=True)
    for best in ("log_mel", "random_gpt"):
        for each in listed["methods"]:
            each["validation"] = {best: 0.9, "log_mel": 0.8}.get(each["method"], 0.1)
        listed["methods"].sort(key=lambda each: -each["validation"])
        (run / "probe/methods.json").write_text(json.dumps(listed))
        chosen = predicted(run, recordings / "d.wav", best, upsample=True)
        assert chosen == predicted(run, recordings / "d.wav", f"own {best}", method="log_mel", upsample=True)
        told, named = (line for line in capsys.readouterr().err.splitlines() if line.startswith("method "))
        assert named == "method    log_mel"
        assert re.search(r"log_mel\b.*\b0\.[89]00\b", told)
        assert ("random_gpt" in told) == (best == "random_gpt")


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("random_gpt", r"^method is random_gpt\b.*\bstore\b.*\blog_mel\b.*\bauto$"),
        ("simclr", r"^method is simclr\b.*did not probe\b.*\bgpt\b"),
    ],
)
def test_a_method_that_cannot_be_applied_is_refused(
    method: str, told: str, predicted: Predicted, finished_run: FinishedRun, recordings: Path
) -> None:
    with pytest.raises(InputError, match=told):
        predicted(finished_run.folder, recordings, "x", method=method)


def test_a_run_without_probes_and_a_method_of_a_fine_tuned_model_are_refused(
    predicted: Predicted, run_folder: Path, classifier: Finetuned, recordings: Path
) -> None:
    with pytest.raises(InputError, match=r"^model is .*\bprobe\b"):
        predicted(run_folder, recordings, "x")
    with pytest.raises(InputError, match=r"^method is gpt\b"):
        predicted(classifier.folder, recordings, "x", method="gpt")


def test_outputs_that_cannot_be_are_refused_before_any_work(call: Calling, tone_run: Path, tmp_path: Path) -> None:
    (tmp_path / "table.tsv").write_text("another table")
    for name, told in (("table.tsv", r"table\.tsv exists"), ("x.wav", r"^output\b.*\.tsv\b")):
        with pytest.raises(InputError, match=told):
            call("predict", name, model=tone_run)
    assert [path.name for path in tmp_path.iterdir()] == ["table.tsv"]
    assert (tmp_path / "table.tsv").read_text() == "another table"
