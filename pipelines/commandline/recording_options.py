"""Options of commands that read recordings, and files of other programs for the parts that they find there.

`recordings.annotations` reads these files again.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from pipelines.store.outputs import new_folder
from pipelines.store.shared_options import ModelOptions, WorkerOptions
from pipelines.store.store import StoreOptions
from wordless.audio.decoding import length_of
from wordless.audio.recordings.annotation_formats import Event
from wordless.audio.recordings.annotation_kinds import ANNOTATION_KINDS
from wordless.audio.recordings.corpus_config import AnnotationOptions
from wordless.audio.recordings.manifest import Clips, writable
from wordless.base.files import write_aside
from wordless.base.messages import InputError, listed
from wordless.base.options import REQUIRED, Options, option

WRITERS = {name: kind for name, kind in ANNOTATION_KINDS.items() if kind.write is not None}
SUFFIXES = {name: kind.suffixes[0] for name, kind in WRITERS.items()}
_ENDINGS = [*SUFFIXES.values()]
TABLES = (".tsv", ".json", ".parquet")


@dataclass(frozen=True, kw_only=True)
class InputOptions(ModelOptions, WorkerOptions, AnnotationOptions):
    """Options of commands that read recordings with a trained model."""


@dataclass(frozen=True, kw_only=True)
class StoredOptions(InputOptions, StoreOptions):
    input: Path = option(
        REQUIRED,
        "a recording, or a folder of recordings, embed: or a table of them such as runs/x/manifest.tsv; "
        "<output>.rejected.tsv lists what is set aside, <output>.account.tsv all that was read",
    )


def require_writable_folder(place: Clips, output: Path) -> None:
    """Refuse a folder of recordings whose name a table cannot hold."""
    if not writable(str(place.root)):
        problem = f"input={place.root} holds a tab, a line break or bytes that are not UTF-8"
        raise InputError(f"{problem}, which {output} cannot hold; rename the folder")


@dataclass(frozen=True, kw_only=True)
class FileOptions(Options):
    """The option of commands that write the parts of recordings which they found."""

    output: Path | None
    format: str = option(
        "auto",
        f"of the output: table, or a file of another program; auto: as the suffix says, such as {listed(_ENDINGS)}. An "
        "output without suffix is a folder with a file for each recording",
        choices=("auto", "table", *WRITERS),
    )

    @property
    def kind(self) -> str | None:
        """The kind of file of another program that is written; None: a table, or nothing."""
        return None if self.output is None else kind_of_output(self.output, self.format, *TABLES)


def kind_of_output(output: Path, format: str, *suffixes: str) -> str | None:
    """Return the kind of file that an output is; None: a table, which has one of the ``suffixes``."""
    name = output.name.lower()
    fitting = (kind for kind, suffix in SUFFIXES.items() if name.endswith(suffix.lower()))
    kind = format if format in SUFFIXES else next(fitting, None) if format == "auto" else None
    if kind is None:
        fits, wanted = output.suffix.lower() in suffixes, [*suffixes, *(_ENDINGS if format == "auto" else ())]
    else:
        fits, wanted = name.endswith(SUFFIXES[kind].lower()) or not output.suffix, [SUFFIXES[kind]]
    if not fits:
        rule = f"name a file ending in {listed(wanted, 'or')}{'' if kind is None else ', or a folder'}"
        raise InputError(option="output", value=output, rule=rule)
    return kind


def require_input_recordings(output: Path, kind: str | None, paths: Iterable[str]) -> None:
    """Refuse an output that cannot hold the events of these recordings."""
    names = [Path(path).with_suffix("") for path in dict.fromkeys(paths)] if kind is not None else []
    if kind is not None and not WRITERS[kind].holds_several and output.suffix and len(names) != 1:
        count = len(names) or "none"
        rule = f"a {WRITERS[kind].title} has one recording, and there are {count}: name a folder, format={kind}"
        raise InputError(option="output", value=output, rule=rule)
    if not output.suffix and (twice := next((name for name, count in Counter(names).items() if count > 1), None)):
        rule = f"two recordings are called {twice.name}: move one to another folder, or write a table"
        raise InputError(option="output", value=output, rule=rule)


def write_annotations(output: Path, kind: str, paths: Sequence[str], events: Sequence[Event]) -> None:
    """Write the events of all recordings ``paths``: a folder of files with the names of recordings, or one file.

    Labels are in one line. A recording without events has a file without parts.
    """
    lengths, by_path = {path: seconds_of_recording(Path(path)) for path in paths}, dict[str, list[Event]]()
    for event in sorted(events, key=attrgetter("path", "start", "end")):
        by_path.setdefault(event.path, []).append(event)
    written = WRITERS[kind].write
    assert written is not None
    if output.suffix:
        require_input_recordings(output, kind, paths)  # of which some could not be used
        return write_aside(output, written(lengths, by_path))
    root = os.path.commonpath([Path(path).parent for path in paths]) if paths else ""
    with new_folder(output) as folder:
        for path in paths:
            place = folder / f"{os.path.relpath(Path(path).with_suffix(''), root)}{SUFFIXES[kind]}"
            place.parent.mkdir(parents=True, exist_ok=True)
            write_aside(place, written({path: lengths[path]}, by_path))


def seconds_of_recording(path: Path) -> float:
    """Return the length of a recording."""
    samples, rate = length_of(path)
    return samples / rate
