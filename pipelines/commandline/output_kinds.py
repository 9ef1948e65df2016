"""Check of the suffix of ``output=...``: a file that the command writes, a folder, or a mistake."""

from collections.abc import Collection
from pathlib import Path

from audio.recordings.corpus import EXTENSIONS
from foundation.errors import InputError

# Suffixes of files. An output with any other suffix, such as "codes.v2", is taken for a folder.
ARRAYS = ("npz", "npy", "pt", "pth", "bin", "ckpt", "pkl", "pickle", "h5", "hdf5", "mat", "onnx", "safetensors")
TABLES = ("parquet", "arrow", "feather", "csv", "tsv", "json", "jsonl", "ndjson", "txt", "km", "xlsx", "yaml", "yml")
PAGES = ("html", "md", "pdf", "png", "svg", "jpg", "jpeg")
SOUNDS = (*EXTENSIONS, "aac", "m4a", "wma", "mp4", "webm", "raw", "pcm")
ARCHIVES = ("zip", "tar", "gz", "tgz", "bz2", "xz", "zst", "7z")
FILES = frozenset(f".{suffix}" for suffix in (*ARRAYS, *TABLES, *PAGES, *SOUNDS, *ARCHIVES))


def require_kind(output: Path, written: Collection[str], *, possible: str) -> None:
    """Refuse an output whose suffix is that of a file which the command does not write.

    Args:
        written: suffixes of the files that the command writes, such as ".wav".
        possible: what the user can name instead.
    """
    suffix = output.suffix.lower()
    if suffix in FILES and suffix not in written:
        raise InputError(f"output={output} looks like a {suffix} file, which is not written here; name {possible}")
