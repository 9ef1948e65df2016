"""Warnings about a classifier that does not recognise the originals."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.results.sound_figures import fair_classifier, originals_recognised, unreliable_classifier
from pipelines.stages.options import JudgeName
from pipelines.stages.playback import CLIPS
from pipelines.stages.recognition import RECOGNISED
from pipelines.store.store import Entry, write_json
from wordless.audio.recordings.manifest import Clip, Manifest, Split

JUDGED = 20


def clip(number: int, label: str | None, split: Split) -> Clip:
    return Clip(path=f"{number}.wav", num_samples=24_000, sample_rate=8000, size=1, sha256="", label=label, split=split)


def manifest_of(labels: list[str | None]) -> Manifest:
    """Test clips with these labels, and as many training clips."""
    clips = [clip(number, label, "test") for number, label in enumerate(labels)]
    train = [clip(len(labels) + number, label, "train") for number, label in enumerate(labels)]
    return Manifest(root=Path(), clips=(*clips, *train))


def judged(
    place: Path, manifest: Manifest, *, wrong: int, seconds: float = 2.0, judge: JudgeName = "supervised"
) -> tuple[Entry, Entry]:
    """What is recognised, the first so many originals wrongly, and which excerpts were judged."""
    clips = manifest.of("test")
    heard = [{"original": "?" if number < wrong else each.label} for number, each in enumerate(clips)]
    rows = [{"path": each.path, "heard": row} for each, row in zip(clips, heard, strict=True)]
    places = [{"path": each.path, "start": 0.5, "seconds": seconds, "clip_seconds": each.seconds} for each in clips]
    entries = []
    for name, file, content in (("recognised", RECOGNISED, rows), ("decoded", CLIPS, places)):
        (place / name).mkdir()
        write_json(place / name / file, {"judge": judge, "clips": content})
        entries.append(Entry(stage=name, key=name, folder=place / name, reused=False))
    return entries[0], entries[1]


@pytest.mark.parametrize(("wrong", "warned", "noticed"), [(0, False, False), (2, False, True), (5, True, False)])
def test_the_share_of_originals_decides(tmp_path: Path, wrong: int, warned: bool, noticed: bool) -> None:
    manifest = manifest_of(["yes", "no"] * (JUDGED // 2))
    recognised, decoded = judged(tmp_path, manifest, wrong=wrong)
    assert (unreliable_classifier(recognised, decoded, manifest) is not None) == warned
    assert (fair_classifier(recognised, manifest) is not None) == noticed


def test_the_warning_blames_the_classifier_and_names_what_helps(tmp_path: Path) -> None:
    manifest = manifest_of(["yes"] * 12 + ["no"] * 8)
    warning = unreliable_classifier(*judged(tmp_path, manifest, wrong=15), manifest)
    assert warning is not None
    for told in (
        r"25% .*\b5 of 20 clips\b",
        r"'yes'.* 60% ",
        r"listening\.seconds\b.*\b20 of 20 clips\b.*\b2 s\b",
        r"corpus\.inspection\.trim_db=40\b",
        r"'no'.*\b8\b",
        r"baselines\.supervised\.fit\.steps\b",
    ):
        assert re.search(told, warning)
    assert "judged_clips" not in warning  # all are judged


def test_advice_that_is_used_up_is_not_given(tmp_path: Path) -> None:
    manifest = manifest_of(["yes", "no"] * (JUDGED // 2))
    trimmed = replace(manifest, clips=tuple(replace(each, trimmed=100) for each in manifest.clips))
    warning = unreliable_classifier(*judged(tmp_path, trimmed, wrong=10, seconds=3.0), trimmed)
    assert warning is not None
    assert "listening.seconds" not in warning
    assert "trim_db" not in warning


def test_few_clips_that_guessing_gets_right_as_often_are_not_enough(tmp_path: Path) -> None:
    manifest = manifest_of(["yes", "yes", "yes", "no"])
    found = originals_recognised(judged(tmp_path, manifest, wrong=0)[0], manifest)
    assert found is not None
    assert (found.rate, found.beats_guessing) == (1, False)


def test_without_labels_nothing_is_said(tmp_path: Path) -> None:
    manifest = manifest_of([None] * 4)
    recognised, decoded = judged(tmp_path, manifest, wrong=4)
    assert unreliable_classifier(recognised, decoded, manifest) is None
    assert fair_classifier(recognised, manifest) is None
