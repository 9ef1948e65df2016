"""Small data sets of synthetic recordings."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

NAMES = ("low", "high")
AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {
    "audio": {"_type": "Audio", "sampling_rate": 8000},
    "label": {"_type": "ClassLabel", "names": list(NAMES)},
    "tags": {"_type": "List", "feature": {"_type": "ClassLabel", "names": ["a", "b", "c"]}},
}


@dataclass(frozen=True, kw_only=True)
class Take:
    """A recording of a data set."""

    path: str
    content: bytes
    label: int
    speaker: str


def sound(number: int, *, kind: str = "WAV", seconds: float = 0.2) -> bytes:
    time = np.arange(round(8000 * seconds)) / 8000
    noise = np.random.default_rng(number).normal(size=len(time))
    samples = 0.3 * np.sin(2 * np.pi * (1500 if number % 2 else 300) * time) + 0.05 * noise
    file = io.BytesIO()
    soundfile.write(file, samples, 8000, format=kind)
    return file.getvalue()


def takes(count: int, *, first: int = 0) -> list[Take]:
    return [
        Take(path=f"clip_{each:02d}.wav", content=sound(each), label=each % 2, speaker=f"s{each // 2 % 3}")
        for each in range(first, first + count)
    ]


def table(rows: Sequence[Take], **columns: Sequence[object]) -> pa.Table:
    """The table that `datasets` would have of recordings, with the features in its metadata."""
    values = {
        "audio": pa.array([{"bytes": each.content, "path": each.path} for each in rows], AUDIO),
        "label": pa.array([each.label for each in rows], pa.int64()),
        "speaker": [each.speaker for each in rows],
        **columns,
    }
    found = pa.table(values)
    features = {each.name: FEATURES.get(each.name) or feature(each.type) for each in found.schema}
    return found.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def feature(kind: pa.DataType) -> dict[str, object]:
    """What `datasets` writes of a column of this type."""
    if pa.types.is_list(kind):
        return {"_type": "List", "feature": feature(kind.value_type)}
    return {"_type": "Value", "dtype": str(kind)}


def write_parquet(path: Path, rows: Sequence[Take], *, at_once: int = 4, **columns: Sequence[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(rows, **columns), path, row_group_size=at_once)
    return path


def save(folder: Path, parts: Sequence[pa.Table]) -> Path:
    """Write the tables as `save_to_disk` writes shards."""
    pytest.importorskip("datasets", reason="needs pip install 'wordless[datasets]'")
    folder.mkdir(parents=True)
    files = [f"data-{number:05d}-of-{len(parts):05d}.arrow" for number in range(len(parts))]
    for name, part in zip(files, parts, strict=True):
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, part.schema) as stream:
            stream.write_table(part, max_chunksize=4)
    write_state(folder, _data_files=[{"filename": name} for name in files])
    features = {each.name: FEATURES.get(each.name) or feature(each.type) for each in parts[0].schema}
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


def write_state(folder: Path, **values: object) -> None:
    """Write state.json, or change values of it."""
    place, usual = folder / "state.json", {"_fingerprint": "0", "_format_columns": None, "_format_kwargs": {}}
    before = json.loads(place.read_text()) if place.is_file() else usual | {"_format_type": None, "_split": None}
    place.write_text(json.dumps({"_output_all_columns": False} | before | values))


def save_splits(folder: Path, splits: Mapping[str, Sequence[Take]]) -> Path:
    for name, rows in splits.items():
        save(folder / name, [table(rows)])
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return folder
