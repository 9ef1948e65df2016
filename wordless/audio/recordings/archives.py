"""Archives, such as the tar shards of WebDataset, whose recordings are read only after they are unpacked."""

import os
import re
from collections.abc import Iterable

from wordless.base.messages import InputError, counted

_NAMES = re.compile(r"\.(?:tar(?:\.(?:gz|bz2|xz|zst|lz4))?|tgz|tbz2?|txz|tzst|zip|7z|rar)\Z", re.IGNORECASE)
UNPACK = "unpack it (tar -xf FILE, unzip FILE) into a folder"


def is_archive(path: str) -> bool:
    """Return whether a path, or a pattern of paths such as ``shard-{000..009}.tar``, has the ending of an archive."""
    return _NAMES.search(path.strip()) is not None


def require_no_archive(option: str, value: str | None) -> None:
    """Refuse an archive as the value of an option that names recordings; a folder may have such a name."""
    if value is not None and is_archive(value) and not os.path.isdir(os.path.expanduser(value)):  # noqa: PTH111, PTH112  Path raises for some values
        remedy = f"{UNPACK}, and name that as `root`, or a table in it as `table`"
        raise InputError(option=option, value=value, rule="archives are not read", remedy=remedy)


def archive_notices(files: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence about the archives among the files of a folder; none if there are none."""
    found = sorted(filter(is_archive, files))
    if not found:
        return ()
    unpack = "unpack them (tar -xf FILE, unzip FILE)"
    return (f"{counted(len(found), 'archive')} not read, such as {found[0]}: {unpack} if they hold recordings",)
