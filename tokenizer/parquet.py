"""Codes on disk: Parquet shards, one row per clip, the contract in the schema's metadata, a completion marker last."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from audio.errors import InputError
from audio.files import aside, write_aside
from audio.manifest import clip_name
from tokenizer.codes import Codes, CodesFormat, IntArray

METADATA_KEY = b"wordless.codes"
COMPLETE = "complete.json"
GROUP_CODES = 1 << 20  # codes after which a row group ends: what is held at a time, in writing and in reading
COLUMNS = pa.schema(
    [
        ("path", pa.string()),
        ("split", pa.string()),
        ("label", pa.string()),
        ("group", pa.string()),
        ("offset_frames", pa.int32()),
        ("num_samples", pa.int64()),
        ("values", pa.list_(pa.int32())),  # time-major, stream-minor
    ]
)
SPAN_COLUMNS = ("start", "end")  # seconds within the file ``path``; only in files that hold segments of recordings
_SPANS = [pa.field(name, pa.float64()) for name in SPAN_COLUMNS]


@dataclass(frozen=True, kw_only=True, eq=False)
class CodedClip:
    """Codes of one recording, or of one segment of it, and what the manifest knows of it.

    Code ``k`` of a segment stands for ``samples_per_code`` samples of its file, at the codes' sample rate, from
    ``span[0] * sample_rate + k * samples_per_code`` on.
    """

    path: str  # of the file
    codes: Codes
    span: tuple[float, float] | None = None  # begin and end of a segment in seconds; None: the whole recording
    split: str = "train"
    label: str | None = None
    group: str | None = None
    offset_frames: int = 0  # frames skipped before the first patch: another view of the same sound

    @property
    def name(self) -> str:
        """The path, and of a segment also its span: what the manifest calls the clip."""
        return clip_name(self.path, self.span)


def write_shard(path: Path, clips: Iterable[CodedClip], format: CodesFormat, *, segments: bool = False) -> None:
    """Write one Parquet file, whole or not at all, as the clips arrive: about `GROUP_CODES` codes are held at a time.

    ``segments`` adds the columns ``start`` and ``end``, which segments of recordings need.

    Raises:
        InputError: a clip's codes are of another format, or a clip is a segment and ``segments`` is false.
    """
    columns = pa.schema([*COLUMNS, *_SPANS]) if segments else COLUMNS
    schema = columns.with_metadata({METADATA_KEY: json.dumps(asdict(format), sort_keys=True).encode()})
    with aside(path) as beside, pq.ParquetWriter(beside, schema) as writer:
        for group in _groups(clips):
            for clip in group:
                _require_format(clip, format)
                _require_columns(clip, segments=segments)
            writer.write_table(pa.Table.from_pylist([_row(clip) for clip in group], schema=schema))


def _groups(clips: Iterable[CodedClip]) -> Iterator[list[CodedClip]]:
    """Clips of together `GROUP_CODES` codes or a little more, in order."""
    group: list[CodedClip] = []
    held = 0
    for clip in clips:
        group.append(clip)
        held += clip.codes.values.size
        if held >= GROUP_CODES:
            yield group
            group, held = [], 0
    if group:
        yield group


def _require_format(clip: CodedClip, format: CodesFormat) -> None:
    if clip.codes.format != format:
        raise InputError(f"{clip.path} has codes of {clip.codes.format}, the shard is of {format}; write them apart")


def _require_columns(clip: CodedClip, *, segments: bool) -> None:
    if clip.span is not None and not segments:
        raise InputError(f"{clip.name} is a segment, and the shard has no columns for its span; write segments=True")


def shard_path(folder: Path, number: int) -> Path:
    """Path of shard ``number`` of a codes folder."""
    return folder / f"codes-{number:05d}.parquet"


def mark_complete(folder: Path, *, shards: int, clips: int) -> None:
    """Say that a codes folder is whole: the last thing written into it."""
    write_aside(folder / COMPLETE, json.dumps({"shards": shards, "clips": clips}) + "\n")


def read_codes(path: Path) -> tuple[CodesFormat, Iterator[CodedClip]]:
    """Format and clips, in order, of a Parquet file or of a whole codes folder.

    Raises:
        InputError: nothing there, a folder that is not whole, or a file that holds no codes; the iterator raises it for
            values outside the codebook.
    """
    files = _shards(path) if path.is_dir() else [path]
    format = read_format(files[0])
    return format, _clips(files, format)


def read_num_samples(path: Path) -> npt.NDArray[np.int64]:
    """Samples of each clip ``(clips,)``, in order, of a Parquet file or of a whole codes folder; no code is read.

    Raises:
        InputError: as `read_codes`.
    """
    files = _shards(path) if path.is_dir() else [path]
    _require_same_format(files, read_format(files[0]))
    columns = [pq.read_table(file, columns=["num_samples"]).column(0).to_numpy() for file in files]
    return np.concatenate(columns)


def read_format(file: Path) -> CodesFormat:
    """The contract in a Parquet file's metadata."""
    try:
        metadata = pq.read_schema(file).metadata or {}
    except FileNotFoundError:
        raise InputError(f"{file} is missing; name a Parquet file or folder that wordless encode wrote") from None
    except pa.ArrowInvalid as error:
        raise InputError(f"{file} is not a Parquet file ({error}); name one that wordless encode wrote") from error
    if METADATA_KEY not in metadata:
        raise InputError(
            f"{file} holds no codes (its schema has no {METADATA_KEY.decode()}); name a file that wordless encode wrote"
        )
    return CodesFormat(**json.loads(metadata[METADATA_KEY]))


