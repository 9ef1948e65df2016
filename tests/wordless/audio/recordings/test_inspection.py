"""Inspection: unfit files are set aside with the reason, alike with any number of workers, and heard only once."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from tests.hostile.audio_files import wav, write_honest_files, write_hostile_files
from tests.hostile.codes_files import hostile_tables, outcome
from tests.hostile.measured import at_most_seconds, measured, write_special_files
from tests.wordless.audio.conftest import Tone, inspected
from wordless.audio.decoding import file_key
from wordless.audio.reading import mono
from wordless.audio.recordings.checks import CONFLICTING, without_duplicates
from wordless.audio.recordings.inspection import Inspected, InspectionConfig, measure_recording
from wordless.audio.recordings.manifest import Clip, Clips, Rejected
from wordless.audio.waveform import LOUDEST
from wordless.base.files import file_hash
from wordless.base.messages import InputError


@pytest.fixture
def folder(tmp_path: Path, tone: Tone) -> Path:
    good = tone("in/good.wav", seconds=0.2).read_bytes()
    flac = tone("in/cut.flac", seconds=0.5)
    flac.write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])
    tone("in/short.wav", seconds=0.02)
    folder = tmp_path / "in"
    (folder / "same.wav").write_bytes(good)
    (folder / "text.wav").write_text("no sound")
    (folder / "zero_bytes.wav").write_bytes(b"")
    soundfile.write(folder / "zero_samples.wav", np.empty(0), 8_000)
    soundfile.write(folder / "silent.wav", np.zeros(4_000), 8_000)
    for name, value in (("nan.wav", np.nan), ("infinite.wav", np.inf)):
        soundfile.write(folder / name, np.append(np.full(4_000, 0.1), value), 8_000, subtype="FLOAT")
    return folder


def usable(folder: Path) -> Inspected:
    fit, rejected = inspected(folder)
    kept, copies = without_duplicates(Clips.from_columns(folder, {"path": [*fit]}), fit)
    return {path: fit[path] for path in kept.frame.path}, (*rejected, *copies)


def test_another_sound_of_the_same_size_and_time_is_measured(tmp_path: Path, tone: Tone) -> None:
    """As rsync -a, tar and DVC place files."""
    path, other, cache = tone("a.wav", seconds=0.2), tone("b.wav", seconds=0.2), tmp_path / "inspected"
    os.utime(path, (1e9, 1e9))
    before, _ = inspected(tmp_path, ["a.wav"], cache=cache)
    path.write_bytes(other.read_bytes())
    os.utime(path, (1e9, 1e9))
    after, _ = inspected(tmp_path, ["a.wav"], cache=cache)
    assert before["a.wav"].size == after["a.wav"].size
    assert after["a.wav"].sha256 == file_hash(path) != before["a.wav"].sha256


def test_another_decoder_measures_anew(tone: Tone, monkeypatch: pytest.MonkeyPatch) -> None:
    key = file_key(path := tone("a.wav"))
    monkeypatch.setattr(av, "__version__", "another")
    assert file_key(path) != key


def test_the_cache_has_the_permissions_that_the_user_gives_new_files(tmp_path: Path, tone: Tone) -> None:
    tone("a.wav", seconds=0.2)
    mask = os.umask(0o007)
    try:
        inspected(tmp_path, cache=tmp_path / "inspected")
    finally:
        os.umask(mask)
    assert (tmp_path / "inspected").stat().st_mode & 0o777 == 0o660


def test_each_unfit_file_has_its_reason(folder: Path) -> None:
    fit, rejected = usable(folder)
    assert list(fit) == ["good.wav"]
    assert (fit["good.wav"].num_samples, fit["good.wav"].sample_rate) == (1_600, 8_000)
    assert fit["good.wav"].size == (folder / "good.wav").stat().st_size
    reasons = {each.path: each.reason for each in rejected}
    assert re.search("decoded|damaged", reasons.pop("cut.flac"))
    assert "decoded" in reasons.pop("text.wav")
    facts = {
        "infinite.wav": "not finite", "nan.wav": "not finite", "same.wav": r"duplicate.*\bgood\.wav",
        "short.wav": r"short.*\b0\.020 s\b.*\b0\.05 s", "silent.wav": r"silent.*\b0\.0001\b",
        "zero_bytes.wav": "empty", "zero_samples.wav": "empty",
    }  # fmt: skip
    assert reasons.keys() == facts.keys()
    assert all(re.search(facts[name], reason) for name, reason in reasons.items()), reasons


def write_twins(folder: Path, twins: dict[str, dict[str, Any]], *, channels: int = 1) -> npt.NDArray[np.int16]:
    samples = np.random.default_rng(0).integers(-20_000, 20_000, (4_000, 1)).astype(np.int16).repeat(channels, axis=1)
    for name, options in twins.items():
        of_floats = options.get("subtype") in ("FLOAT", "DOUBLE")
        soundfile.write(folder / name, samples / 32_768 if of_floats else samples, 8_000, **options)
    return samples


TWINS: dict[str, dict[str, Any]] = {
    "a.flac": {}, "b.wav": {}, "c.aiff": {}, "d.au": {}, "e.caf": {}, "f.w64": {}, "g.sph": {"format": "NIST"},
    "h.wav": {"format": "NIST"},  # as in TIMIT
    "i.wav": {"subtype": "PCM_24"},
    "j.flac": {"subtype": "PCM_24"},
    "k.wav": {"subtype": "FLOAT"},
    "l.wav": {"subtype": "DOUBLE"},
}  # fmt: skip


def test_the_same_samples_in_other_files_are_duplicates(tmp_path: Path) -> None:
    """Another format, other tags, more bits and equal channels are the same sound; another rate or end is not."""
    samples = write_twins(tmp_path, TWINS)
    write_twins(tmp_path, {"m.wav": {}, "n.flac": {}}, channels=2)
    with soundfile.SoundFile(tmp_path / "o.flac", "w", 8_000, 1) as tagged:
        tagged.title = "another title"
        tagged.write(samples)
    soundfile.write(tmp_path / "other rate.wav", samples, 16_000)
    soundfile.write(tmp_path / "other end.wav", samples[:-1], 8_000)
    fit, rejected = usable(tmp_path)
    assert set(fit) == {"a.flac", "other rate.wav", "other end.wav"}
    assert len(rejected) == len(TWINS) + 2
    assert all("a.flac" in each.reason for each in rejected)


def test_blocks_of_any_size_and_minus_zero_give_the_same_hash(tmp_path: Path) -> None:
    mono = np.random.default_rng(0).integers(-20_000, 20_000, (100_003, 1)).astype(np.int16)
    zeros = np.tile(np.array([0.5, -0.0, 0.0], np.float32), 1_000)
    for name, samples, subtype in (
        *(("a.wav", mono, "PCM_16"), ("b.wav", mono.repeat(8, axis=1), "PCM_16")),
        *(("c.wav", zeros, "FLOAT"), ("d.flac", zeros, "PCM_16")),
    ):
        soundfile.write(tmp_path / name, samples, 8_000, subtype=subtype)
    assert set(usable(tmp_path)[0]) == {"a.wav", "c.wav"}


def test_equal_samples_of_different_labels_groups_and_splits_are_told(tmp_path: Path) -> None:
    write_twins(tmp_path, {"a.flac": {}, "b.wav": {}})
    fit, _ = inspected(tmp_path)
    cat = Clip(path="a.flac", label="cat", group="ann", split="train")
    dog = Clip(path="b.wav", label="dog", group="ann", split="test")
    _, (found,) = without_duplicates(Clips.from_rows(tmp_path, [cat, dog]), fit)
    assert all(each in found.reason for each in ("cat", "dog", "train", "test", "a.flac"))
    assert found.kind == CONFLICTING
    assert "ann" not in found.reason
    others = [Clip(path="a.flac"), replace(dog, label=None, split="")]
    _, (unknown,) = without_duplicates(Clips.from_rows(tmp_path, others), fit)
    assert unknown.kind != CONFLICTING


def test_what_no_front_end_can_hear_is_set_aside(tmp_path: Path) -> None:
    too_loud = {"1e19.wav": 1e19, "just_too_loud.wav": LOUDEST + 1, "minus.wav": -3e38}
    for name, value in {**too_loud, "loud.wav": LOUDEST}.items():
        soundfile.write(tmp_path / name, np.append(np.full(4_000, 0.1), value), 8_000, subtype="FLOAT")
    overflowing = np.full((4_000, 2), 3e38)  # each sample is finite, and the sum of two is not
    soundfile.write(tmp_path / "sum.wav", overflowing, 8_000, subtype="FLOAT")
    fit, rejected = inspected(tmp_path)
    assert list(fit) == ["loud.wav"]
    assert {each.path for each in rejected} == {*too_loud, "sum.wav"}
    for value in too_loud.values():  # arrays have the same limit
        with pytest.raises(InputError):
            mono(np.array([0.1, value]))
    assert mono(np.array([LOUDEST]))[0] == LOUDEST


def test_a_rate_that_no_recording_has_is_set_aside(tmp_path: Path) -> None:
    rates = {"0.wav": 0, "1.wav": 1, "slow.wav": 999, "low.wav": 1_000, "high.wav": 1_000_000, "fast.wav": 1_000_001}
    rates["2e9.wav"] = 2_000_000_000
    for name, rate in rates.items():
        (tmp_path / name).write_bytes(wav(rate=rate, samples=60_000))
    fit, rejected = inspected(tmp_path)
    assert set(fit) == {"1.wav", "slow.wav", "low.wav", "high.wav"}
    reasons = {each.path: each.reason for each in rejected}
    assert "2000000000 Hz" in reasons["2e9.wav"]


def test_what_is_not_a_regular_file_is_set_aside_and_never_waited_for(tmp_path: Path) -> None:
    for name, kind in write_special_files(tmp_path).items():
        with at_most_seconds(10):
            found = measure_recording(tmp_path, name)
        assert isinstance(found, Rejected)
        assert kind in found.reason


def test_workers_change_nothing_and_progress_counts_every_file(folder: Path) -> None:
    alone, names = inspected(folder), [path.name for path in folder.iterdir()]
    assert inspected(folder, names[::-1], workers=4) == alone
    seen: list[tuple[int, int]] = []
    inspected(folder, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, len(names)) for done in range(1, len(names) + 1)]


def test_what_was_heard_is_judged_again_without_listening(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "inspection.jsonl"
    first = inspected(folder, cache=cache)
    content = cache.read_text()
    assert "good.wav" in content
    assert "text.wav" not in content  # what could not be decoded is tried again
    assert inspected(folder, cache=cache) == first
    fit, _ = inspected(folder, config=InspectionConfig(min_seconds=0.01), cache=cache)
    assert list(fit) == ["good.wav", "same.wav", "short.wav"]
    assert cache.read_text() == content


@pytest.mark.parametrize("damage", [lambda content: content[:-300], lambda _: b"[" * 100_000], ids=["cut", "nested"])
def test_a_damaged_cache_is_mended(damage: Callable[[bytes], bytes], folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "inspection.jsonl"
    whole = inspected(folder, cache=cache)
    cache.write_bytes(damage(cache.read_bytes()))
    assert inspected(folder, cache=cache) == whole
    mended = cache.read_text()
    assert inspected(folder, cache=cache) == whole
    assert cache.read_text() == mended
    assert "good.wav" in mended


@pytest.mark.parametrize("name", ["tab\there.wav", "line\nbreak.wav"])
def test_names_that_no_manifest_can_hold_are_set_aside(tmp_path: Path, tone: Tone, name: str) -> None:
    tone("a.wav").rename(tmp_path / name)
    assert "rename" in inspected(tmp_path)[1][0].reason


READ = """
import json, sys
from contextlib import suppress
from pathlib import Path
from wordless.base.messages import InputError
from wordless.audio.recordings.inspection import InspectionConfig, inspect
from wordless.audio.reading import read, read_beginning
root, *paths = sys.argv[1:]
fit, rejected = inspect(Path(root), paths, InspectionConfig())
for path in paths:
    for reading in (lambda: read(Path(root, path), 16_000), lambda: read_beginning(Path(root, path), 16_000, 1.0)):
        with suppress(InputError):
            reading()
