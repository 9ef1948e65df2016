"""Found parts of recordings in the files of Raven, Audacity and Praat, which `recordings.annotations` reads again."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Literal

from pipelines.commandline.outputs import new_folder
from wordless.audio.decoding import length_of
from wordless.audio.recordings.annotations import FILES, one_line
from wordless.base.errors import InputError
from wordless.base.files import write_aside
from wordless.base.options import Options, option

FileKind = Literal["raven", "audacity", "textgrid"]
SUFFIXES: Mapping[FileKind, str] = {"raven": ".selections.txt", "audacity": ".txt", "textgrid": ".TextGrid"}
TABLES = (".tsv", ".json", ".parquet")


@dataclass(frozen=True, kw_only=True)
class FileOptions(Options):
    """The option of commands that write the parts of recordings which they found."""

    output: Path | None
    format: Literal["auto", "table", FileKind] = option(
        "auto",
        "of the output: table, a Raven selection table, an Audacity label track, or a TextGrid; auto: as the suffix "
        "says, .selections.txt, .txt or .TextGrid. An output without suffix is a folder with a file for each recording",
    )

    @property
    def kind(self) -> FileKind | None:
        """The kind of file of another program that is written; None: a table, or nothing."""
        return None if self.output is None else kind_of_output(self.output, self.format, *TABLES)


def kind_of_output(output: Path, format: str, *suffixes: str) -> FileKind | None:
    """Return the kind of file that an output is; None: a table, which has one of the ``suffixes``."""
    name, known = output.name.lower(), {kind: suffix.lower() for kind, suffix in SUFFIXES.items()}
    kind = next((kind for kind, suffix in known.items() if name.endswith(suffix)), None) if format == "auto" else None
    kind = next((each for each in SUFFIXES if each == format), kind)
    fits = output.suffix.lower() in suffixes if kind is None else name.endswith(known[kind]) or not output.suffix
    wanted = (*suffixes, *(SUFFIXES.values() if format == "auto" else ())) if kind is None else (SUFFIXES[kind],)
    rule = f"name a file ending in {', '.join(wanted[:-1])}{' or ' if wanted[1:] else ''}{wanted[-1]}"
    remedy = "" if kind is None else "or a folder"
    if not fits:
        raise InputError(option="output", value=output, rule=f"{rule}{', ' if remedy else ''}{remedy}")
    return kind


def require_recordings(output: Path, kind: FileKind | None, paths: Iterable[str]) -> None:
    """Refuse an output that cannot hold the events of these recordings."""
    names = [Path(path).with_suffix("") for path in dict.fromkeys(paths)] if kind is not None else []
    if kind in ("audacity", "textgrid") and output.suffix and len(names) > 1:
        rule = f"a {FILES[kind][0]} has one recording, and there are {len(names)}: name a folder, format={kind}"
        raise InputError(option="output", value=output, rule=rule)
    if not output.suffix and (twice := next((name for name, count in Counter(names).items() if count > 1), None)):
        rule = f"two recordings are called {twice.name}: move one to another folder, or write a table"
        raise InputError(option="output", value=output, rule=rule)


@dataclass(frozen=True, kw_only=True)
class Event:
    """A part of a recording with a label."""

    path: str  # of the recording, as the user can open it
    start: float  # seconds
    end: float
    label: str
    score: float


def write_annotations(output: Path, kind: FileKind, paths: Sequence[str], events: Sequence[Event]) -> None:
    """Write the events of all recordings ``paths``: a folder of files with the names of recordings, or one file.

    One file of several recordings is a Raven table, whose times count from the first, as Raven opens them one after
    the other. Labels are in one line. A recording without events has an empty file.
    """
    lengths, by_path = {path: seconds_of_recording(Path(path)) for path in paths}, dict[str, list[Event]]()
    for event in sorted(events, key=attrgetter("path", "start", "end")):
        by_path.setdefault(event.path, []).append(event)
    if output.suffix:
        return write_aside(output, _written(kind, lengths, by_path))
    root = os.path.commonpath([Path(path).parent for path in paths]) if paths else ""
    with new_folder(output) as folder:
        for path in paths:
            place = folder / f"{os.path.relpath(Path(path).with_suffix(''), root)}{SUFFIXES[kind]}"
            place.parent.mkdir(parents=True, exist_ok=True)
            write_aside(place, _written(kind, {path: lengths[path]}, by_path))


def seconds_of_recording(path: Path) -> float:
    """Return the length of a recording."""
    samples, rate = length_of(path)
    return samples / rate


def _written(kind: FileKind, lengths: Mapping[str, float], by_path: Mapping[str, Sequence[Event]]) -> str:
    match kind:
        case "raven":
            return _raven(lengths, by_path)
        case "audacity":
            rows = (
                f"{e.start:.6f}\t{e.end:.6f}\t{one_line(e.label)}\n" for path in lengths for e in by_path.get(path, ())
            )
            return "".join(rows)
        case "textgrid":
            ((path, seconds),) = lengths.items()
            return _textgrid(seconds, by_path.get(path, ()))


_COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Begin Path",
    "File Offset (s)",
    "Annotation",
)


def _raven(lengths: Mapping[str, float], by_path: Mapping[str, Sequence[Event]]) -> str:
    rows, before = [(*_COLUMNS, "Score")], 0.0
    for path, seconds in lengths.items():
        for event in by_path.get(path, ()):
            times = (f"{before + event.start:.6f}", f"{before + event.end:.6f}")
            about = (str(Path(path).absolute()), f"{event.start:.6f}", one_line(event.label), f"{event.score:.6f}")
            rows.append((str(len(rows)), "Spectrogram 1", "1", *times, *about))
        before += seconds
    return "".join("\t".join(row) + "\n" for row in rows)


def _textgrid(seconds: float, events: Sequence[Event]) -> str:
    """Write intervals with the gaps between them, in the short form; events that overlap are in tiers of their own."""
    tiers = [list[Event]()]
    for event in events:
        tier = next((each for each in tiers if not each or each[-1].end <= event.start), None)
        if tier is None:
            tiers.append(tier := [])
        tier.append(event)
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "0",
        f"{seconds:.6f}",
        "<exists>",
        f"{len(tiers)}",
    ]
    for number, tier in enumerate(tiers, 1):
        intervals, at = list[tuple[float, float, str]](), 0.0
        for event in tier:
            intervals += [(at, event.start, "")] if round(event.start, 6) > round(at, 6) else []
            intervals.append((event.start, at := min(event.end, seconds), one_line(event.label)))
        intervals += [(at, seconds, "")] if round(at, 6) < round(seconds, 6) else []
        lines += [
            '"IntervalTier"',
            f'"events{f" {number}" if number > 1 else ""}"',
            "0",
            f"{seconds:.6f}",
            f"{len(intervals)}",
        ]
        for start, end, label in intervals:
            quoted = label.replace('"', '""')
            lines += [f"{start:.6f}", f"{end:.6f}", f'"{quoted}"']
    return "\n".join(lines) + "\n"
