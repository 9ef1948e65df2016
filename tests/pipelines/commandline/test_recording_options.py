"""Events in the files of other programs, which our own readers read again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.commandline.recording_options import (
    SUFFIXES,
    kind_of_output,
    require_input_recordings,
    write_annotations,
)
from wordless.audio.recordings.annotation_formats import Event
from wordless.audio.recordings.annotations import recordings_at
from wordless.audio.recordings.corpus_config import AnnotationOptions
from wordless.base.messages import InputError

RATE = 8000
FOUND = {
    "a": [(0.5, 1.25, "wren"), (2.0, 2.5, 'a "quoted" label'), (2.75, 3.0, "wren")],
    "b": [(0.0, 1.0, "robin")],
    "c": [],
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Three recordings of 3 s."""
    for name in FOUND:
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(0).normal(0, 0.1, 3 * RATE), RATE)
    return tmp_path


def events_of(place: Path) -> list[Event]:
    return [
        Event(path=str(place / f"{name}.wav"), start=start, end=end, label=label, score=0.9)
        for name, parts in FOUND.items()
        for start, end, label in parts
    ]


def paths_of(place: Path) -> list[str]:
    return [str(place / f"{name}.wav") for name in FOUND]


def parts_of(place: Path) -> dict[str, list[tuple[float, float, str | None]]]:
    """The annotated parts of the recordings of a folder, as our readers find them."""
    found: dict[str, list[tuple[float, float, str | None]]] = {name: [] for name in FOUND}
    for clip in recordings_at(place, AnnotationOptions()).clips:
        if clip.span is not None:
            start, end = (round(each, 3) for each in clip.span)
            found[Path(clip.path).stem].append((start, end, clip.label))
    return found


@pytest.mark.parametrize("kind", [*SUFFIXES])
def test_a_folder_of_files_is_read_again(kind: str, place: Path) -> None:
    write_annotations(place / "labels", kind, paths_of(place), events_of(place))
    assert sorted(path.name for path in (place / "labels").iterdir()) == [f"{name}{SUFFIXES[kind]}" for name in FOUND]
    for path in (place / "labels").iterdir():
        shutil.copy(path, place)
    shutil.rmtree(place / "labels")
    assert parts_of(place) == FOUND


def test_one_raven_table_has_the_events_of_all_recordings_one_after_the_other(place: Path) -> None:
    write_annotations(table := place / "all.selections.txt", "raven", paths_of(place), events_of(place))
    found = recordings_at(table, AnnotationOptions()).clips
    assert [(clip.path, clip.label) for clip in found] == [
        (f"{name}.wav", label) for name, parts in FOUND.items() for _, _, label in parts
    ]
    head, *rows = [line.split("\t") for line in table.read_text().splitlines()]
    begins = [float(row[head.index("Begin Time (s)")]) for row in rows]
    assert begins == pytest.approx([0.5, 2.0, 2.75, 3.0])


def test_parts_that_overlap_are_in_tiers_of_their_own(place: Path) -> None:
    path = paths_of(place)[0]
    spans = [(0.5, 1.5, "one"), (1.0, 2.0, "two"), (1.5, 2.0, "one")]
    events = [Event(path=path, start=start, end=end, label=label, score=1.0) for start, end, label in spans]
    write_annotations(place / "a.TextGrid", "textgrid", [path], events)
    first = parts_of_tier(place, "events")
    assert first == [(0.5, 1.5, "one"), (1.5, 2.0, "one")]
    assert parts_of_tier(place, "events 2") == [(1.0, 2.0, "two")]


def parts_of_tier(place: Path, tier: str) -> list[tuple[float, float, str | None]]:
    found = recordings_at(place / "a.TextGrid", AnnotationOptions(tier=tier))
    return [(round(clip.span[0], 3), round(clip.span[1], 3), clip.label) for clip in found.clips if clip.span]


@pytest.mark.parametrize(
    ("name", "format", "kind"),
    [
        ("x.selections.txt", "auto", "raven"),
        ("x.txt", "auto", "audacity"),
        ("x.TextGrid", "auto", "textgrid"),
        ("x.tsv", "auto", None),
        ("folder", "textgrid", "textgrid"),
        ("x.json", "table", None),
        ("x.txt", "table", InputError),
        ("x.tsv", "raven", InputError),
        ("folder", "auto", InputError),
    ],
)
def test_the_suffix_or_the_format_says_what_is_written(name: str, format: str, kind: object) -> None:
    if kind is InputError:
        with pytest.raises(InputError, match=r"^output is "):
            kind_of_output(Path(name), format, ".tsv", ".json")
    else:
        assert kind_of_output(Path(name), format, ".tsv", ".json") == kind


def test_files_without_names_of_recordings_hold_one(place: Path) -> None:
    for kind, name in (("audacity", "all.txt"), ("textgrid", "all.TextGrid")):
        with pytest.raises(InputError, match=rf"^output is .*\b3\b.*format={kind}"):
            require_input_recordings(place / name, kind, paths_of(place))
        with pytest.raises(InputError, match=rf"^output is .*\bnone\b.*format={kind}"):
            require_input_recordings(place / name, kind, [])
        with pytest.raises(InputError, match=rf"^output is .*\bnone\b.*format={kind}"):
            write_annotations(place / name, kind, [], [])  # those that were there could not be used
    for paths in (paths_of(place), []):
        require_input_recordings(place / "all.selections.txt", "raven", paths)
    require_input_recordings(place / "all.tsv", None, paths_of(place))
    twice = [*paths_of(place), str(place / "a.aiff")]
    for kind in SUFFIXES:
        with pytest.raises(InputError, match=r"two recordings are called a\b"):
            require_input_recordings(place / "labels", kind, twice)
    require_input_recordings(place / "all.selections.txt", "raven", twice)


def test_a_folder_of_files_has_the_folders_of_the_recordings(place: Path) -> None:
    (place / "more").mkdir()
    nested = [paths_of(place)[0], str(shutil.copy(place / "a.wav", place / "more/a.wav"))]
    require_input_recordings(place / "labels", "textgrid", nested)
    write_annotations(place / "labels", "textgrid", nested, events_of(place)[:3])
    found = (path.relative_to(place / "labels").as_posix() for path in (place / "labels").rglob("*.TextGrid"))
    assert {*found} == {"a.TextGrid", "more/a.TextGrid"}
