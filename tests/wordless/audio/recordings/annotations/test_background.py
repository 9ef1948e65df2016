"""Background is drawn where nobody marked anything, as much of it as there are events, and told as what it is."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.wordless.audio.conftest import ALL_TRAIN, corpus_config, train_all
from tests.wordless.audio.recordings.annotations.annotated_files import Part, raven, textgrid_text, write_recording
from wordless.audio.recordings.account import Account
from wordless.audio.recordings.annotations import recordings_at
from wordless.audio.recordings.background import gaps
from wordless.audio.recordings.corpus import build_manifest
from wordless.audio.recordings.manifest import Clip, Clips, write_account
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.messages import InputError

Spans = Sequence[tuple[float, float]]
LABEL = "nothing"


def manifest_of(folder: Path, **options: Any) -> Clips:
    return train_all(folder, **{"background": LABEL, **options})[0]


def drawn(manifest: Clips) -> list[Clip]:
    return [clip for clip in manifest.clips if clip.label == LABEL]


def overlap(clip: Clip, spans: Spans) -> bool:
    begin, end = clip.start / clip.sample_rate, (clip.start + clip.num_samples) / clip.sample_rate
    return any(begin < last and first < end for first, last in spans)


def table(folder: Path, rows: Sequence[str], *, columns: str = "Begin Path\tFile Offset (s)\t") -> Path:
    """A Raven table of several recordings."""
    head = f"Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\t{columns}Species"
    path = folder / "all.selections.txt"
    path.write_text("\n".join([head, *(f"{n}\tSpectrogram 1\t1\t{row}" for n, row in enumerate(rows, 1))]) + "\n")
    return path


# The oracle


@settings(
    max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate], suppress_health_check=[HealthCheck.too_slow]
)
@given(data=st.data())
def test_no_background_overlaps_what_is_marked_and_as_much_is_drawn_as_fits(data: st.DataObject) -> None:
    """Marks are events, parts without a label, and rows that are set aside; a brute count of samples is the oracle."""
    with TemporaryDirectory() as place:
        folder, marked = Path(place), dict[str, list[tuple[float, float]]]()
        for number in range(data.draw(st.integers(1, 3))):
            rate, seconds = data.draw(st.sampled_from([1000, 4410, 8000])), data.draw(st.integers(2, 12))
            noise = 0.2 * np.random.default_rng(number).standard_normal(seconds * rate)
            soundfile.write(folder / f"r{number}.wav", noise, rate)
            time = st.integers(0, 1000 * seconds - 100).map(lambda each: each / 1000)
            parts = list[Part]()
            for begin, length, label in data.draw(
                st.lists(
                    st.tuples(time, st.sampled_from([0.1, 0.25, 1.0, 2.5]), st.sampled_from(["a", "b", ""])),
                    min_size=1,
                    max_size=8,
                    unique_by=lambda each: each[:2],
                )
            ):
                parts.append((begin, min(begin + length, seconds), label))
            if data.draw(st.booleans()):  # the same span with another label: both rows are known, one is set aside
                parts.append((*parts[0][:2], "c"))
            raven(folder, f"r{number}", parts)
            marked[f"r{number}.wav"] = [(begin, end) for begin, end, _ in parts]
        try:
            manifest, rejected = train_all(folder, background=LABEL)
        except InputError as error:
            assert "background" in f"{error}" or "none of its annotations" in f"{error}"  # noqa: PT017  it may be full
            return
        events = [clip for clip in manifest.clips if clip.label not in (None, LABEL)]
        found, taken = drawn(manifest), Counter[str]()
        free_left = list[float]()
        for path, spans in marked.items():
            info = soundfile.info(folder / path)
            free = np.ones(info.frames, bool)
            for begin, end in spans:
                free[int(np.floor(begin * info.samplerate)) : int(np.ceil(end * info.samplerate))] = False
            own = [clip for clip in found if clip.path == path]
            for clip in own:
                assert not overlap(clip, spans)
                assert free[clip.start : clip.start + clip.num_samples].all()  # neither marked, nor drawn before
                assert clip.num_samples
                free[clip.start : clip.start + clip.num_samples] = False
            taken[path] = len(own)
            edges = np.flatnonzero(np.diff(np.pad(free.astype(np.int8), 1))).reshape(-1, 2)
            whole = gaps(info.frames, [(int(b * info.samplerate), int(np.ceil(e * info.samplerate))) for b, e in spans])
            for first, last in whole if any(clip.path == path for clip in events) else ():
                free_left.append(
                    sum(np.clip(edges[:, 1], first, last) - np.clip(edges[:, 0], first, last)) / info.samplerate
                )
        wanted = Counter(round(clip.seconds, 2) for clip in events)
        got = Counter(round(clip.seconds, 2) for clip in found)
        assert not got - wanted
        for seconds in (wanted - got).elements():  # no gap has room for what was not drawn
            assert seconds > max(free_left, default=0.0) - 2e-3
        assert not [each for each in rejected if "#t=" in each.path and each.where is None]
        again = train_all(folder, background=LABEL)[0]
        assert again == manifest
        others = [(clip.name, clip.label) for clip in manifest.clips if clip.label != LABEL]
        assert others == [(clip.name, clip.label) for clip in train_all(folder)[0].clips]


@given(length=st.integers(0, 30), marks=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted)))
def test_gaps_are_what_no_mark_has(length: int, marks: list[list[int]]) -> None:
    spans = [(first, last) for first, last in marks]
    free = np.ones(length, bool)
    for first, last in spans:
        free[first:last] = False
    found = gaps(length, spans)
    covered = [sample for first, last in found for sample in range(first, last)]
    assert covered == np.flatnonzero(free).tolist()
    assert all(not first < at < last for first, last in found for span in spans for at in span)


def test_seconds_of_background_are_those_of_events_beside_them_and_in_their_splits(tmp_path: Path) -> None:
    for number in range(10):
        write_recording(tmp_path / f"{number}.wav", seed=number)
        raven(tmp_path, f"{number}", [(1.0, 2.0 + 0.1 * number, "wren"), (5.0, 5.5, "robin"), (8, 12, "")])
    manifest, _ = build_manifest(corpus_config(tmp_path, background=LABEL, split=SplitConfig(by="group", test=("3",))))
    for number in range(10):
        own = [clip for clip in manifest.clips if clip.path == f"{number}.wav"]
        seconds = {name: sum(clip.seconds for clip in own if clip.label == name) for name in ("wren", "robin", LABEL)}
        assert seconds[LABEL] == pytest.approx(seconds["wren"] + seconds["robin"], abs=1e-6)
        assert len({(clip.group, clip.split) for clip in own}) == 1
    assert {clip.path for clip in drawn(manifest.only("test"))} == {"3.wav"}


def test_other_seeds_draw_other_places(tmp_path: Path) -> None:
    write_recording(tmp_path / "field.wav")
    raven(tmp_path, "field", [(1.0, 2.0, "wren"), (5.0, 5.5, "robin")])
    found = [drawn(manifest_of(tmp_path, split=replace(ALL_TRAIN, seed=seed))) for seed in (0, 0, 1, 2)]
    assert found[0] == found[1]
    assert len({tuple(clip.start for clip in each) for each in found}) == 3


def test_what_does_not_fit_into_a_recording_is_drawn_in_others(tmp_path: Path) -> None:
    write_recording(tmp_path / "busy.wav", seconds=4)
    raven(tmp_path, "busy", [(0.0, 1.5, "wren"), (1.5, 3.6, "robin")])
    write_recording(tmp_path / "calm.wav", seconds=20, seed=1)
    raven(tmp_path, "calm", [(4.0, 4.5, "wren")])
    write_recording(tmp_path / "unknown.wav", seconds=20, seed=2)  # nobody looked at it
    manifest = manifest_of(tmp_path)
    assert {clip.path for clip in drawn(manifest)} == {"calm.wav"}
    assert sum(clip.seconds for clip in drawn(manifest)) == pytest.approx(1.5 + 2.1 + 0.5)
    assert any("3 parts without annotations (4.1 s) are drawn as nothing" in each for each in manifest.notices)


def test_less_is_drawn_where_annotations_leave_less(tmp_path: Path) -> None:
    write_recording(tmp_path / "field.wav", seconds=5)
    raven(tmp_path, "field", [(0.0, 2.0, "wren"), (3.0, 3.5, "wren"), (4.9, 5.0, "robin")])
    manifest = manifest_of(tmp_path)
    assert sorted(round(clip.seconds, 3) for clip in drawn(manifest)) == [0.1, 0.5]
    assert any("of 2.6 s of events: there is no more room" in each for each in manifest.notices)


# What is marked


def test_other_tiers_points_and_empty_labels_are_no_background(tmp_path: Path) -> None:
    """Their times count from the begin of a longer recording, as Praat keeps them."""
    write_recording(tmp_path / "field.wav")
    words, rain = [(0.5, 1.0, "x"), (2.0, 2.5, "y")], [(3.0, 19.0, "rain")]
    (tmp_path / "field.TextGrid").write_text(textgrid_text({"calls": words, "weather": rain}, begin=100.0))
    for _ in range(2):
        found = drawn(manifest_of(tmp_path, tier="calls"))
        assert len(found) == 2
        assert not any(overlap(clip, [(0.5, 1.0), (2.0, 2.5), (3.0, 19.0)]) for clip in found)
    text = textgrid_text({"calls": words})
    points = "".join(f"{mark}\nclick\n" for mark in np.arange(2.75, 19.9, 0.4).tolist()).replace("click", '"click"')
    text = text.replace("size = 1", "size = 2").replace("size = 1 ", "size = 2 ")
    count = points.count("click")
    (tmp_path / "field.TextGrid").write_text(f'{text}"TextTier"\n"clicks"\n0\n20\n{count}\n{points}')
    times = [*np.arange(2.75, 19.9, 0.4).tolist()]
    found = drawn(manifest_of(tmp_path, tier="calls"))
    assert found
    assert not any(
        clip.start / clip.sample_rate < time < clip.part.span(clip.sample_rate)[1] for clip in found for time in times
    )


def test_a_recording_with_a_mark_of_an_unknown_place_gives_none(tmp_path: Path) -> None:
    for number in range(4):
        write_recording(tmp_path / f"{number}.wav", seed=number)
    rows = [
        "1\t2\t0.wav\t\t\t1\twren",
        "21\t22\t0.wav\t\t\t\trobin",  # no offset
        "41\t42\t1.wav\t\t\t1\twren",
        "43\t44\t1.wav\t\t\t3\trobin",
        "79\t81\t2.wav\t3.wav\t\t19\twren",  # reaches into the next one
        "85\t86\t2.wav\t\t\t5\twren",
        "87\t88\t3.wav\t\t\t7\trobin",
    ]
    rows = [
        row.replace("\t\t\t", f"\t{row.split(chr(9))[2]}\t", 1) if "\t\t\t" in row else row.replace("\t\t", "\t")
        for row in rows
    ]
    table(tmp_path, rows, columns="Begin Path\tEnd File\tFile Offset (s)\t")
    found = drawn(manifest_of(tmp_path))
    assert {clip.path for clip in found} == {"1.wav"}
    assert len(found) == 5
    assert not any(overlap(clip, [(1, 2), (3, 4)]) for clip in found)


def test_a_damaged_table_beside_a_good_one_may_mark_anything(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_recording(tmp_path / f"{name}.wav", seed=ord(name))
        raven(tmp_path, name, [(1.0, 2.0, "wren"), (4.0, 5.0, "robin")])
    (tmp_path / "a.Table.2.selections.txt").write_text("Selection\n1\n")
    assert {clip.path for clip in drawn(manifest_of(tmp_path))} == {"b.wav"}


def test_what_is_marked_in_a_copy_is_marked(tmp_path: Path) -> None:
    write_recording(tmp_path / "a.wav")
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    raven(tmp_path, "a", [(1.0, 2.0, "wren"), (4.0, 5.0, "robin")])
    raven(tmp_path, "b", [(6.0, 19.0, "")])
    for seed in range(5):
        found = drawn(manifest_of(tmp_path, split=replace(ALL_TRAIN, seed=seed)))
        assert [clip.path for clip in found] == ["a.wav", "a.wav"]
        assert not any(overlap(clip, [(1, 2), (4, 5), (6, 19)]) for clip in found)


def test_a_table_with_start_and_end_names_what_is_marked(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_recording(tmp_path / f"{name}.wav", seed=ord(name))
    (tmp_path / "t.tsv").write_text("path\tstart\tend\tlabel\na.wav\t1\t2\twren\na.wav\t4\t20\t\nb.wav\t\t\trobin\n")
    found = drawn(manifest_of(tmp_path, table="t.tsv"))
    assert [clip.path for clip in found] == ["a.wav"]
    assert not any(overlap(clip, [(1, 2), (4, 20)]) for clip in found)


# What is told


def test_the_account_lists_each_part_as_background_or_why_it_is_none(tmp_path: Path) -> None:
    rate = 4000
    sound = 0.2 * np.random.default_rng(0).standard_normal(20 * rate)
    sound[round(2.5 * rate) : 19 * rate] = 0  # digital silence
    soundfile.write(tmp_path / "field.wav", sound, rate)
    raven(tmp_path, "field", [(0.1, 0.6, "wren"), (1.0, 1.5, "robin"), (2.0, 2.5, "wren"), (19.0, 20.0, "robin")])
    manifest, rejected = train_all(tmp_path, background=LABEL)
    assert isinstance(manifest.account, Account)
    write_account(manifest.account, tmp_path / "account.tsv")
    rows = [row for row in csv.DictReader((tmp_path / "account.tsv").open(), delimiter="\t") if row["kind"] == "part"]
    assert len(rows) == 4
    assert {row["of"] for row in rows} == {"field.wav"}
    used = {row["name"] for row in rows if row["used_as"]}
    assert used == {clip.name for clip in drawn(manifest)}
    assert all(row["used_as"].startswith("background") for row in rows if row["name"] in used)
    silent = {row["name"]: row["why"] for row in rows if row["name"] not in used}
    assert silent
    assert all("silent" in why for why in silent.values())
    assert {each.path for each in rejected} == {*silent}
    assert manifest.account.section()["part"] == {"used": len(used), "not_used": len(silent)}
    told = manifest.account.lines("account.tsv")
    assert any(line.startswith(f"parts not used: {len(silent)} of 4 (") for line in told)
    without = train_all(tmp_path)[0].account
    assert without is not None
    assert "part" not in without.section()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"background": "wren"}, "background is wren; there are 2 parts with the label wren already"),
        ({"background": "Robin"}, "background is Robin; there is 1 part with the label robin already"),
        ({"background": "quiet", "label_names": {"robin": "quiet"}}, "label quiet already"),
        ({"background": " "}, "name the class"),
        ({"background": "a\tb"}, "U+0009"),
        ({"background": LABEL, "labels": "none"}, "labels is none"),
        ({"background": LABEL, "label_type": "text"}, "label_type is text"),
        ({"background": LABEL, "annotations": "none"}, "no annotations name parts"),
    ],
)
def test_labels_that_cannot_be_background_are_refused_in_a_line(
    options: dict[str, Any], told: str, tmp_path: Path
) -> None:
    write_recording(tmp_path / "field.wav")
    raven(tmp_path, "field", [(1.0, 2.0, "wren"), (4.0, 5.0, "robin"), (7.0, 8.0, "wren")])
    with pytest.raises(InputError) as caught:
        train_all(tmp_path, **options)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_corpora_without_events_or_without_room_are_refused_in_a_line(tmp_path: Path) -> None:
    write_recording(tmp_path / "field.wav", seconds=4)
    raven(tmp_path, "field", [(1.0, 2.0, ""), (3.0, 3.5, "")])
    with pytest.raises(InputError, match=r"background is nothing; no annotated part has a label.*leave it out"):
        manifest_of(tmp_path)
    raven(tmp_path, "field", [(0.0, 2.0, "wren"), (2.2, 3.9, "robin")])
    with pytest.raises(InputError, match=r"background is nothing; .*no room.*leave it out"):
        manifest_of(tmp_path)
    (tmp_path / "field.Table.1.selections.txt").unlink()
    with pytest.raises(InputError, match=r"background is nothing; no annotations name parts.*leave it out"):
        manifest_of(tmp_path)


def test_commands_without_a_corpus_read_the_annotations_alone(tmp_path: Path) -> None:
    write_recording(tmp_path / "field.wav")
    raven(tmp_path, "field", [(1.0, 2.0, "wren"), (4.0, 5.0, "robin")])
    assert [clip.label for clip in recordings_at(tmp_path, corpus_config(tmp_path, background=LABEL))] == [
        "wren",
        "robin",
    ]
    assert re.search("#t=1,2$", drawn(manifest_of(tmp_path))[0].name) is None
