"""``wordless find``: a sound that is hidden in recordings."""

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from pipelines.extras.find import places as job
from tests.calling import find, python
from tests.rejected import read_rejected
from tests.wordless.audio.recordings.annotations.annotated_files import audacity
from wordless.base.array_types import FloatArray
from wordless.base.errors import InputError

RATE = 4000  # Hz; a code lasts 80 samples
AT = {"a.wav": 2.0, "more/b.wav": 4.0}  # seconds at which the word begins


def noise(seconds: float, seed: int) -> FloatArray:
    """Noise whose spectrum changes every 40 ms."""
    rng = np.random.default_rng(seed)
    pieces = [np.cumsum(rng.normal(0, 1, 160)) * rng.uniform(0, 0.3) + rng.normal(0, 1, 160) for _ in range(400)]
    return (0.02 * np.concatenate(pieces)[: round(seconds * RATE)]).astype(np.float32)


WORD = noise(0.6, 99)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A word, and recordings of which two have it: one of them at another rate."""
    place = tmp_path_factory.mktemp("find")
    (place / "in/more").mkdir(parents=True)
    soundfile.write(place / "word.wav", np.concatenate([np.zeros(800), WORD, np.zeros(400)]), RATE, subtype="FLOAT")
    for number, (name, at) in enumerate(AT.items()):
        sound = np.concatenate([noise(at, number), WORD, noise(3, 10 + number)])
        soundfile.write(place / "in" / name, sound, RATE, subtype="FLOAT")
    soundfile.write(place / "in/c.wav", noise(5, 30), RATE, subtype="FLOAT")
    soundfile.write(place / "in/short.wav", noise(0.3, 31), RATE, subtype="FLOAT")
    (place / "in/broken.wav").write_bytes(b"RIFF")
    return place


def options(model: Path, place: Path, output: Path, **others: object) -> dict[str, object]:
    words = {"model": model, "query": place / "word.wav", "input": place / "in", "output": output}
    own = {"device": "cpu", "workers": 1, "store": {"root": str(place / "store")}}
    return {**{name: str(value) for name, value in words.items()}, **own, **others}


def rows_of(output: Path) -> list[dict[str, str]]:
    head, *lines = [line.split("\t") for line in output.read_text().splitlines()]
    return [dict(zip(head, line, strict=True)) for line in lines]


def test_a_hidden_word_is_found_and_other_recordings_are_set_aside(
    run_folder: Path, place: Path, tmp_path: Path
) -> None:
    output = tmp_path / "hits.tsv"
    find(options(run_folder, place, output))
    rows = rows_of(output)
    assert [*rows[0]] == ["query", "path", "start", "end", "score", "label"]
    assert {row["path"] for row in rows[:2]} == {str(place / "in" / name) for name in AT}
    for row in rows[:2]:
        at = AT[str(Path(row["path"]).relative_to(place / "in"))]
        assert float(row["start"]) == pytest.approx(at, abs=0.1)
        assert float(row["end"]) == pytest.approx(at + 0.6, abs=0.1)
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores[1] > scores[2]
    reasons = {Path(each.path).name: each.reason for each in read_rejected(tmp_path / "hits.tsv.rejected.tsv")}
    assert reasons.keys() == {"broken.wav", "short.wav"}
    assert "shorter than the query" in reasons["short.wav"]
    page = (tmp_path / "hits.html").read_text()
    assert page.count("<audio") == page.count("<svg") == 1 + len(rows)
    assert page.count("<select") == len(rows)
    script = re.search("<script>(.*?)</script>", page, re.DOTALL)
    assert script is not None
    hashed = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{hashed}'" in page  # browsers run no other script
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hits.html", "hits.tsv", "hits.tsv.rejected.tsv"]


@pytest.mark.parametrize("features", ["log_mel", pytest.param("mfcc", marks=pytest.mark.slow)])
def test_other_features_find_it_too(run_folder: Path, place: Path, tmp_path: Path, features: str) -> None:
    find(options(run_folder, place, tmp_path / "hits.parquet", features=features))
    rows = pq.read_table(tmp_path / "hits.parquet").to_pylist()
    assert {Path(row["path"]).name for row in rows[:2]} == {"a.wav", "b.wav"}
    assert rows[0]["start"] == pytest.approx(AT[str(Path(rows[0]["path"]).relative_to(place / "in"))], abs=0.05)


def test_states_find_a_whole_recording(run_folder: Path, place: Path, tmp_path: Path) -> None:
    query = {"query": str(place / "in/c.wav"), "trim_db": None}
    find(options(run_folder, place, tmp_path / "hits.json", features="states", **query))
    best = json.loads((tmp_path / "hits.json").read_text())[0]
    assert (Path(best["path"]).name, best["score"]) == ("c.wav", pytest.approx(1, abs=1e-3))
    assert (best["start"], best["end"]) == pytest.approx((0, 5), abs=0.1)


def test_queries_are_annotated_parts_and_files_of_a_folder(run_folder: Path, place: Path, tmp_path: Path) -> None:
    (queries := tmp_path / "queries").mkdir()
    shutil.copy(place / "in/a.wav", queries)
    audacity(queries, "a", [(2.0, 2.6, "word"), (0.5, 0.9, "noise")])
    shutil.copy(place / "word.wav", queries)
    (queries / "tiny.wav").write_bytes(b"")
    find(options(run_folder, place, tmp_path / "hits.tsv", query=str(queries), hits=2))
    rows, names = rows_of(tmp_path / "hits.tsv"), ("a.wav#t=0.5,0.9", "a.wav#t=2,2.6", "word.wav")
    assert [row["query"] for row in rows] == [str(queries / name) for name in names for _ in range(2)]
    assert Path(rows[0]["path"]).name == "a.wav"
    assert float(rows[0]["start"]) == pytest.approx(0.5, abs=0.05)
    aside = {Path(each.path).name for each in read_rejected(tmp_path / "hits.tsv.rejected.tsv")}
    assert aside == {"tiny.wav", "broken.wav", "short.wav"}
    find(options(run_folder, place, tmp_path / "one.tsv", query=str(queries / "a.wav"), hits=2))  # a folder of one
    assert [row["query"] for row in rows_of(tmp_path / "one.tsv")] == [
        str(queries / name) for name in names[:2] for _ in "12"
    ]


def test_places_are_written_for_other_programs_with_the_label_of_the_query(
    run_folder: Path, place: Path, tmp_path: Path
) -> None:
    (queries := tmp_path / "queries").mkdir()
    shutil.copy(place / "in/a.wav", queries)
    audacity(queries, "a", [(2.0, 2.6, "word")])
    given = {"query": str(queries), "hits": 2}
    find(options(run_folder, place, tmp_path / "hits.tsv", **given))
    rows = rows_of(tmp_path / "hits.tsv")
    assert [row["label"] for row in rows] == ["word", "word"]
    find(options(run_folder, place, tmp_path / "labels", format="audacity", **given))
    find(options(run_folder, place, tmp_path / "hits.selections.txt", **given))
    every = [path.read_text().split() for path in sorted((tmp_path / "labels").rglob("*.txt"))]
    tracks = [each for each in every if each]
    assert len(every) > len(tracks)  # recordings without a place have an empty file
    table = (tmp_path / "hits.selections.txt").read_text().splitlines()
    for row, (start, end, label) in zip(sorted(rows, key=lambda row: row["path"]), tracks, strict=True):
        assert (float(start), float(end), label) == (float(row["start"]), float(row["end"]), "word")
        assert any(row["path"] in line and "word" in line for line in table)


def test_a_killed_command_goes_on_to_the_same_bytes(
    run_folder: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find(options(run_folder, place, tmp_path / "whole.tsv"))
    own = {"store": {"root": str(tmp_path / "store")}}
    monkeypatch.setattr(job, "SHARD", 2)
    searched, work = list[str](), job.search_recording

    def interrupted(*arguments: object) -> object:
        searched.append("")
        if len(searched) == 3:
            raise KeyboardInterrupt
        return work(*arguments)  # type: ignore[arg-type]  # those of the function

    monkeypatch.setattr(job, "search_recording", interrupted)
    with pytest.raises(KeyboardInterrupt):
        find(options(run_folder, place, tmp_path / "hits.tsv", **own))
    assert not (tmp_path / "hits.tsv").exists()
    find(options(run_folder, place, tmp_path / "hits.tsv", **own))
    assert len(searched) == 6  # 2 before the interrupt, the one that it ended, and the 3 others
    for ending in (".tsv", ".tsv.rejected.tsv", ".html"):
        assert (tmp_path / f"hits{ending}").read_bytes() == (tmp_path / f"whole{ending}").read_bytes()


def test_outputs_that_cannot_be_are_refused_before_any_work(run_folder: Path, place: Path, tmp_path: Path) -> None:
    (tmp_path / "hits.html").write_text("the page of another table")
    for name, told in (
        ("hits.tsv", r"hits\.html exists"),
        ("x.txt", "format=audacity"),
        ("x.TextGrid", "format=textgrid"),
    ):
        with pytest.raises(InputError, match=told):
            find(options(run_folder, place, tmp_path / name, store={"root": str(tmp_path / "store")}))
    assert [path.name for path in tmp_path.iterdir()] == ["hits.html"]


def test_queries_and_recordings_that_are_too_short_are_refused(run_folder: Path, place: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "click.wav", 0.1 * np.ones(70), RATE)
    for option, short, told in (
        ("query", tmp_path / "click.wav", r"^query=.*\bcode\b"),
        ("input", place / "in/short.wav", r"^input=.*shorter than the query"),
    ):
        with pytest.raises(InputError, match=told):
            find(options(run_folder, place, tmp_path / "hits.tsv", **{option: str(short)}))
    assert "short.wav" in (tmp_path / "hits.tsv.rejected.tsv").read_text()
    assert not (tmp_path / "hits.tsv").exists()


def test_pages_are_drawn_whatever_display_a_notebook_has(run_folder: Path, place: Path, tmp_path: Path) -> None:
    words = (f"model={run_folder}", f"query={place / 'word.wav'}", f"input={place / 'in/a.wav'}", "workers=1")
    more = (f"output={tmp_path / 'hits.tsv'}", f"store.root={tmp_path / 'store'}", "device=cpu")
    done = python("-m", "pipelines.cli", "find", *words, *more, MPLBACKEND="module://matplotlib_inline.backend_inline")
    assert (done.returncode, (tmp_path / "hits.html").is_file()) == (0, True), done.stderr
