"""Inspection: unfit files are set aside with the reason, alike with any number of workers, and heard only once."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio.errors import InputError
from audio.inspection import InspectionConfig, inspect
from tests.audio.conftest import Tone


@pytest.fixture
def folder(tmp_path: Path, tone: Tone) -> Path:
    """A good recording, and one for each thing that can be wrong."""
    good = tone("good.wav", seconds=0.2).read_bytes()
    (tmp_path / "same.wav").write_bytes(good)
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "zero_bytes.wav").write_bytes(b"")
    flac = tone("cut.flac", seconds=0.5)
    flac.write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])
    soundfile.write(tmp_path / "zero_samples.wav", np.empty(0), 8_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(4_000), 8_000)
    soundfile.write(tmp_path / "opposed.wav", np.array([[0.5, -0.5]] * 4_000), 8_000)
    for name, value in (("nan.wav", np.nan), ("infinite.wav", np.inf)):
        soundfile.write(tmp_path / name, np.append(np.full(4_000, 0.1), value), 8_000, subtype="FLOAT")
    tone("short.wav", seconds=0.02)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".wav", ".flac"))


def test_each_unfit_file_has_its_reason(folder: Path) -> None:
    fit, rejected = inspect(folder, names(folder), InspectionConfig())
    assert list(fit) == ["good.wav"]
    assert (fit["good.wav"].num_samples, fit["good.wav"].sample_rate) == (1_600, 8_000)
    assert fit["good.wav"].size == (folder / "good.wav").stat().st_size
    reasons = {each.path: each.reason for each in rejected}
    assert reasons.pop("cut.flac").startswith(("cannot be decoded", "damaged"))
    assert reasons == {
        "infinite.wav": "holds values that are not finite",
        "nan.wav": "holds values that are not finite",
        "opposed.wav": "silent: no sample exceeds 0.0001 of full scale",
        "same.wav": "duplicate of good.wav",
        "short.wav": "too short: 0.020 s, less than 0.05 s",
        "silent.wav": "silent: no sample exceeds 0.0001 of full scale",
        "text.wav": "cannot be decoded: Format not recognised",
        "zero_bytes.wav": "empty",
        "zero_samples.wav": "empty",
    }


def test_a_compressed_file_with_a_hole_is_damaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "hole.ogg", np.random.default_rng(0).uniform(-0.4, 0.4, 220_500), 44_100)
    sound = (tmp_path / "hole.ogg").read_bytes()
    (tmp_path / "hole.ogg").write_bytes(sound[:16_000] + bytes(5_000) + sound[21_000:])
    _, rejected = inspect(tmp_path, ["hole.ogg"], InspectionConfig())
    assert "of its 220500 samples can be decoded" in rejected[0].reason


def test_workers_change_nothing(folder: Path) -> None:
    alone = inspect(folder, names(folder), InspectionConfig())
    assert inspect(folder, names(folder)[::-1], InspectionConfig(), workers=4) == alone


def test_what_was_heard_is_not_heard_again(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "inspection.jsonl"
    first = inspect(folder, names(folder), InspectionConfig(), cache=cache)
    content = cache.read_bytes()
    assert inspect(folder, names(folder), InspectionConfig(), cache=cache) == first
    assert cache.read_bytes() == content


def test_a_cache_that_a_kill_cut_short_is_mended(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "inspection.jsonl"
    whole = inspect(folder, names(folder), InspectionConfig(), cache=cache)
    cache.write_bytes(cache.read_bytes()[:-300])
    assert inspect(folder, names(folder), InspectionConfig(), cache=cache) == whole
    length = cache.stat().st_size
    assert inspect(folder, names(folder), InspectionConfig(), cache=cache) == whole
    assert cache.stat().st_size == length


def test_a_changed_file_is_heard_again(tmp_path: Path, tone: Tone) -> None:
    cache = tmp_path / "inspection.jsonl"
    tone("a.wav", seconds=0.2)
    inspect(tmp_path, ["a.wav"], InspectionConfig(), cache=cache)
    tone("a.wav", seconds=0.3)
    fit, _ = inspect(tmp_path, ["a.wav"], InspectionConfig(), cache=cache)
    assert fit["a.wav"].num_samples == 2_400


def test_what_could_not_be_decoded_is_tried_again(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "inspection.jsonl"
    inspect(folder, names(folder), InspectionConfig(), cache=cache)
    assert "good.wav" in cache.read_text()
    assert "text.wav" not in cache.read_text()


def test_other_thresholds_judge_the_kept_measurements(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "inspection.jsonl"
    inspect(folder, names(folder), InspectionConfig(), cache=cache)
    length = cache.stat().st_size
    fit, _ = inspect(folder, names(folder), InspectionConfig(min_seconds=0.01), cache=cache)
    assert list(fit) == ["good.wav", "short.wav"]
    assert cache.stat().st_size == length


def test_a_measurement_of_before_ends_were_cut_off_is_made_anew(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "inspection.jsonl"
    whole = inspect(folder, names(folder), InspectionConfig(), cache=cache)
    entries = [json.loads(line) for line in cache.read_text().splitlines() if line]
    for entry in entries:
        del entry["found"]["edges"]
    cache.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    assert inspect(folder, names(folder), InspectionConfig(), cache=cache) == whole
    length = cache.stat().st_size
    assert inspect(folder, names(folder), InspectionConfig(), cache=cache) == whole
    assert cache.stat().st_size == length


def test_progress_counts_every_file(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    inspect(folder, names(folder), InspectionConfig(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, len(names(folder))) for done in range(1, len(names(folder)) + 1)]


@pytest.mark.parametrize("name", ["tab\there.wav", "line\nbreak.wav"])
def test_names_that_no_manifest_can_hold_are_set_aside(tmp_path: Path, tone: Tone, name: str) -> None:
    tone("a.wav").rename(tmp_path / name)
    _, rejected = inspect(tmp_path, [name], InspectionConfig())
    assert "rename it" in rejected[0].reason


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(InputError, match=r"corpus\.inspection\.min_seconds is -1"):
        InspectionConfig(min_seconds=-1)
