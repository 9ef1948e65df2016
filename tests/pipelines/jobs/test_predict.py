"""``wordless predict``: a line and a row for each recording, by a fine-tuned model or a probe of a run."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
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
from tests.calling import publish
from tests.hub import serving, use_hub
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.jobs.conftest import PITCHES, Calling, Finetuned, rows_of, write_tone
from tests.pipelines.tiny import AUDIO
from tests.rejected import read_rejected
from wordless.audio.levels import trim_ends
from wordless.audio.reading import read
from wordless.audio.recordings.annotations import recordings_at
from wordless.audio.recordings.corpus_config import AnnotationOptions
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
    parts = f"0\t{len(one) / rate}\thigh\n{second}\t{len(field) / rate}\tlow\n"
    (tmp_path / "in/field.txt").write_text(parts)
    rows = predicted(classifier.folder, tmp_path / "in", "parts")
    assert "2 parts: " in capsys.readouterr().err
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


def test_a_published_model_predicts_the_same(
    predicted: Predicted, classifier: Finetuned, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        published = predicted("hf://user/tones", tones, "a")
    assert published == predicted(classifier.folder, tones, "b")


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


@pytest.mark.parametrize("method", ["gpt_sound", "denoising"])
def test_probes_of_networks_that_hear_sound_answer_over_two_augmentations_with_their_input(
    method: str, predicted: Predicted, sound_run: Path, tmp_path: Path
) -> None:
    answer_as_compared(predicted, sound_run / "run", sound_run / "store" / SYNTHESISED, tmp_path, method)


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


# Windows of long recordings

TONES = [(1.0, 1.5, "low"), (2.5, 3.0, "high"), (4.0, 4.6, "low")]  # seconds
ROWS = "".join(f"{start}\t{end}\t{label}\n" for start, end, label in TONES)
EVENTS = {"window": 0.4, "hop": 0.1, "threshold": 0.37}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a recording of 6 s: three tones in noise."""
    (root := tmp_path / "site").mkdir()
    rate = AUDIO.sample_rate
    sound = np.random.default_rng(7).normal(0, 0.02, 6 * rate)
    for start, end, label in TONES:
        time = np.arange(round((end - start) * rate)) / rate
        sound[round(start * rate) : round(start * rate) + len(time)] += 0.3 * np.sin(2 * np.pi * PITCHES[label] * time)
    soundfile.write(root / "site.wav", sound.astype(np.float32), rate, subtype="FLOAT")
    return root


