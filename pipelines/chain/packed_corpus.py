"""Recordings of a data set: unpacked into the store once, and from then on a folder with a table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from glob import has_magic
from pathlib import Path
from typing import Final

from pipelines.commandline.outputs import require_space
from pipelines.store.store import UNPACKED
from wordless.audio.recordings.corpus import CorpusConfig
from wordless.audio.recordings.packed.unpacking import (
    PackedDataSet,
    Unpacked,
    is_unpacked,
    label_table,
    missing_bytes,
    open_data_set,
    open_shards,
    unpack,
    unpacked_place,
)
from wordless.base.progress import Terminal
from wordless.base.text import counted

MEGABYTE: Final = 1_000_000


def unpacked_corpus(config: CorpusConfig, store: Path, *, terminal: Terminal) -> CorpusConfig:
    """Return the options of the corpus with the folder and table of its unpacked recordings.

    Raises:
        InputError: the data set cannot be read, has no such column, or does not fit on the disk of the store.
    """
    data_set = open_shards(config.shards) if config.shards else open_data_set(config.dataset or "", config.columns)
    place = unpacked_place(data_set, store / UNPACKED)
    if not is_unpacked(data_set, place):
        _unpack(data_set, place, store, terminal)
    table, notices = label_table(data_set, place, config.columns, own_splits=config.split.by == "table")
    for notice in notices:
        terminal.say(f"corpus    {data_set.name}: {notice}")
    unpacked = replace(config, root=str(place.sounds), table=str(table))
    return unpacked if config.labels == "none" else replace(unpacked, labels="pattern")  # no folder's name is a label


def corpus_name(config: CorpusConfig) -> str:
    """Return the name of a data set for people: of its folder or file, or of the folder in which a pattern looks."""
    place = Path(config.dataset or config.shards or "").expanduser().absolute()
    return next(
        (each.name for each in (place, *place.parents) if not has_magic(str(each)) and "{" not in each.name), ""
    )


def _unpack(data_set: PackedDataSet, place: Unpacked, store: Path, terminal: Terminal) -> None:
    """Unpack the data set if there is room for it."""
    needed = missing_bytes(data_set, place)
    require_space(store, "store.root=PATH", arrays=needed)
    files, size = counted(len(data_set.files), "file"), f"{-(-needed // MEGABYTE):,} MB"
    terminal.say(f"corpus    {data_set.name}: {files}, unpacked once; about {size} more in {place.folder}")
    with _megabytes(terminal, "unpacking", needed) as add:
        unpack(data_set, place, add)


@contextmanager
def _megabytes(terminal: Terminal, title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show the progress of a number of bytes in megabytes; give a function that adds bytes that are done."""
    done = 0
    with terminal.working(title, total // MEGABYTE, "MB") as progress:

        def add(amount: int) -> None:
            nonlocal done
            before, done = done, done + amount
            if before // MEGABYTE < done // MEGABYTE < total // MEGABYTE:  # the total is an estimate
                progress.advance_to(done // MEGABYTE)

        yield add
