"""Segments: what a long recording is cut into, what tables name of it, and how the pieces are divided."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.wordless.audio.conftest import ALL_TRAIN, corpus_config, train_all
from wordless.audio.recordings.corpus import build_manifest, cut
from wordless.audio.recordings.inspection import InspectionConfig, inspect
from wordless.audio.recordings.manifest import SPLITS
from wordless.audio.recordings.splits import SplitConfig, division_notices
from wordless.audio.waveform import Part

RATE = 8_000


def record(path: Path, *stretches: tuple[float, float]) -> Path:
    rng = np.random.default_rng(crc32(path.name.encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = [peak * rng.uniform(-1, 1, round(seconds * RATE)) for seconds, peak in stretches]
    soundfile.write(path, np.concatenate(noise), RATE)
    return path


@given(
    st.integers(0, 10**6),
    st.integers(1, 10**6),
    st.sampled_from([1_000, 8_000, 11_025, 44_100]),
    st.floats(0.01, 100),
    st.floats(0, 0.9),
)
def test_segments_hold_every_sample_in_time(start: int, count: int, rate: int, seconds: float, overlap: float) -> None:
    overlap *= seconds
    if count > 50 * (seconds - overlap) * rate:
        return
    parts = cut(Part(start=start, num_samples=count), rate, seconds=seconds, overlap=overlap)
    ends = [part.start + part.num_samples for part in parts]
    assert parts[0].start == start
    assert ends[-1] == start + count
    assert all(part.num_samples > 0 for part in parts)
    assert all(after.start <= end for after, end in zip(parts[1:], ends, strict=False))
    assert all(abs(part.num_samples - seconds * rate) <= 1 for part in parts[:-1])
    step = (seconds - overlap) * rate
    if step >= 1:
        assert all(abs(part.start - start - number * step) <= 0.5 for number, part in enumerate(parts))
    if overlap == 0:
        assert sum(part.num_samples for part in parts) == count or step < 1


MIXED = ((2, 0.5), (3, 0.0), (2, 0.01), (1.02, 0.5))  # seconds and peaks


@pytest.mark.parametrize(
    ("stretches", "options", "kept", "left_out"),
    [
        (MIXED, {"segment_seconds": 1.0}, [(0, 1), (1, 2), (5, 6), (6, 7), (7, 8)], [3, 1]),
        (MIXED, {"segment_seconds": 1.0, "segment_silence_dbfs": -30.0}, [(0, 1), (1, 2), (7, 8)], [5, 1]),
        (MIXED, {"segment_seconds": 2.0, "segment_silence_dbfs": -30.0}, [(0, 2), (6, 8)], [2, 1]),
        ([(2.02, 0.5)], {"segment_seconds": 1.0}, [(0, 1), (1, 2)], [1]),  # a rest too short to be a recording
        ([(2.02, 0.5)], {"segment_seconds": 1.0, "inspection": InspectionConfig(min_seconds=0)},
         [(0, 1), (1, 2), (2, 2.02)], []),
        ([(0.5, 0.0), (2.0, 0.5), (1.0, 0.0)], {"segment_seconds": 1.0, "inspection": InspectionConfig(trim_db=40)},
         [(0.5, 1.5), (1.5, 2.5)], []),  # silent ends are cut off before
    ],
)  # fmt: skip
def test_silent_and_short_segments_are_counted_and_other_lengths_need_no_second_listening(
    tmp_path: Path,
    stretches: Sequence[tuple[float, float]],
    options: dict[str, Any],
    kept: list[tuple[float, float]],
    left_out: list[int],
) -> None:
    record(tmp_path / "in" / "a.wav", *stretches)
    cache, whole = tmp_path / "inspected.jsonl", corpus_config(tmp_path, root="in", split=ALL_TRAIN)
    build_manifest(whole, inspector=partial(inspect, cache=cache))
    heard = cache.read_bytes()
    manifest, rejected = build_manifest(replace(whole, **options), inspector=partial(inspect, cache=cache))
    assert [clip.span for clip in manifest.clips] == kept
    assert [(each.path, each.segments) for each in rejected] == [("a.wav", count) for count in left_out]
    assert cache.read_bytes() == heard


def test_one_recording_is_divided_in_stretches_of_time(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", (20.0, 0.5))
    manifest, rejected = build_manifest(corpus_config(tmp_path, segment_seconds=1.0))
    borders = {split: (clips[0].span, clips[-1].span, len(clips)) for split in SPLITS if (clips := manifest.of(split))}
    assert borders == {
        "train": ((0.0, 1.0), (15.0, 16.0), 16),
        "validation": ((16.0, 17.0), (17.0, 18.0), 2),
        "test": ((18.0, 19.0), (19.0, 20.0), 2),
    }
    assert not rejected
    (notice,) = division_notices(manifest, SplitConfig())
    assert "3 splits" in notice
    assert "other recordings" in notice


def test_no_sound_stands_in_two_splits_where_segments_overlap(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", (20.0, 0.5))
    manifest, rejected = build_manifest(corpus_config(tmp_path, segment_seconds=2.0, segment_overlap_seconds=1.5))
    last = {split: max(clip.start + clip.num_samples for clip in manifest.of(split)) for split in SPLITS}
    first = {split: min(clip.start for clip in manifest.of(split)) for split in SPLITS}
    assert last["train"] <= first["validation"]
    assert last["validation"] <= first["test"]
    assert len(manifest.clips) + len(rejected) == 37
    told = {each.reason for each in rejected}
    assert len(told) == 2
    assert all(any(re.search(rf"overlap.*\b{split}\b", reason) for reason in told) for split in ("validation", "test"))


def test_each_label_of_one_recording_stands_in_every_split(tmp_path: Path) -> None:
    """Half of the recording is of one label, the other half of another one; a third label is too rare to be divided."""
    record(tmp_path / "a.wav", (42.0, 0.5))
    labels = [*20 * ["day"], *20 * ["night"], *2 * ["dusk"]]
    rows = [f"a.wav,{second},{second + 1},{label}" for second, label in enumerate(labels)]
    (tmp_path / "t.csv").write_text("\n".join(["path,start,end,label", *rows]))
    manifest, rejected = build_manifest(corpus_config(tmp_path, table="t.csv"))
    found = {split: Counter(clip.label for clip in manifest.of(split)) for split in SPLITS}
    assert found["train"] == {"day": 16, "night": 16, "dusk": 2}
    assert found["validation"] == found["test"] == {"day": 2, "night": 2}
    assert [clip.start for clip in manifest.of("test")] == [RATE * second for second in (18, 19, 38, 39)]
    assert not rejected


def test_two_recordings_are_divided_in_time_and_four_are_not(tmp_path: Path) -> None:
    found = []
    for names in ("ab", "cd"):
        for name in names:
            record(tmp_path / f"{name}.wav", (10.0, 0.5))
        manifest, _ = build_manifest(corpus_config(tmp_path, segment_seconds=1.0))
        found.append([Counter(clip.path for clip in manifest.of(split)) for split in SPLITS])
    assert found[0] == [{"a.wav": count, "b.wav": count} for count in (8, 1, 1)]
    assert [sorted(of_split.values()) for of_split in found[1]] == [[10, 10], [10], [10]]


def test_a_table_names_parts_of_a_recording(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", (10.0, 0.5))
    record(tmp_path / "b.wav", (1.0, 0.5))
    (tmp_path / "t.csv").write_text(
        "path,start,end,label\na.wav,2.5,4,up\na.wav,0,2.5,down\na.wav,4,10.05,up\nb.wav,,,down\na.wav,9.9,10.5,up\n"
        "a.wav,12,13,up\n"
    )
    manifest, rejected = train_all(tmp_path, table="t.csv", most_rejected=0.5)
    assert [(clip.name, clip.label, clip.segment) for clip in manifest.clips] == [
        ("a.wav#t=0,2.5", "down", 0),
        ("a.wav#t=2.5,4", "up", 1),
        ("a.wav#t=4,10", "up", 2),
        ("b.wav", "down", None),
    ]
    assert manifest.clips[1].part == Part(start=20_000, num_samples=12_000)
    late, longer = rejected
    assert (late.path, longer.path) == ("a.wav#t=12,13", "a.wav#t=9.9,10.5")
    assert ("begins" in late.reason, str(late.where).endswith("t.csv:7")) == (True, True)
    assert ("ends" in longer.reason, str(longer.where).endswith("t.csv:6")) == (True, True)


def test_parts_that_a_table_names_are_cut_into_segments_with_their_label(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", (10.0, 0.5))
    (tmp_path / "t.jsonl").write_text(
        '{"path": "a.wav", "start": 1, "end": 3.5, "label": "up"}\n'
        '{"path": "a.wav", "start": 5.0, "end": 5.5, "label": "down"}\n'
    )
    manifest, _ = train_all(tmp_path, table="t.jsonl", segment_seconds=1.0)
    assert [(clip.span, clip.label) for clip in manifest.clips] == [
        *(((1.0, 2.0), "up"), ((2.0, 3.0), "up"), ((3.0, 3.5), "up"), ((5.0, 5.5), "down"))
    ]
