"""``wordless predict``: a line and a row for each recording, by a fine-tuned model or a probe of a run."""

import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow.parquet as pq
import pytest
import soundfile

import wordless
from lm.finetuned import FineTunedModel
from pipelines.store.store import SYNTHESISED
from tests.calling import predict, publish
from tests.hub import serving, use_hub
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.jobs.conftest import PITCHES, Finetuned, write_tone
from tests.pipelines.tiny import AUDIO
from tests.rejected import read_rejected
from wordless.audio.levels import trim_ends
from wordless.audio.reading import read
from wordless.audio.recordings.annotations import recordings_at
from wordless.audio.recordings.recording_sources import AnnotationOptions
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


def answers_of(run: Path, corpus: Path, place: Path, method: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the run's comparison says of its test clips by a method, and what the command says of them."""
    rows = [row for row in pq.read_table(run / "predictions.parquet").to_pylist() if row["method"] == method]
    (folder := place / method).mkdir()
    for row in rows:
        (folder / row["clip"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(next(corpus.rglob(row["clip"])), folder / row["clip"])
    found = {row["path"]: row for row in predicted(run, folder, place / f"{method}.json", method=method)}
    return rows, [found[str(folder / row["clip"])] for row in rows]


@pytest.mark.parametrize("method", ["gpt", "bag_of_codes", "log_mel", "bottleneck"])
def test_each_probe_that_a_run_keeps_answers_as_the_comparison_did(
    method: str, finished_run: FinishedRun, tmp_path: Path
) -> None:
    rows, found = answers_of(finished_run.folder, finished_run.store, tmp_path, method)
    assert [each["label"] for each in found] == [row["prediction"] for row in rows]
    probabilities = [row["probability"] for row in rows]
    assert [each["probability"] for each in found] == pytest.approx(probabilities, abs=1e-3)
    row, sound = found[0], Path(found[0]["path"])
    own = wordless.Run(finished_run.folder).predict(sound, method=method)
    assert next(iter(own)) == row["label"]
    assert own == pytest.approx({name.removeprefix("probability of "): row[name] for name in row if " of " in name})
    assert wordless.Run(finished_run.folder).predict(read(sound), method=method) == own


@pytest.mark.parametrize("method", ["gpt_sound", "gpt_window"])
def test_probes_of_networks_that_hear_sound_answer_as_the_comparison_did(
    method: str, sound_run: Path, tmp_path: Path
) -> None:
    """Over two hearings, with the input of the network beside its layers."""
    rows, found = answers_of(sound_run / "run", sound_run / "store" / SYNTHESISED, tmp_path, method)
    assert [each["label"] for each in found] == [row["prediction"] for row in rows]
    assert [each["probability"] for each in found] == pytest.approx([row["probability"] for row in rows], abs=1e-3)


def test_by_default_the_method_is_the_best_on_validation_that_can_be_applied(
    finished_run: FinishedRun, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
        chosen = predicted(run, recordings / "d.wav", tmp_path / f"{best}.json", upsample=True)
        assert chosen == predicted(run, recordings / "d.wav", tmp_path / "x.json", method="log_mel", upsample=True)
        (tmp_path / "x.json").unlink()
        told = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("method "))
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
    method: str, told: str, finished_run: FinishedRun, recordings: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=told):
        predicted(finished_run.folder, recordings, tmp_path / "x.json", method=method)


def test_a_run_without_probes_and_a_method_of_a_fine_tuned_model_are_refused(
    run_folder: Path, classifier: Finetuned, recordings: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"^model is .*\bprobe\b"):
        predicted(run_folder, recordings, tmp_path / "x.json")
    with pytest.raises(InputError, match=r"^method is gpt\b"):
        predicted(classifier.folder, recordings, tmp_path / "x.json", method="gpt")


# Windows of long recordings

SITE = [(1.0, 1.5, "low"), (2.5, 3.0, "high"), (4.0, 4.6, "low")]  # seconds


def write_site(root: Path, *, annotated: bool = True, noise: float = 0.02) -> Path:
    """A recording of 6 s with three tones in noise, and their labels beside it."""
    root.mkdir()
    rate = AUDIO.sample_rate
    sound = np.random.default_rng(7).normal(0, noise, 6 * rate)
    for start, end, label in SITE:
        time = np.arange(round((end - start) * rate)) / rate
        sound[round(start * rate) : round(start * rate) + len(time)] += 0.3 * np.sin(2 * np.pi * PITCHES[label] * time)
    soundfile.write(root / "site.wav", sound.astype(np.float32), rate, subtype="FLOAT")
    if annotated:
        (root / "site.txt").write_text("".join(f"{start}\t{end}\t{label}\n" for start, end, label in SITE))
    return root


def test_windows_have_the_answers_of_the_same_sound_in_a_file(tone_run: Path, tmp_path: Path) -> None:
    site = write_site(tmp_path / "site")
    rows = predicted(tone_run, site, tmp_path / "rows.json", window=0.5, hop=0.3, method="log_mel")
    starts = [row["start"] for row in rows]
    assert starts == pytest.approx([*np.arange(0, 5.5, 0.3).round(3), 5.5])
    (cut := tmp_path / "cut").mkdir()
    sound, rate = soundfile.read(site / "site.wav", dtype="float32")
    for number, start in enumerate(starts):
        first = round(start * rate)
        soundfile.write(cut / f"{number:02}.wav", sound[first : first + rate // 2], rate, subtype="FLOAT")
    alone = predicted(tone_run, cut, tmp_path / "alone.json", method="log_mel")
    for name in ("label", "probability", "probability of high"):
        assert [row[name] for row in rows] == pytest.approx([row[name] for row in alone], abs=1e-4)


@pytest.mark.parametrize("finetuned", [False, True])
def test_the_events_of_an_unheard_site_are_judged_and_shown(
    finetuned: bool, tone_run: Path, classifier: Finetuned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site, model = write_site(tmp_path / "site"), classifier.folder if finetuned else tone_run
    about = {"window": 0.4, "hop": 0.1, "threshold": 0.34 if finetuned else 0.37}
    events = predicted(model, site, tmp_path / "events.json", **about)
    told = capsys.readouterr()
    *_, mean = told.out.splitlines()
    assert re.fullmatch(rf"3\t{len(events)}\t.*\tall classes", mean)
    assert "tolerance 0.25 s" in told.out
    page = (tmp_path / "events.html").read_text()
    assert f"{len(events)}" in page
    assert "Worst mistakes" in page
    assert page.count("Events over time") == page.count("Events of site.wav over time: ") == 1
    if not finetuned:  # which has hardly been trained
        found = [row for row in events if row["label"] == "high"]
        assert any(abs(row["start"] - 2.5) < 0.3 and abs(row["end"] - 3.0) < 0.3 for row in found)


def test_recordings_whose_annotations_name_no_part_are_predicted_and_count_false_alarms(
    tone_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site, head = write_site(tmp_path / "site", annotated=False), "Begin Time (s)\tEnd Time (s)\tAnnotation\n"
    rows = "".join(f"{start}\t{end}\t{label}\n" for start, end, label in SITE)
    (site / "site.selections.txt").write_text(head + rows)
    about = {"window": 0.4, "hop": 0.1, "threshold": 0.37}
    alone = predicted(tone_run, site, tmp_path / "alone.json", **about)
    shutil.copyfile(site / "site.wav", site / "other.wav")
    (site / "other.selections.txt").write_text(head)
    capsys.readouterr()
    events = predicted(tone_run, site, tmp_path / "events.json", **about)
    *_, mean = capsys.readouterr().out.splitlines()
    assert {Path(row["path"]).name for row in events} == {"site.wav", "other.wav"}
    assert re.fullmatch(rf"3\t{2 * len(alone)}\t.*\tall classes", mean)


@pytest.mark.parametrize("suffix", ["tsv", "json", "parquet"])
def test_a_table_without_events_has_columns(suffix: str, tone_run: Path, tmp_path: Path) -> None:
    site, output = write_site(tmp_path / "site", annotated=False), tmp_path / f"events.{suffix}"
    config = {"model": str(tone_run), "input": str(site), "device": "cpu", "workers": 1, "output": str(output)}
    predict({**config, "window": 0.4, "threshold": 1.0})
    read: Callable[[Path], pandas.DataFrame] = {
        "tsv": partial(pandas.read_csv, sep="\t"),
        "json": pandas.read_json,
        "parquet": pandas.read_parquet,
    }[suffix]
    assert len(read(output)) == 0
    assert suffix == "json" or [*read(output)] == ["path", "start", "end", "label", "score"]


def test_events_are_written_for_other_programs_and_read_again(tone_run: Path, tmp_path: Path) -> None:
    site, about = write_site(tmp_path / "site", annotated=False), {"window": 0.4, "hop": 0.2, "threshold": 0.37}
    events = predicted(tone_run, site, tmp_path / "events.json", **about)
    config = {"model": str(tone_run), "input": str(site), "device": "cpu", "workers": 1, **about}
    for suffix in (".selections.txt", ".txt", ".TextGrid"):
        predict({**config, "output": str(tmp_path / f"site{suffix}")})
        shutil.move(tmp_path / f"site{suffix}", site)
        clips = recordings_at(site, AnnotationOptions()).clips
        found = [(*clip.span, clip.label) for clip in clips if clip.span]
        assert found == [
            (*(pytest.approx(row[name], abs=1e-3) for name in ("start", "end")), row["label"]) for row in events
        ]
        (site / f"site{suffix}").unlink()


def test_a_long_recording_without_windows_and_labels_that_were_not_learned_are_told(
    tone_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = write_site(tmp_path / "site", annotated=False)
    assert len(predicted(tone_run, site, tmp_path / "one.json")) == 1
    assert re.search(r"site\.wav: 10 times as long .*\bwindow=0\.\d", capsys.readouterr().err)
    (site / "site.txt").write_text("1\t1.5\tlow\n3\t4\tnightingale\n")
    predicted(tone_run, site, tmp_path / "events.json", window=0.4, threshold=0.5)
    told = capsys.readouterr()
    assert "nightingale" in told.err
    assert "nightingale" not in told.out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"hop": 0.1}, r"^hop is 0\.1\b.*window="),
        ({"threshold": 0.5}, r"^threshold is 0\.5\b.*window="),
        ({"window": 0.5, "hop": 1.0}, r"^hop is 1\b.*\b0\.5 s"),
        ({"window": 0.001}, r"^window is 0\.001\b.*\b0\.0\d+ s"),
        ({"window": 0.5, "output": "x.selections.txt"}, r"^threshold\b.*threshold=0\.8"),
        ({"output": "x.wav"}, r"^output\b.*\.selections\.txt\b"),
    ],
)
def test_windows_that_cannot_be_are_refused(options: dict[str, Any], told: str, tone_run: Path, tones: Path) -> None:
    with pytest.raises(InputError, match=told):
        predict({"model": str(tone_run), "input": str(tones), "device": "cpu", "workers": 1, **options})


@pytest.mark.parametrize("windows", [{}, {"window": 0.4, "threshold": 0.5}])
def test_outputs_that_cannot_be_are_refused_before_any_work(
    windows: dict[str, Any], tone_run: Path, tmp_path: Path
) -> None:
    site = write_site(tmp_path / "site")
    for name in ("other", "broken"):  # the last would be set aside
        shutil.copy(site / "site.wav" if name == "other" else site / "site.txt", site / f"{name}.wav")
    (place := tmp_path / "place").mkdir()
    (place / "events.html").write_text("the page of another table")
    config = {"model": str(tone_run), "input": str(site), "device": "cpu", "workers": 1, **windows}
    for name, told in (
        ("events.tsv", r"events\.html exists"),
        ("x.txt", r"\b3\b.*format=audacity"),
        ("x.TextGrid", r"3"),
    ):
        with pytest.raises(InputError, match=told):
            predict({**config, "output": str(place / name)})
    assert [path.name for path in place.iterdir()] == ["events.html"]
    assert (place / "events.html").read_text() == "the page of another table"


def test_a_window_that_is_longer_than_a_recording_and_a_table_that_is_none_are_told_in_a_line(
    tone_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = write_site(tmp_path / "site", annotated=False)
    assert len(predicted(tone_run, site, tmp_path / "long.json", window=7)) == 1
    assert re.search(r"site\.wav: shorter than window=7: one window$", capsys.readouterr().err, re.MULTILINE)
    (site / "site.selections.txt").write_text("Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\tsoon\tlater\tlow\n")
    with pytest.raises(InputError, match=r"site\.selections\.txt:2: start is 'soon'.*annotations=none$"):
        predicted(tone_run, site, tmp_path / "bad.json", window=0.4, threshold=0.37)
