"""Lists of the files that a command set aside, as the commands write them."""

import csv
from pathlib import Path

from wordless.audio.recordings.manifest import Rejected


def read_rejected(path: Path) -> tuple[Rejected, ...]:
    """Read a file that `write_rejected` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t")
    assert header == ["path", "reason", "kind"]
    return tuple(Rejected(path=path, reason=reason, kind=kind) for path, reason, kind in rows)