Path(root, "reasons.json").write_text(json.dumps({each.path: each.reason for each in rejected}))
"""


def test_a_sample_of_hostile_files_is_sorted_out(tmp_path: Path) -> None:
    honest = write_honest_files(tmp_path)
    hostile = write_hostile_files(tmp_path, every=40)
    fit, rejected = inspected(tmp_path, [*honest, *hostile], workers=2)
    refused = {each.path: each.reason for each in rejected}
    assert set(honest) <= fit.keys()
    assert fit.keys() | refused.keys() == {*honest, *hostile}
    assert all(refused.values())
    assert len(refused) > 20


def test_nothing_is_allocated_by_what_a_header_declares(tmp_path: Path) -> None:
    """A file of 10 KB that declared 2 GHz took 16 GB."""
    lies = {
        "rate.wav": {"rate": 2_000_000_000},
        "channels.wav": {"channels": 1_024, "rate": 1_000_000},
        "size.wav": {"data_size": 2**32 - 1, "rate": 1_000_000},
        "bits.wav": {"bits": 32, "channels": 1_024, "rate": 999_983},
    }
    (tmp_path / "honest.wav").write_bytes(wav(samples=8_000))
    for name, lie in lies.items():
        (tmp_path / name).write_bytes(wav(data=bytes(range(256)) * 64, **lie))
    alone = measured("-c", READ, str(tmp_path), "honest.wav", seconds=60)
    together = measured("-c", READ, str(tmp_path), "honest.wav", *lies, seconds=60)
    assert (alone.returncode, together.returncode) == (0, 0), together.stderr
    assert together.peak - alone.peak <= 200e6
    reasons = json.loads((tmp_path / "reasons.json").read_text())
    assert "2000000000 Hz" in reasons["rate.wav"]


def test_a_sample_of_hostile_tables_is_read_or_refused(tmp_path: Path) -> None:
    write_honest_files(tmp_path / "honest")
    outcomes = {outcome(tmp_path / "honest", tmp_path, *table) for table in hostile_tables(seed=0)[::12]}
    assert outcomes == {"read", "refused"}