def _shards(folder: Path) -> list[Path]:
    if not (folder / COMPLETE).is_file():
        raise InputError(
            f"{folder} has no {COMPLETE}: it is not a codes folder, or not whole; run the command that writes it again"
        )
    return [shard_path(folder, number) for number in range(json.loads((folder / COMPLETE).read_text())["shards"])]


def _require_same_format(files: Iterable[Path], format: CodesFormat) -> None:
    for file in files:
        if (found := read_format(file)) != format:
            raise InputError(
                f"{file} is of codebook {found.codebook}, the shards before it of {format.codebook}; write them apart"
            )


def _clips(files: Iterable[Path], format: CodesFormat) -> Iterator[CodedClip]:
    for file in files:
        _require_same_format([file], format)
        with pq.ParquetFile(file) as shard:
            for group in range(shard.num_row_groups):
                for batch in shard.read_row_group(group).to_batches():
                    yield from _batch(batch, format, file)


def _batch(batch: pa.RecordBatch, format: CodesFormat, file: Path) -> Iterator[CodedClip]:
    """The clips of a batch; each has a copy of its codes, so that one that is kept does not keep all."""
    column = batch.column("values")
    offsets, codes = column.offsets.to_numpy(), column.values.to_numpy()
    known = [*COLUMNS.names[:-1], *(name for name in SPAN_COLUMNS if name in batch.schema.names)]
    for number, row in enumerate(batch.select(known).to_pylist()):
        yield _clip(row, codes[offsets[number] : offsets[number + 1]].copy(), format, file)


def _row(clip: CodedClip) -> dict[str, object]:
    """The cells of a clip; a schema without columns for spans leaves them out."""
    start, end = clip.span or (None, None)
    return {
        "start": start,
        "end": end,
        "path": clip.path,
        "split": clip.split,
        "label": clip.label,
        "group": clip.group,
        "offset_frames": clip.offset_frames,
        "num_samples": clip.codes.num_samples,
        "values": clip.codes.values.reshape(-1),
    }


def _clip(row: dict[str, object], values: IntArray, format: CodesFormat, file: Path) -> CodedClip:
    try:
        values = values.reshape(-1, format.streams)
        codes = Codes(values=values, num_samples=int(str(row.pop("num_samples"))), format=format)
    except ValueError as error:
        raise InputError(f"{file}, clip {row['path']}: {error}") from error
    start, end = (row.pop(name, None) for name in SPAN_COLUMNS)
    span = None if start is None or end is None else (start, end)
    return CodedClip(codes=codes, span=span, **row)  # type: ignore[arg-type]  # the schema gives the columns' types
