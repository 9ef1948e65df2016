"""Lists of the files that a command set aside, as the commands write them."""

from pathlib import Path

from wordless.audio.recordings.manifest import Rejected


def read_rejected(path: Path) -> tuple[Rejected, ...]:
    """Read a file that `write_rejected` wrote."""
    header, *lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert header.split("\t") == ["path", "reason", "kind"]
    rows = (line.split("\t") for line in lines)
    return tuple(Rejected(path=path, reason=reason, kind=kind) for path, reason, kind in rows)
