"""``wordless bench find``: average precision by hand, and all features on words of three people."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.bench import bench
from pipelines.benchmarks.find import FEATURES, Joined, average_precision
from tests.pipelines.tiny import sweep
from wordless.audio.matching import Match
from wordless.base.errors import InputError


def hit(frame: int, cost: float) -> Match:
    return Match(start=frame, stop=frame + 2, cost=cost)


def test_average_precision_by_hand() -> None:
    ends = np.array([100, 200, 300, 400])  # words of ten frames
    one = Joined(samples=np.zeros(400, np.float32), ends=ends, labels=("cat", "dog", "cat", "dog"))
    other = Joined(samples=np.zeros(400, np.float32), ends=ends, labels=("dog", "dog", "dog", "cat"))
    found = [(one, [hit(24, 0.1), hit(26, 0.3), hit(14, 0.4)]), (other, [hit(4, 0.2), hit(33, 0.5)])]
    # right, wrong, the same word again, wrong, right; one of three words is not found
    assert average_precision("cat", found, 10) == pytest.approx((1 / 1 + 2 / 5) / 3)
    assert average_precision("bird", found, 10) == 0


def words(place: Path) -> Path:
    lines = ["path\tlabel\tgroup\tsplit"]
    for person in range(3):
        for number, label in enumerate(("low", "high")):
            soundfile.write(
                place / f"{label}{person}.wav", sweep(0.3 + 0.05 * person, 4000, low=150 + 400 * number), 4000
            )
            lines.append(f"{label}{person}.wav\t{label}\tp{person}\ttest")
    (place / "words.tsv").write_text("\n".join(lines) + "\n")
    return place / "words.tsv"


@pytest.mark.slow
def test_all_features_are_measured_on_other_people(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, output = words(tmp_path), tmp_path / "find.json"
    bench({"what": "find", "model": str(run_folder), "input": str(table), "output": str(output)})
    measured = json.loads(output.read_text())
    assert [row["features"] for row in measured["find"]] == [*FEATURES]
    of = {row["features"]: row["by_person"] for row in measured["find"]}
    assert all(len(each) == 3 and 0 <= min(each) <= max(each) <= 1 for each in of.values())
    assert np.mean(of["log_mel"]) > 0.9
    assert "mean average precision" in capsys.readouterr().out


def test_wrong_tables_are_refused(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^what=find\b.*input="):
        bench({"what": "find", "model": str(run_folder), "input": str(tmp_path / "none.tsv")})
    table = words(tmp_path)
    given = {"what": "find", "model": str(run_folder), "input": str(table)}
    with pytest.raises(InputError, match=r"^split=train\b"):
        bench({**given, "split": "train"})
    table.write_text("path\tlabel\n")
    with pytest.raises(InputError, match=r"^input=.*\bgroup, split\b"):
        bench(given)
