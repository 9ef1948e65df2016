"""Folders that `datasets` wrote: the rows that it loads are the rows that are read, and everything else is named."""

import json
import random
import socket
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.calling import python
from tests.wordless.audio.recordings.packed_files import (
    save,
    save_splits,
    table,
    takes,
    write_parquet,
    write_state,
)
from wordless.audio.recordings import packed
from wordless.audio.recordings.account import AccountKind, Item
from wordless.audio.recordings.accounting import take_account
from wordless.audio.recordings.corpus import find_recordings
from wordless.audio.recordings.corpus_config import CorpusConfig, Making
from wordless.audio.recordings.description import ColumnConfig
from wordless.audio.recordings.manifest import Clips
from wordless.base.messages import InputError
from wordless.base.progress import Terminal

datasets = pytest.importorskip("datasets", reason="needs pip install 'wordless[datasets]'")
Rows = list[tuple[bytes, str, str]]  # sound, class, speaker


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing connect, and nothing write below the home folder without being seen."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def found(place: Path, store: Path, *, columns: ColumnConfig | None = None, **options: Any) -> Clips:
    config = CorpusConfig(
        dataset=str(place), columns=columns or ColumnConfig(label="label", group="speaker"), **options
    )
    return find_recordings(config, Making(folder=lambda: store, terminal=Terminal(silent=True)))


def read(place: Path, store: Path) -> Rows:
    clips = found(place, store)
    return [((clips.root / each.path).read_bytes(), each.label or "", each.group or "") for each in clips.clips]


def loaded(place: Path) -> Rows:
    """The rows as `datasets` gives them to anybody."""
    whole = datasets.load_from_disk(str(place))
    rows = Rows()
    for each in whole.values() if isinstance(whole, datasets.DatasetDict) else [whole]:
        names = each.features["label"].names
        plain = each.with_format(None).cast_column("audio", datasets.Audio(decode=False))
        rows += [(row["audio"]["bytes"], names[row["label"]], row["speaker"]) for row in plain]
    return rows


def dataset(count: int = 20, *, first: int = 0) -> Any:
    features = {"audio": datasets.Audio(), "label": datasets.ClassLabel(names=["low", "high"])}
    whole = table(takes(count, first=first))
    return datasets.Dataset(
        whole.cast(datasets.Features(features | {"speaker": datasets.Value("string")}).arrow_schema)
    )


def is_high(row: dict[str, Any]) -> bool:
    return bool(row["label"])


