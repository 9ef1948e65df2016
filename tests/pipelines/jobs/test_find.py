"""``wordless find``: a sound that is hidden in recordings."""

import base64
import hashlib
import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from pipelines.plugins.find import places as job
from tests.pipelines.jobs.conftest import Calling, rows_of
from tests.rejected import read_rejected
from tests.wordless.audio.recordings.annotations.annotated_files import audacity
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError

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
    """A word, and recordings of which two have it."""
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


@pytest.fixture
def hits(call: Calling, place: Path) -> Calling:
    """Finds the word in the recordings, or what the options say; returns the table."""
    return partial(call, "find", query=place / "word.wav", input=place / "in")


def test_a_hidden_word_is_found_and_other_recordings_are_set_aside(hits: Calling, place: Path, tmp_path: Path) -> None:
    rows = rows_of(hits("hits.tsv"))
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
    assert {path.name for path in tmp_path.iterdir()} == {
        "hits.html", "hits.tsv", "hits.tsv.account.tsv", "hits.tsv.rejected.tsv", "store"
    }  # fmt: skip


@pytest.mark.parametrize("features", ["log_mel", pytest.param("mfcc", marks=pytest.mark.slow)])
def test_other_features_find_it_too(hits: Calling, place: Path, features: str) -> None:
    rows = pq.read_table(hits("hits.parquet", features=features)).to_pylist()
    assert {Path(row["path"]).name for row in rows[:2]} == {"a.wav", "b.wav"}
    assert rows[0]["start"] == pytest.approx(AT[str(Path(rows[0]["path"]).relative_to(place / "in"))], abs=0.05)


def test_states_find_a_whole_recording(hits: Calling, place: Path) -> None:
    table = hits("hits.json", features="states", query=place / "in/c.wav", trim_db=None)
    best = json.loads(table.read_text())[0]
    assert (Path(best["path"]).name, best["score"]) == ("c.wav", pytest.approx(1, abs=1e-3))
    assert (best["start"], best["end"]) == pytest.approx((0, 5), abs=0.1)


def test_queries_are_annotated_parts_and_files_of_a_folder(hits: Calling, place: Path, tmp_path: Path) -> None:
    (queries := tmp_path / "queries").mkdir()
    shutil.copy(place / "in/a.wav", queries)
    audacity(queries, "a", [(2.0, 2.6, "word"), (0.5, 0.9, "noise")])
    shutil.copy(place / "word.wav", queries)
    (queries / "tiny.wav").write_bytes(b"")
    rows, names = rows_of(hits("hits.tsv", query=queries, hits=2)), ("a.wav#t=0.5,0.9", "a.wav#t=2,2.6", "word.wav")
    assert [row["query"] for row in rows] == [str(queries / name) for name in names for _ in range(2)]
    assert Path(rows[0]["path"]).name == "a.wav"
    assert float(rows[0]["start"]) == pytest.approx(0.5, abs=0.05)
    aside = {Path(each.path).name for each in read_rejected(tmp_path / "hits.tsv.rejected.tsv")}
    assert aside == {"tiny.wav", "broken.wav", "short.wav"}
    rows = rows_of(hits("one.tsv", query=queries / "a.wav", hits=2))  # a folder of one
    assert [row["query"] for row in rows] == [str(queries / name) for name in names[:2] for _ in "12"]


def test_places_are_written_for_other_programs_with_the_label_of_the_query(
    hits: Calling, place: Path, tmp_path: Path
) -> None:
    (queries := tmp_path / "queries").mkdir()
    shutil.copy(place / "in/a.wav", queries)
    audacity(queries, "a", [(2.0, 2.6, "word")])
    given = {"query": queries, "hits": 2}
    rows = rows_of(hits("hits.tsv", **given))
    assert [row["label"] for row in rows] == ["word", "word"]
    labels = hits("labels", format="audacity", **given)
    every = [path.read_text().split() for path in sorted(labels.rglob("*.txt"))]
    tracks = [each for each in every if each]
    assert len(every) > len(tracks)  # recordings without a place have an empty file
    table = hits("hits.selections.txt", **given).read_text().splitlines()
    for row, (start, end, label) in zip(sorted(rows, key=lambda row: row["path"]), tracks, strict=True):
        assert (float(start), float(end), label) == (float(row["start"]), float(row["end"]), "word")
        assert any(row["path"] in line and "word" in line for line in table)


def test_a_killed_command_goes_on_to_the_same_bytes(
    hits: Calling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits("whole.tsv", store={"root": str(tmp_path / "other")})
    monkeypatch.setattr(job, "SHARD", 2)
    searched, work = list[str](), job.search_recording

    def interrupted(*arguments: object) -> object:
        searched.append("")
        if len(searched) == 3:
            raise KeyboardInterrupt
        return work(*arguments)  # type: ignore[arg-type]  # those of the function

    monkeypatch.setattr(job, "search_recording", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hits("hits.tsv")
    assert not (tmp_path / "hits.tsv").exists()
    hits("hits.tsv")
    assert len(searched) == 6  # 2 before the interrupt, the one that it ended, and the 3 others
    for ending in (".tsv", ".tsv.rejected.tsv", ".html"):
        assert (tmp_path / f"hits{ending}").read_bytes() == (tmp_path / f"whole{ending}").read_bytes()


def test_outputs_that_cannot_be_are_refused_before_any_work(hits: Calling, tmp_path: Path) -> None:
    (tmp_path / "hits.html").write_text("the page of another table")
    for name, told in (
        ("hits.tsv", r"hits\.html exists"),
        ("x.txt", "format=audacity"),
        ("x.TextGrid", "format=textgrid"),
    ):
        with pytest.raises(InputError, match=told):
            hits(name)
    assert [path.name for path in tmp_path.iterdir()] == ["hits.html"]


def test_queries_and_recordings_that_are_too_short_are_refused(hits: Calling, place: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "click.wav", 0.1 * np.ones(70), RATE)
    for option, short, told in (
        ("query", tmp_path / "click.wav", r"^query=.*\bcode\b"),
        ("input", place / "in/short.wav", r"^input=.*shorter than the query"),
    ):
        with pytest.raises(InputError, match=told):
            hits("hits.tsv", **{option: short})
    assert "short.wav" in (tmp_path / "hits.tsv.rejected.tsv").read_text()
    assert not (tmp_path / "hits.tsv").exists()