def test_windows_have_the_answers_of_the_same_sound_in_a_file(
    predicted: Predicted, tone_run: Path, site: Path, tmp_path: Path
) -> None:
    rows = predicted(tone_run, site, "rows", window=0.5, hop=0.3, method="log_mel")
    starts = [row["start"] for row in rows]
    assert starts == pytest.approx([*np.arange(0, 5.5, 0.3).round(3), 5.5])
    (cut := tmp_path / "cut").mkdir()
    sound, rate = soundfile.read(site / "site.wav", dtype="float32")
    for number, start in enumerate(starts):
        first = round(start * rate)
        soundfile.write(cut / f"{number:02}.wav", sound[first : first + rate // 2], rate, subtype="FLOAT")
    alone = predicted(tone_run, cut, "alone", method="log_mel")
    for name in ("label", "probability", "probability of high"):
        assert [row[name] for row in rows] == pytest.approx([row[name] for row in alone], abs=1e-4)


@pytest.mark.parametrize("finetuned", [False, True])
def test_the_events_of_an_unheard_site_are_judged_and_shown(
    finetuned: bool,
    predicted: Predicted,
    tone_run: Path,
    classifier: Finetuned,
    site: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (site / "site.txt").write_text(ROWS)
    model, about = (classifier.folder, {**EVENTS, "threshold": 0.34}) if finetuned else (tone_run, EVENTS)
    events = predicted(model, site, "events", **about)
    told = capsys.readouterr()
    *_, mean = told.out.splitlines()
    assert re.fullmatch(rf"3\t{len(events)}\t.*\tall classes", mean)
    assert "tolerance 0.25 s" in told.out
    page = site.with_name("events.html").read_text()
    assert "Worst mistakes" in page
    assert page.count("Events over time") == page.count("Events of site.wav over time: ") == 1
    if not finetuned:  # which has hardly been trained
        found = [row for row in events if row["label"] == "high"]
        assert any(abs(row["start"] - 2.5) < 0.3 and abs(row["end"] - 3.0) < 0.3 for row in found)


def annotated_copies(site: Path, tones: Path, names: Sequence[str]) -> None:
    """Put recordings of another corpus into a site, as FLAC, with an annotation of a part of each."""
    for name in names:
        sound, rate = soundfile.read(tones / name, dtype="float32")
        soundfile.write(site / f"{Path(name).stem}.wav", sound, rate, subtype="FLOAT")
        (site / f"{Path(name).stem}.txt").write_text(f"0.05\t{len(sound) / rate:.3f}\t{name.partition('_')[0]}\n")


def tables_of(told: str) -> dict[str, list[str]]:
    """The rows of each table of figures by its title; "" has no title."""
    lines = told.splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("annotated\t")]
    ends = [next(n for n in range(head, len(lines)) if lines[n].endswith("all classes")) + 1 for head in heads]
    titles = [lines[head - 1] if head and "\t" not in lines[head - 1] else "" for head in heads]
    return {title: lines[head:end] for title, head, end in zip(titles, heads, ends, strict=True)}


@pytest.mark.parametrize("finetuned", [False, True])
def test_figures_of_recordings_that_the_model_has_not_seen_come_first(
    finetuned: bool,
    predicted: Predicted,
    tone_run: Path,
    classifier: Finetuned,
    tones: Path,
    site: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = classifier.folder if finetuned else tone_run
    (site / "site.txt").write_text(ROWS)
    predicted(model, site, "alone", **EVENTS)
    ((title, alone),) = tables_of(capsys.readouterr().out).items()
    assert title == ""
    annotated_copies(site, tones, ("low_7.wav", "high_6.wav", "middle_1.wav", "low_3.wav"))  # 3: of the test clips
    predicted(model, site, "events", **EVENTS)
    told = capsys.readouterr()
    assert re.search(r"2 of 5 judged recordings are among those that .* was trained on", told.err)
    assert re.search(r"1 of 5 judged recordings are among the validation clips of", told.err)
    first, second = tables_of(told.out).items()
    assert (first[0], second[0]) == ("2 recordings new to the model", "All recordings, 3 of 5 known to the model")
    (site / "low_3.wav").unlink()
    (site / "low_3.txt").unlink()
    page = site.with_name("events.html").read_text()
    assert page.index(first[0]) < page.index(second[0])
    assert "answers about recordings new to the model" in page
    assert "2 of 5 judged recordings" in page
    predicted(model, site, "fewer", **EVENTS)
    first, second = tables_of(capsys.readouterr().out).items()
    assert first == ("1 recording new to the model", alone)
    assert [row.split("\t")[0] for row in (first[1][-1], second[1][-1])] == ["3", "6"]


@pytest.mark.parametrize("windows", [{}, EVENTS])
def test_figures_of_training_recordings_alone_are_told_to_be_none(
    windows: dict[str, Any],
    predicted: Predicted,
    tone_run: Path,
    tones: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (site := tmp_path / "seen").mkdir()
    annotated_copies(site, tones, ("low_7.wav", "high_6.wav"))
    predicted(tone_run, site, "events", **windows)
    told = capsys.readouterr()
    noun = "recordings" if windows else "parts"
    assert f"none of the judged {noun} is new to the model" in told.err
    assert f"none of the judged {noun} is new to the model" in (tmp_path / "events.html").read_text()
    if windows:
        assert [*tables_of(told.out)] == ["All recordings, 2 of 2 known to the model"]


def test_recordings_whose_annotations_name_no_part_are_predicted_and_count_false_alarms(
    predicted: Predicted, tone_run: Path, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = "Begin Time (s)\tEnd Time (s)\tAnnotation\n"
    (site / "site.selections.txt").write_text(head + ROWS)
    alone = predicted(tone_run, site, "alone", **EVENTS)
    shutil.copyfile(site / "site.wav", site / "other.wav")
    (site / "other.selections.txt").write_text(head)
    capsys.readouterr()
    events = predicted(tone_run, site, "events", **EVENTS)
    *_, mean = capsys.readouterr().out.splitlines()
    assert {Path(row["path"]).name for row in events} == {"site.wav", "other.wav"}
    assert re.fullmatch(rf"3\t{2 * len(alone)}\t.*\tall classes", mean)


@pytest.mark.parametrize(
    ("suffix", "read"),
    [("tsv", partial(pandas.read_csv, sep="\t")), ("json", pandas.read_json), ("parquet", pandas.read_parquet)],
)
def test_a_table_without_events_has_columns(
    suffix: str, read: Callable[[Path], pandas.DataFrame], call: Calling, tone_run: Path, site: Path
) -> None:
    table = read(call("predict", f"events.{suffix}", model=tone_run, input=site, **{**EVENTS, "threshold": 1.0}))
    assert len(table) == 0
    assert suffix == "json" or [*table] == ["path", "start", "end", "label", "score"]


@pytest.mark.parametrize("suffix", [".selections.txt", ".txt", ".TextGrid"])
def test_events_are_written_for_other_programs_and_read_again(
    suffix: str, predicted: Predicted, call: Calling, tone_run: Path, site: Path
) -> None:
    events = predicted(tone_run, site, "events", **EVENTS)
    shutil.move(call("predict", f"site{suffix}", model=tone_run, input=site, **EVENTS), site)
    found = [(*clip.span, clip.label) for clip in recordings_at(site, AnnotationOptions()).clips if clip.span]
    assert found == [
        (*(pytest.approx(row[name], abs=1e-3) for name in ("start", "end")), row["label"]) for row in events
    ]


def test_a_long_recording_without_windows_and_labels_that_were_not_learned_are_told(
    predicted: Predicted, tone_run: Path, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(predicted(tone_run, site, "one")) == 1
    assert re.search(r"site\.wav: 10 times as long .*\bwindow=0\.\d", capsys.readouterr().err)
    (site / "site.txt").write_text("1\t1.5\tlow\n3\t4\tnightingale\n")
    predicted(tone_run, site, "events", **EVENTS)
    told = capsys.readouterr()
    assert "nightingale" in told.err
    assert "nightingale" not in told.out


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ({"hop": 0.1}, r"^hop is 0\.1\b.*window="),
        ({"threshold": 0.5}, r"^threshold is 0\.5\b.*window="),
        ({"window": 0.5, "hop": 1.0}, r"^hop is 1\b.*\b0\.5 s"),
        ({"window": 0.001}, r"^window is 0\.001\b.*\b0\.0\d+ s"),
        ({"window": 0.5, "output": "x.selections.txt"}, r"^threshold\b.*threshold=0\.8"),
        ({"output": "x.wav"}, r"^output\b.*\.selections\.txt\b"),
    ],
)
def test_windows_that_cannot_be_are_refused(others: dict[str, Any], told: str, call: Calling, tone_run: Path) -> None:
    with pytest.raises(InputError, match=told):
        call("predict", "x.tsv", model=tone_run, **others)


@pytest.mark.parametrize("windows", [{}, EVENTS])
def test_outputs_that_cannot_be_are_refused_before_any_work(
    windows: dict[str, Any], call: Calling, tone_run: Path, site: Path, tmp_path: Path
) -> None:
    (site / "site.txt").write_text(ROWS)
    shutil.copy(site / "site.wav", site / "other.wav")
    shutil.copy(site / "site.txt", site / "broken.wav")  # which would be set aside
    (place := tmp_path / "place").mkdir()
    (place / "events.html").write_text("the page of another table")
    for name, told in (("events.tsv", r"events\.html exists"), ("x.txt", "3.*format=audacity"), ("x.TextGrid", "3")):
        with pytest.raises(InputError, match=told):
            call("predict", f"place/{name}", model=tone_run, input=site, **windows)
    assert [path.name for path in place.iterdir()] == ["events.html"]
    assert (place / "events.html").read_text() == "the page of another table"


def test_a_window_that_is_longer_than_a_recording_and_a_table_that_is_none_are_told_in_a_line(
    predicted: Predicted, tone_run: Path, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(predicted(tone_run, site, "long", window=7)) == 1
    assert re.search(r"site\.wav: shorter than window=7: one window$", capsys.readouterr().err, re.MULTILINE)
    (site / "site.selections.txt").write_text("Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\tsoon\tlater\tlow\n")
    with pytest.raises(InputError, match=r"site\.selections\.txt:2: start is 'soon'.*annotations=none$"):
        predicted(tone_run, site, "bad", **EVENTS)