CHANGES: dict[str, Callable[[Any], Any]] = {
    "filter": lambda whole: whole.filter(is_high, input_columns=None),
    "shuffle": lambda whole: whole.shuffle(seed=3),
    "skip and take": lambda whole: whole.skip(3).take(9),
    "select": lambda whole: whole.select([5, 2, 11]),
    "sort": lambda whole: whole.sort("speaker"),
    "map": lambda whole: whole.map(lambda row: {"speaker": f"{row['speaker']}x"}),
    "concatenated": lambda whole: datasets.concatenate_datasets([whole.select([7]), whole.skip(18)]),
    "format": lambda whole: whole.with_format("numpy", columns=["label"]),
    "splits": lambda whole: whole.train_test_split(0.3, seed=1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_rows_are_those_that_datasets_loads(name: str, tmp_path: Path) -> None:
    undecoded = dataset().cast_column("audio", datasets.Audio(decode=False))
    changed = CHANGES[name](undecoded).cast_column("audio", datasets.Audio())
    changed.save_to_disk(str(tmp_path / "saved"), **({} if name == "splits" else {"num_shards": 2}))
    wanted = loaded(tmp_path / "saved")
    assert Counter(read(tmp_path / "saved", tmp_path / "store")) == Counter(wanted)
    assert name in ("shuffle", "sort", "map", "format") or len(wanted) != 20 or name == "splits"


def test_shards_of_a_version_before_are_not_read_and_named(tmp_path: Path) -> None:
    """A folder that was saved again with fewer rows keeps the old shards."""
    dataset().save_to_disk(str(tmp_path / "saved"), num_shards=3)
    dataset(8).save_to_disk(str(tmp_path / "saved"), num_shards=2)
    clips = found(tmp_path / "saved", tmp_path / "store")
    assert len(clips.frame) == 8
    stale = [f"data-0000{number}-of-00003.arrow" for number in range(3)]
    assert any("3 files with rows not read" in notice and stale[0] in notice for notice in clips.notices)
    assert {each.name for each in unused(clips, "file")} == {*stale}
    assert all("state.json" in each.why for each in unused(clips, "file"))
    assert not any(each.option for each in unused(clips, "file"))
    with pytest.raises(InputError, match=r"state\.json beside it.*dataset=.*saved"):
        found(tmp_path / "saved" / stale[0], tmp_path / "store")
    assert len(found(tmp_path / "saved/data-00000-of-00002.arrow", tmp_path / "store").frame) == 4


def items(clips: Clips, kind: AccountKind) -> list[Item]:
    """What the account says of candidates."""
    return [each for each in take_account(clips, clips, clips.rejected).items if each.kind == kind]


def unused(clips: Clips, kind: AccountKind) -> list[Item]:
    return [each for each in items(clips, kind) if not each.used_as]


def test_a_split_that_was_taken_out_and_caches_are_not_read(tmp_path: Path) -> None:
    save_splits(tmp_path / "d", {"train": takes(4), "test": takes(2, first=4), "bad": takes(3, first=6)})
    (tmp_path / "d/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    dataset(6, first=30).save_to_disk(str(tmp_path / "other"))
    cache = tmp_path / "d/train/cache-0123456789abcdef.arrow"
    (tmp_path / "other/data-00000-of-00001.arrow").rename(cache)
    (tmp_path / "d/README.md").touch()
    clips = found(tmp_path / "d", tmp_path / "store")
    assert Counter(clips.frame.split) == {"train": 4, "test": 2}
    why = {each.name: each.why for each in unused(clips, "file")}
    (named,) = {each.option for each in unused(clips, "file") if each.name.startswith("bad/")}
    assert len(found(Path(named.partition("=")[2]), tmp_path / "store").frame) == 3
    assert why.keys() == {
        *(f"bad/{name}" for name in ("data-00000-of-00001.arrow", "state.json", "dataset_info.json")),
        *("README.md", "train/cache-0123456789abcdef.arrow"),
    }
    assert "dataset_dict.json" in why["bad/data-00000-of-00001.arrow"]
    assert "map" in why["train/cache-0123456789abcdef.arrow"]


@pytest.mark.parametrize("key", ["_indices_data_files", "_indices_files"])
def test_indices_of_early_versions_choose_rows(key: str, tmp_path: Path) -> None:
    """Early versions saved all rows and, beside them, which ones a filter left; newer ones ignore the latter."""
    chosen = [9, 0, 4, 5]
    save(tmp_path / "saved", [table(takes(6)), table(takes(6, first=6))])
    before = packed.unpacked_place(packed.open_data_set(str(tmp_path / "saved"), ColumnConfig()), tmp_path)
    write_indices(tmp_path / "saved/indices.arrow", chosen)
    write_state(tmp_path / "saved", **{key: [{"filename": "indices.arrow"}]})
    data_set = packed.open_data_set(str(tmp_path / "saved"), ColumnConfig())
    assert packed.unpacked_place(data_set, tmp_path) != before
    clips = found(tmp_path / "saved", tmp_path / "store")
    assert {Path(path).name for path in clips.frame.path} == {f"clip_{row:02}.wav" for row in chosen}
    rows = [(each.of[:10], each.name, bool(each.used_as)) for each in items(clips, "row")]
    assert rows == [
        ("data-00000", "row 1", True), ("data-00000", "row 2 to row 4", False), ("data-00000", "row 5 to row 6", True),
        ("data-00001", "row 1 to row 3", False), ("data-00001", "row 4", True), ("data-00001", "row 5 to row 6", False),
    ]  # fmt: skip
    assert all("state.json" in each.why for each in unused(clips, "row"))
    write_indices(tmp_path / "saved/indices.arrow", [1])
    assert len(found(tmp_path / "saved", tmp_path / "store").frame) == 1
    for wrong in ([12], [2**63]):
        write_indices(tmp_path / "saved/indices.arrow", wrong)
        with pytest.raises(InputError, match="indices"):
            found(tmp_path / "saved", tmp_path / "store")


def write_indices(path: Path, rows: list[int]) -> None:
    part = pa.table({"indices": pa.array(rows, pa.uint64())})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, part.schema) as stream:
        stream.write_table(part)


@pytest.mark.parametrize(
    ("entry", "rows"),
    [
        ({"skip": 2, "take": 3}, [2, 3, 4]),
        ({"skip": 4}, [4, 5]),
        ({"take": 2}, [0, 1]),
        ({"skip": 9, "take": None}, []),
    ],
)
def test_skip_and_take_of_early_versions_choose_rows(entry: dict[str, Any], rows: list[int], tmp_path: Path) -> None:
    save(tmp_path / "saved", [table(takes(6)), table(takes(6, first=6))])
    names = [f"data-0000{number}-of-00002.arrow" for number in range(2)]
    write_state(tmp_path / "saved", _data_files=[{"filename": names[0], **entry}, {"filename": names[1]}])
    clips = found(tmp_path / "saved", tmp_path / "store")
    assert {Path(path).name for path in clips.frame.path} == {f"clip_{row:02}.wav" for row in [*rows, *range(6, 12)]}
    of_first = [each for each in items(clips, "row") if each.of == names[0]]
    assert sum(each.number for each in of_first) == 6
    assert sum(each.number for each in of_first if each.used_as) == len(rows)


def test_a_changed_state_is_unpacked_anew(tmp_path: Path) -> None:
    folder = save(tmp_path / "saved", [table(takes(6)), table(takes(6, first=6))])
    assert len(found(folder, tmp_path / "store").frame) == 12
    write_state(folder, _data_files=[{"filename": "data-00001-of-00002.arrow"}])
    assert len(found(folder, tmp_path / "store").frame) == 6


def test_arrays_of_several_dimensions_lie_beside_the_sound(tmp_path: Path) -> None:
    whole = dataset(4)
    features = datasets.Features({**whole.features, "mel": datasets.Array2D((2, 3), "float32")})
    rows = whole.cast_column("audio", datasets.Audio(decode=False))
    mels = [np.zeros((2, 3), np.float32)] * 4
    part = datasets.Dataset.from_dict({"mel": mels}, features=datasets.Features({"mel": features["mel"]}))
    datasets.concatenate_datasets([rows, part], axis=1).save_to_disk(str(tmp_path / "saved"))
    clips = found(tmp_path / "saved", tmp_path / "store")
    assert len(clips.frame) == 4
    assert {each.name: each.used_as for each in items(clips, "column")} == {
        "audio": "recording", "label": "label", "speaker": "group", "mel": ""
    }  # fmt: skip


def test_of_two_columns_with_bytes_the_one_that_datasets_calls_audio_is_read(tmp_path: Path) -> None:
    whole = dataset(4).cast_column("audio", datasets.Audio(decode=False))
    pictures = [{"bytes": b"\x89PNG", "path": "a.png"}] * 4
    image = datasets.Features({"image": datasets.Image()})
    part = datasets.Dataset(pa.table({"image": pa.array(pictures, image["image"].pa_type)}).cast(image.arrow_schema))
    both = datasets.concatenate_datasets([whole, part], axis=1).cast_column("audio", datasets.Audio())
    both.save_to_disk(str(tmp_path / "saved"))
    assert len(found(tmp_path / "saved", tmp_path / "store").frame) == 4


def test_folders_side_by_side_have_the_splits_of_their_states(tmp_path: Path) -> None:
    for name, split, first in (("a", "train", 0), ("b", "test", 4)):
        save(tmp_path / "d" / name, [table(takes(4, first=first))])
        write_state(tmp_path / "d" / name, _split=split)
    assert Counter(found(tmp_path / "d", tmp_path / "store").frame.split) == {"train": 4, "test": 4}


def test_parquet_files_beside_a_saved_data_set_are_refused_unless_it_is_named(tmp_path: Path) -> None:
    save(tmp_path / "d/saved", [table(takes(4))])
    write_parquet(tmp_path / "d/data/a.parquet", takes(3))
    with pytest.raises(InputError, match=r"saved.*data/a\.parquet"):
        found(tmp_path / "d", tmp_path / "store")
    write_parquet(tmp_path / "d/saved/a.parquet", takes(3))  # datasets would not read it
    clips = found(tmp_path / "d/saved", tmp_path / "store")
    assert len(clips.frame) == 4
    assert [each.name for each in unused(clips, "file")] == ["a.parquet"]


DAMAGED = "data-00000-of-00002.arrow"


def test_a_damaged_shard_leaves_the_others_usable(tmp_path: Path) -> None:
    folder = save(tmp_path / "saved", [table(takes(6)), table(takes(6, first=6))])
    content = (folder / DAMAGED).read_bytes()
    (folder / DAMAGED).write_bytes(content[: len(content) // 2])
    clips = found(folder, tmp_path / "store")
    assert len(clips.frame) == 6
    (rejected,) = clips.rejected
    assert DAMAGED in rejected.reason
    assert "damaged" in rejected.reason
    (damaged,) = unused(clips, "file")
    assert damaged.name == DAMAGED
    assert "damaged" in damaged.why
    assert not [each for each in items(clips, "row") if each.of == DAMAGED]  # nobody knows how many there were


@pytest.mark.parametrize("lost", ["data-00001-of-00002.arrow", "dataset_info.json"])
def test_an_incomplete_copy_is_refused(lost: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "saved", [table(takes(6)), table(takes(6, first=6))])
    (folder / lost).unlink()
    with pytest.raises(InputError, match=lost):
        found(folder, tmp_path / "store")


SYMLINKS = {"_type": "Value", "dtype": "create_library_symlinks"}  # a function of pyarrow, which datasets would call
HOSTILE: dict[str, Callable[[Path], object]] = {
    "file elsewhere": lambda folder: write_state(folder, _data_files=[{"filename": "../private.arrow"}]),
    "absolute file": lambda folder: write_state(
        folder, _data_files=[{"filename": str(folder.parent / "private.arrow")}]
    ),
    "no files": lambda folder: write_state(folder, _data_files=[]),
    "no list": lambda folder: write_state(folder, _data_files={"filename": DAMAGED}),
    "no rows": lambda folder: write_state(folder, _data_files=[{"filename": DAMAGED, "skip": -1}]),
    "another way to choose": lambda folder: write_state(folder, _data_files=[{"filename": DAMAGED, "every": 2}]),
    "indices elsewhere": lambda folder: write_state(folder, _indices_files=[{"filename": "/etc/passwd"}]),
    "no JSON": lambda folder: (folder / "state.json").write_bytes(b"\x80\x04cos\nsystem\n."),
    "deep": lambda folder: (folder / "dataset_info.json").write_text("[" * 100_000),
    "splits elsewhere": lambda folder: [
        (folder / "dataset_dict.json").write_text('{"splits": ["../saved"]}'),
        (folder / "state.json").unlink(),
    ],
    "no splits": lambda folder: [
        (folder / "dataset_dict.json").write_text('{"splits": null}'),
        (folder / "state.json").unlink(),
    ],
    "a function as a type": lambda folder: change_features(folder, {"speaker": SYMLINKS}),
    "a nested function": lambda folder: change_features(folder, {"speaker": {"_type": "List", "feature": SYMLINKS}}),
    "no such type": lambda folder: change_features(folder, {"speaker": {"_type": "os"}}),
    "features of other columns": lambda folder: change_features(
        folder, {"another": {"_type": "Value", "dtype": "int8"}}
    ),
    "features": lambda folder: change_features(folder, {"speaker": [{"_type": "Audio"}] * 3}),
}


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of the function of pyarrow that `SYMLINKS` names, which writes into the folder of pyarrow."""
    calls = list[str]()
    monkeypatch.setattr(pa, SYMLINKS["dtype"], lambda: calls.append("a call"))
    return calls


def change_features(folder: Path, features: dict[str, object]) -> None:
    info = json.loads((folder / "dataset_info.json").read_text())
    (folder / "dataset_info.json").write_text(json.dumps({"features": info["features"] | features}))


@pytest.mark.parametrize("kind", HOSTILE)
def test_folders_of_strangers_are_refused_in_one_line(kind: str, tmp_path: Path, called: list[str]) -> None:
    save(tmp_path / "other", [table(takes(1))])
    (tmp_path / "other/data-00000-of-00001.arrow").rename(tmp_path / "private.arrow")
    folder = save(tmp_path / "saved", [table(takes(6)), table(takes(6, first=6))])
    HOSTILE[kind](folder)
    before = {*tmp_path.rglob("*")}
    with pytest.raises(InputError) as refusal:
        found(folder, tmp_path / "store")
    assert "\n" not in str(refusal.value)
    assert {*tmp_path.rglob("*")} == before
    assert not called


@pytest.mark.parametrize("where", ["metadata", "extension"])
def test_types_in_arrow_files_are_checked_before_datasets_sees_them(
    where: str, tmp_path: Path, called: list[str]
) -> None:
    folder = save(tmp_path / "saved", [table(takes(6)), table(takes(6, first=6))])
    part = table(takes(3))
    if where == "metadata":
        part = part.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": {"speaker": SYMLINKS}}})})
    else:
        said = {
            "ARROW:extension:name": "datasets.features.features.Array2DExtensionType",
            "ARROW:extension:metadata": json.dumps([[2, 2], SYMLINKS["dtype"]]),
        }
        kind = pa.list_(pa.list_(pa.float32()))
        part = part.append_column(pa.field("mel", kind, metadata=said), pa.array([[[0.0]]] * 3, kind))
    with pa.OSFile(str(folder / DAMAGED), "wb") as file, pa.ipc.new_stream(file, part.schema) as stream:
        stream.write_table(part)
    clips = found(folder, tmp_path / "store")
    assert len(clips.frame) == 6
    assert "create_library_symlinks" in clips.rejected[0].reason
    assert not called


def test_scripts_are_not_run_and_nothing_is_written_but_the_store(tmp_path: Path) -> None:
    """In a process of its own, with a home folder that must stay empty and no way to connect."""
    save_splits(tmp_path / "d", {"train": takes(4), "test": takes(2, first=4)})
    script = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    for name in ("d.py", "dataset.py", "train/train.py", "train/__init__.py", "sitecustomize.py", "datasets.py"):
        (tmp_path / "d" / name).write_text(script)
    (home := tmp_path / "home").mkdir()
    before = {*tmp_path.rglob("*")}
    code = (
        "import socket, sys\nfrom pathlib import Path\n"
        "def refuse(*_): raise SystemExit('a connection')\nsocket.socket.connect = refuse\n"
        "from wordless.audio.recordings.corpus import *\nfrom wordless.base.progress import Terminal\n"
        "place, store = map(Path, sys.argv[1:])\n"
        "making = Making(folder=lambda: store, terminal=Terminal(silent=True))\n"
        "print(len(find_recordings(CorpusConfig(dataset=str(place)), making).frame))\n"
    )
    done = python("-c", code, tmp_path / "d", tmp_path / "store", HOME=str(home), TMPDIR=str(home), cwd=tmp_path)
    assert done.stdout == "6\n", done.stderr
    written = {path for path in {*tmp_path.rglob("*")} - before if not path.is_relative_to(tmp_path / "store")}
    assert not written


def test_without_the_package_one_line_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, parquet = save(tmp_path / "saved", [table(takes(4))]), write_parquet(tmp_path / "a.parquet", takes(4))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"the package datasets\b.*pip install 'wordless\[datasets\]'"):
        found(folder, tmp_path / "store")
    assert len(found(parquet, tmp_path / "store").frame) == 4


@pytest.mark.parametrize("seed", range(6))
def test_every_file_row_and_column_is_used_or_not_exactly_once(seed: int, tmp_path: Path) -> None:
    draw, counts, number = random.Random(seed), dict[str, int](), 0
    splits = ["train", *draw.sample(["test", "extra", "old"], draw.randint(0, 3))]
    kept = splits[: draw.randint(1, len(splits))]
    for split in splits:
        parts, shards = list[pa.Table](), draw.randint(1, 3)
        for shard in range(shards):
            size = draw.randint(1, 5)
            texts = ["x" if not number + row else draw.choice([None, f"t\u2028{row}", "x", "x"]) for row in range(size)]
            rows = takes(size, first=number)
            parts.append(table(rows, text=pa.array(texts, pa.string()), vector=[[0.5]] * size))
            counts |= {f"{split}/data-{shard:05}-of-{shards:05}.arrow": size} if split in kept else {}
            number += size
        save(tmp_path / "d" / split, parts)
        if draw.random() < 0.5:
            (tmp_path / "d" / split / draw.choice(["cache-1.arrow", "data-9.arrow", "b.parquet", "notes.txt"])).touch()
    (tmp_path / "d/dataset_dict.json").write_text(json.dumps({"splits": kept}))
    clips = found(tmp_path / "d", tmp_path / "store", columns=ColumnConfig(label="text", group="speaker"))
    there = {path.relative_to(tmp_path / "d").as_posix() for path in (tmp_path / "d").rglob("*") if path.is_file()}
    assert sorted(each.name for each in items(clips, "file")) == sorted(there)
    every = take_account(clips, clips, clips.rejected).items
    assert all(bool(each.used_as) != bool(each.why) for each in every)
    rows = Counter[str]()
    for each in items(clips, "row"):
        rows[each.of] += each.number
    assert rows == counts
    assert sum(each.number for each in items(clips, "row") if each.used_as) == len(clips.frame)
    reasons = Counter(why for each in unused(clips, "row") for why in [each.why] * each.number)
    assert reasons == Counter(each.reason for each in clips.rejected)
    assert all("U+2028" in why or "in no split" in why for why in reasons)
    assert Counter(each.name for each in items(clips, "column")) == Counter(
        ["audio", "label", "speaker", "text", "vector"]
    )
    assert {each.name for each in items(clips, "column") if each.used_as} == {"audio", "speaker", "text"}
    assert {each.number for each in items(clips, "column")} == {len(counts)}
