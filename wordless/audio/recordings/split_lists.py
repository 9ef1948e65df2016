"""Splits by the lists of a data set: text files below its root with the path of a recording in each line.

Speech Commands has such lists for validation and test::

    speech_commands/validation_list.txt    bed/026290a7_nohash_0.wav
                                           bed/060cd039_nohash_0.wav
    speech_commands/testing_list.txt       bed/0c40e715_nohash_0.wav
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from wordless.audio.recordings.description import Description
from wordless.audio.recordings.manifest import SPLITS, Rejected, Split
from wordless.audio.recordings.recording_paths import listed_path
from wordless.audio.recordings.splits import SplitConfig
from wordless.audio.recordings.table_text import read_text
from wordless.base.errors import InputError

Described = dict[str, tuple[Description, ...]]  # descriptions of each recording, or of its parts, by path


def split_by_lists(root: Path, described: Described, config: SplitConfig) -> tuple[Described, tuple[Rejected, ...]]:
    """Give the recordings below ``root`` the split whose list names them.

    Without a list for training, all other recordings train. With one, recordings that no list names are also returned,
    as set aside. A list may name recordings that the corpus leaves out, such as those that its pattern does not fit.

    Raises:
        InputError: a list cannot be read, names a file that is not there, or names one that another list names, too.
    """
    named: dict[str, tuple[Split, str]] = {}
    for split in SPLITS:
        for name in config.names(split):
            for path, where in _lines(root, name, split):
                known, before = named.setdefault(path, (split, where))
                if known != split:
                    raise InputError(
                        f"{where}: {path} is named for {split}, and for {known} in {before}; leave one out"
                    )
    others: Split | None = None if config.names("train") else "train"
    found = {path: named[path][0] if path in named else others for path in described}
    kept = {
        path: tuple(replace(each, split=split) for each in described[path]) for path, split in found.items() if split
    }
    reason = "in no split: no list of corpus.split names it"
    return kept, tuple(Rejected(path=path, reason=reason) for path, split in found.items() if split is None)


def _lines(root: Path, name: str, split: Split) -> Iterator[tuple[str, str]]:
    """Give the path of each line of a list, relative to the root, and the line's place."""
    file = root / name
    text = read_text(file, f"corpus.split.{split}={name}, the list {file},")
    for number, line in enumerate(text.split("\n"), start=1):
        if path := line.strip():
            where = f"{file}:{number}"
            yield listed_path(root, path, where, remedy="remove the line, or add the file"), where
