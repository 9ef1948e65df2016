"""Every file, column and row that lies in a user's folder stands in the account once, as used or as not used."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wordless.audio.conftest import ALL_TRAIN, Tone, corpus_config
from tests.wordless.audio.recordings.annotations.annotated_files import textgrid_text
from wordless.audio.recordings.account import COLUMNS, Account, AccountKind, Item
from wordless.audio.recordings.accounting import take_account
from wordless.audio.recordings.annotations import recordings_at
from wordless.audio.recordings.corpus import build_manifest, find_recordings
from wordless.audio.recordings.corpus_config import AnnotationOptions, CorpusConfig
from wordless.audio.recordings.description import ColumnConfig
from wordless.audio.recordings.manifest import Clips, write_account
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.files import MARK
from wordless.base.messages import InputError

RATE = 8000


def account_of(config: CorpusConfig) -> tuple[Account, Clips]:
    found = find_recordings(config)
    manifest, _ = build_manifest(config, found=found)
    assert manifest.account is not None
    return manifest.account, manifest


def accounted(folder: Path, **options: Any) -> Account:
    return account_of(corpus_config(folder, **{"split": ALL_TRAIN, **options}))[0]


def one(account: Account, kind: AccountKind, name: str) -> Item:
    (found,) = (each for each in account.items if (each.kind, each.name) == (kind, name))
    return found


# The property: what an own walk of the folder counts is what the account holds


Listed = Mapping[str, Mapping[str, Sequence[str]]]  # table -> its columns and the number of its rows, counted by hand


def incomplete(account: Account, folder: Path, columns: Counter[str], rows: int, closed: set[str]) -> list[str]:
    """Compare an account with a walk of the folder that knows nothing of readers; name what does not agree."""
    there = Counter[str]()
    for place, subfolders, names in os.walk(folder):
        below = Path(place).relative_to(folder)
        subfolders[:] = [name for name in subfolders if (below / name).as_posix() not in closed]
        there.update((below / name).as_posix() for name in names)
    problems = []
    of = {kind: [each for each in account.items if each.kind == kind] for kind in ("file", "folder", "column", "row")}
    if (found := Counter(each.name for each in of["file"])) != there:
        problems.append(f"files: {(found - there) or (there - found)}")
    if (folders := Counter(each.name for each in of["folder"])) != Counter(closed):
        problems.append(f"folders: {folders}, not {closed}")
    names = Counter[str]()
    for each in of["column"]:
        names[each.name] += each.number
    if names != columns:
        problems.append(f"columns: {names}, not {columns}")
    if (number := sum(each.number for each in of["row"])) != rows:
        problems.append(f"rows: {number}, not {rows}")
    problems += [
        f"{each} is neither used nor has a reason" for each in account.items if bool(each.used_as) == bool(each.why)
    ]
    return problems


def sound(path: Path, seed: int, seconds: float = 0.2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.random.default_rng(seed).standard_normal(round(seconds * RATE)), RATE)


BESIDE: Mapping[str, Callable[[Path], object]] = {  # files that people keep beside recordings, and what closes folders
    "README.md": lambda place: (place / "README.md").write_text("of 2019\n"),
    "notes.docx": lambda place: (place / "notes.docx").write_bytes(b"PK\x03\x04 x"),
    "photo.jpg": lambda place: (place / "photo.jpg").write_bytes(b"\xff\xd8\xff"),
    ".DS_Store": lambda place: (place / ".DS_Store").write_bytes(b"\0\0\0\1Bud1"),
    "broken.wav": lambda place: (place / "broken.wav").write_bytes(b"RIFF"),
    "empty.flac": lambda place: (place / "empty.flac").write_bytes(b""),
    "silent.wav": lambda place: soundfile.write(place / "silent.wav", np.zeros(RATE), RATE),
    "lost.TextGrid": lambda place: (place / "lost.TextGrid").write_text(textgrid_text({"w": [(0.0, 1.0, "x")]})),
    "testing_list.txt": lambda place: (place / "testing_list.txt").write_text("r0.wav\nr1.wav\n"),
    "other.csv": lambda place: (place / "other.csv").write_text("path,class\nr0.wav,a\nr1.wav,b\n"),
    "x.tar.gz": lambda place: (place / "x.tar.gz").write_bytes(b"\x1f\x8b"),
    "gone.json": lambda place: (place / "gone.json").symlink_to(place / "nowhere"),
    "no ending": lambda place: (place / "no ending").write_text("?\n"),
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_files_columns_and_rows_are_those_that_are_there(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        count, kind = data.draw(st.integers(3, 5)), data.draw(st.sampled_from(["folder", "table", "raven", "textgrid"]))
        below = data.draw(st.lists(st.sampled_from(["", "a", "a/b"]), min_size=count, max_size=count))
        paths = [f"{sub}/r{n}.wav".lstrip("/") for n, sub in enumerate(below)]
        for n, path in enumerate(paths):
            sound(folder / path, n, 2.0)
        chosen = data.draw(st.sets(st.sampled_from(sorted(BESIDE)), max_size=6))
        for name in chosen - ({"lost.TextGrid"} if kind in ("raven", "textgrid") else set()):
            BESIDE[name](folder)
        if data.draw(st.booleans()):
            sound(folder / "copy.wav", 0, 2.0)  # a duplicate of the first
        closed = set[str]()
        if data.draw(st.booleans()):
            sound(folder / ".cache/x.wav", 90)
            closed.add(".cache")
        if data.draw(st.booleans()):
            sound(folder / "runs/x/0.wav", 91)
            (folder / "runs/x" / MARK).write_text("")
            closed.add("runs/x")
        columns, rows, options = Counter[str](), 0, dict[str, Any]()
        if kind == "table":
            names = ["path", *data.draw(st.permutations(["label", "fold", "src_file", "snr", "speaker", "split"]))[:4]]
            listed = [*paths, *(["missing.wav"] if data.draw(st.booleans()) else [])]
            cells = [
                [path, *("train" if name == "split" else f"{n % 2}" for name in names[1:])]
                for n, path in enumerate(listed)
            ]
            (folder / "t.csv").write_text("\n".join(",".join(each) for each in [names, *cells]) + "\n")
            columns, rows, options = Counter(names), len(cells), {"table": "t.csv", "missing": "list", "root": ""}
        elif kind == "raven":
            names = [
                "Selection",
                "Begin Time (s)",
                "End Time (s)",
                "Species",
                *data.draw(st.permutations(["Site", "Notes", "Sex"]))[:2],
            ]
            for path in paths:
                spans = data.draw(
                    st.lists(st.sampled_from([(0.1, 0.5), (0.6, 1.2), (0.7, 9.0), (3.0, 4.0), (0.5, 0.5)]), max_size=3)
                )
                lines = [
                    "\t".join(names),
                    *(f"{n}\t{start}\t{end}\twren\tx\ty" for n, (start, end) in enumerate(spans)),
                ]
                (folder / path).with_suffix(".Table.1.selections.txt").write_text("\n".join(lines) + "\n")
                columns.update(names if spans else [])  # a table without rows says nothing
                rows += len(spans)
        elif kind == "textgrid":
            tiers = data.draw(st.permutations(["words", "phones"]))
            for path in paths:
                parts = {name: [(0.1, 0.4, "x"), (0.5, 1.0, "y")][: n + 1] for n, name in enumerate(tiers)}
                (folder / path).with_suffix(".TextGrid").write_text(textgrid_text(parts, seconds=2.0))
                columns.update(tiers)
                rows += 3
            options = {"tier": tiers[0]}
        try:
            account = accounted(folder, **options)
        except InputError:  # such as no part that can be used
            return
        assert incomplete(account, folder, columns, rows, closed) == []
        for each in {
            (item.kind, item.used_as, item.why) for item in account.items
        }:  # a mutant drops each class in turn
            kept = tuple(item for item in account.items if (item.kind, item.used_as, item.why) != each)
            assert incomplete(Account(items=kept), folder, columns, rows, closed), f"nobody misses {each}"
        twice = Account(items=(*account.items, account.items[0]))
        assert incomplete(twice, folder, columns, rows, closed)


# What each is used as, and the option that would use it


def words(folder: Path, count: int = 12) -> list[str]:
    paths = [f"{'ab'[n % 2]}/r{n:02}.wav" for n in range(count)]
    for n, path in enumerate(paths):
        sound(folder / path, n)
    return paths


@pytest.mark.parametrize("fold", ["fold", "cv_fold", "Set"])
@pytest.mark.parametrize("source", ["src_file", "freesound ID", "cut_of"])
def test_columns_that_would_divide_or_group_are_named_with_their_options(
    tmp_path: Path, fold: str, source: str
) -> None:
    paths = words(tmp_path)
    rows = [f"{path},{'ab'[n % 2]},{n % 4 + 1},{n // 4 * 2 + n % 2 + 700},{n}.5" for n, path in enumerate(paths)]
    (tmp_path / "t.csv").write_text("\n".join([f"path,label,{fold},{source},snr", *rows]) + "\n")
    account = accounted(tmp_path, table="t.csv")
    division, group = one(account, "column", fold), one(account, "column", source)
    assert (division.looks, group.looks) == ("division", "group")
    assert "`split.by`=fold" in division.option
    assert group.option == f"`columns.group`={source}"
    lines = account.lines("account.tsv")
    assert len(lines) <= 6
    assert any(fold in line and "division" in line for line in lines)
    assert any(source in line and "together" in line for line in lines)
    columns = ColumnConfig(fold=fold, group=source)
    used = accounted(
        tmp_path,
        table="t.csv",
        columns=columns,
        split=SplitConfig(by="fold", validation=("2",), test=("1",), shared_groups=True),
    )
    assert (one(used, "column", fold).used_as, one(used, "column", source).used_as) == ("fold", "group")


@pytest.mark.parametrize(
    ("name", "split"), [("testing_list.txt", "test"), ("dev.lst", "validation"), ("lists/train.txt", "train")]
)
def test_lists_of_recordings_that_nothing_reads_are_divisions(tmp_path: Path, name: str, split: str) -> None:
    paths = words(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("\n".join(paths[:3]) + "\n")
    item = one(accounted(tmp_path), "file", name)
    assert item.looks == "division"
    assert f"`split.{split}`={name}" in item.option
    if split == "test":
        own = SplitConfig(by="lists", test=(name,), validation_fraction=0)
        account = accounted(tmp_path, split=own)
        assert one(account, "file", name).used_as == "list of split.test"
        assert account.total("row", used=True) == 3


@pytest.mark.parametrize(
    ("name", "text", "option"),
    [
        ("metadata.csv", "file_name,text\n{}", "`table`=metadata.csv"),
        ("all.csv", "file_name,subset\n{}", "`table`=all.csv"),
        ("labels.tsv", "{}", "`table`=labels.tsv"),
        ("data/train-00000-of-00001.parquet", "PAR1", "`dataset`=data/train-00000-of-00001.parquet"),
    ],
)
def test_tables_beside_recordings_that_nothing_reads_name_their_option(
    tmp_path: Path, name: str, text: str, option: str
) -> None:
    paths = words(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    delimiter = "\t" if name.endswith(".tsv") else ","
    (tmp_path / name).write_text(text.format("".join(f"{path}{delimiter}x\n" for path in paths)))
    item = one(accounted(tmp_path), "file", name)
    assert item.option == option
    assert (item.looks == "division") == ("subset" in text)


def test_rows_say_what_became_of_them(tmp_path: Path) -> None:
    paths = words(tmp_path)
    sound(tmp_path / "copy.wav", 0)
    (tmp_path / paths[3]).write_bytes(b"RIFF")
    listed = [*paths, "missing.wav", "copy.wav"]
    (tmp_path / "t.tsv").write_text("path\tlabel\n" + "".join(f"{path}\tx\n" for path in listed))
    sound(tmp_path / "unlisted.wav", 77)
    account = accounted(tmp_path, table="t.tsv", missing="list")
    rows = [(each.name, each.number, bool(each.used_as)) for each in account.items if each.kind == "row"]
    assert [(number, used) for _, number, used in rows] == [(3, True), (1, False), (8, True), (1, False), (1, False)]
    why = {each.name: each.why for each in account.unused if each.kind == "row"}
    assert "not there" in why["14"]
    assert "duplicate" in why["15"]
    assert "no row" in one(account, "file", "unlisted.wav").why
    assert any("3 of 14" in line for line in account.lines(""))


def test_parts_behind_the_end_and_of_another_tier_are_rows_that_are_not_used(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav", 0, 3.0)
    tiers = {"words": [(0.5, 1.0, "hi"), (1.2, 1.6, "you")], "phones": [(0.5, 0.7, "h"), (0.7, 1.0, "ai")]}
    (tmp_path / "a.TextGrid").write_text(textgrid_text(tiers, seconds=3.0))
    account = accounted(tmp_path, tier="words")
    assert (account.total("row", used=True), account.total("row", used=False)) == (2, 2)
    phones = one(account, "column", "phones")
    assert (one(account, "column", "words").used_as, phones.used_as, phones.option) == ("label", "", "`tier`=phones")
    sound(tmp_path / "b.wav", 1, 3.0)
    (tmp_path / "a.TextGrid").unlink()
    (tmp_path / "b.txt").write_text("0.5\t1\tx\n7\t8\ty\n1.5\t1.5\tz\n")
    account = accounted(tmp_path, annotations="audacity")
    reasons = [each.why for each in account.unused if each.kind == "row"]
    assert ["behind the end" in why for why in reasons] == [True, False]


def test_commands_take_the_account_of_a_folder_and_of_one_recording(tmp_path: Path) -> None:
    for n, name in enumerate(("a", "b")):
        sound(tmp_path / f"{name}.wav", n, 3.0)
        (tmp_path / f"{name}.txt").write_text("0.5\t1\tx\n1.5\t2\ty\n")
    (tmp_path / "notes.md").write_text("x\n")
    found = recordings_at(tmp_path, AnnotationOptions())
    account = take_account(found, found, found.rejected)
    assert incomplete(account, tmp_path, Counter(), 4, set()) == []
    assert [each.name for each in account.unused] == ["notes.md"]
    alone = recordings_at(tmp_path / "a.wav", AnnotationOptions())
    items = take_account(alone, alone, alone.rejected).items
    assert [(each.kind, each.name) for each in items] == [("file", "a.txt"), ("file", "a.wav"), ("row", "1 to 2")]


def test_all_is_used_in_one_line_and_the_table_is_written_whole(tmp_path: Path, tone: Tone) -> None:
    tone("x/a.wav"), tone("x/b.wav")
    account = accounted(tmp_path / "x")
    assert account.lines("account.tsv") == ["used in full: 2 files: see account.tsv"]
    write_account(account, tmp_path / "account.tsv")
    header, *rows = (tmp_path / "account.tsv").read_text().splitlines()
    assert header.split("\t") == [*COLUMNS]
    assert [row.split("\t")[:2] for row in rows] == [["file", "a.wav"], ["file", "b.wav"]]


def test_annotations_of_a_recording_that_is_not_there_are_rows_with_that_reason(tmp_path: Path) -> None:
    for site in ("a", "b"):
        sound(tmp_path / site / "7.wav", ord(site), 3.0)
        (tmp_path / site / "7.TextGrid").write_text(textgrid_text({"w": [(0.5, 1.0, "x")]}, seconds=3.0))
    (tmp_path / "b/7.wav").unlink()
    account = accounted(tmp_path)
    (row,) = (each for each in account.unused if each.kind == "row")
    assert row.of == "b/7.TextGrid"
    assert row.why == one(account, "file", "b/7.TextGrid").why
    assert "of another folder" in row.why


@pytest.mark.parametrize("values", [["1", "2", "3"], ["0.25", "1.5", "7.0"]])
def test_counters_and_measurements_are_no_groups(tmp_path: Path, values: Sequence[str]) -> None:
    paths = words(tmp_path)
    rows = [f"{path},{'xyy'[n % 3]},{values[n % 3]}" for n, path in enumerate(paths)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,call", *rows]) + "\n")
    assert not one(accounted(tmp_path, table="t.csv"), "column", "call").looks


def test_labels_that_are_not_read_use_no_column(tmp_path: Path) -> None:
    paths = words(tmp_path)
    (tmp_path / "t.csv").write_text("path,label\n" + "".join(f"{path},x\n" for path in paths))
    assert one(accounted(tmp_path, table="t.csv", labels="none"), "column", "label").why


def test_the_account_stays_in_the_process_that_reads(tmp_path: Path) -> None:
    words(tmp_path)
    _, manifest = account_of(corpus_config(tmp_path, split=ALL_TRAIN))
    assert {"reading", "account"}.isdisjoint(manifest.__getstate__())
    assert replace(manifest, name="x").account is manifest.account
