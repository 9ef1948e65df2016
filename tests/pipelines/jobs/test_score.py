"""``wordless score``: a line and a row for each recording."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lm.model import LanguageModel
from tests.pipelines.jobs.conftest import Calling, rows_of
from tests.rejected import read_rejected
from tokenizer.tokenizer import Tokenizer
from wordless.base.messages import InputError


def test_lines_and_tables_hold_the_probabilities_of_what_can_be_read(
    call: Calling, run_folder: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("scores.tsv", "scores.json", "scores.parquet"):
        call("score", name)
    (broken := tmp_path / "broken.wav").write_bytes(b"RIFF")
    call("score", "scores.txt", input=f"[{recordings / 'a.wav'},{broken}]")
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
    assert rows_of(tmp_path / "scores.tsv") == [{name: str(value) for name, value in row.items()} for row in rows]
    assert (tmp_path / "scores.txt").read_text() == f"a {-rows[0]['nats_per_code']}\n"
    assert capsys.readouterr().out.splitlines()[1].split()[0] == f"{rows[0]['log_probability']:.1f}"


def test_names_that_the_output_cannot_hold_are_refused(call: Calling, recordings: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'a'.*\b2 recordings\b.*\.tsv\b"):
        call("score", "scores.txt")
    spoilt = tmp_path / "spo\udcffilt"
    spoilt.mkdir()
    for name in ("one word.wav", "b.wav"):
        (spoilt / name).write_bytes((recordings / "a.wav").read_bytes())
    with pytest.raises(InputError, match=r"UTF-8\b.*\bfolder\b"):
        call("score", "scores.parquet", input=spoilt)
    plain = spoilt.rename(tmp_path / "plain")
    with pytest.raises(InputError, match=r"'one word'.*\bspace"):
        call("score", "scores.txt", input=plain)
