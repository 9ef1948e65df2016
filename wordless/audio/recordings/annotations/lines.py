"""Annotations with a part in each line: Raven, Audacity, ``.lab``, RTTM and CTM."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

from wordless.audio.recordings.annotations.annotation import NUMBER, Annotation, Tier, one_line, seconds
from wordless.base.errors import InputError

BEGIN, END = "begin time (s)", "end time (s)"
OFFSET = "file offset (s)"
# Columns that Raven and BirdNET write for every selection; a column whose name ends in a unit is a measurement as well.
_MEASURED = {
    *("selection", "view", "channel", "begin file", "end file", "begin path", "end path", "begin date", "end date"),
    *("begin date time", "end date time", "begin clock time", "end clock time", "begin hour", "begin day", "end day"),
    *("confidence", "score", "peak lag", "snr nist quick", "notes", "comments", "length", "occupancy"),
}
_UNIT = re.compile(r"\((?:s|ms|hz|khz|db.*|u|u.|bits|frames|samples|hh.*|pa.*|%|.*/hz)\)$")
_USUAL = ("annotation", "annotations", "label", "labels", "species", "common name", "class", "call type", "tag", "tags")
_TRACK = re.compile(rf"({NUMBER})\t({NUMBER})(?:\t(.*))?")
_BOUNDS = re.compile(rf"\\\t({NUMBER})\t({NUMBER})\s*")
_LAB = re.compile(rf"\s*({NUMBER})\s+({NUMBER})\s+(\S.*)")
_SHAPE = 3  # cells of a line of a label track
HTK_UNITS = 1e7  # a second; HTK counts 100 ns


def is_raven(first: str) -> bool:
    """Return whether a line is the header of a selection table."""
    names = [name.strip().lower() for name in first.split("\t")]
    return BEGIN in names and END in names


def raven(text: str, shown: str, label: str | None, group: str | None) -> list[Tier]:
    """Read a selection table; each column that may hold labels is a tier. ``label`` and ``group`` name columns."""
    head, *lines = text.split("\n")
    if not is_raven(head):
        raise InputError(f"{shown}:1: a selection table of Raven has the columns Begin Time (s) and End Time (s)")
    header = [name.strip() for name in head.split("\t")]
    lower = [name.lower() for name in header]
    rows: list[tuple[str, dict[str, str] | None]] = []
    for number, line in enumerate(lines, start=2):
        cells = line.split("\t")
        if not line.strip():
            continue
        fits = len(cells) <= len(header) or not any(cells[len(header) :])
        cells += [""] * (len(header) - len(cells))
        rows.append((f"{shown}:{number}", dict(zip(lower, cells, strict=False)) if fits else None))
    if group is not None and group.lower() not in lower:
        raise InputError(f"{shown}:1: no column {group!r}; the selection table has {', '.join(header)}")
    parts = [_selection(where, cells, len(header), several=_begin_files(rows)) for where, cells in rows]
    columns = [label] if label and label.lower() in lower else _label_columns(header, rows)

    def labelled(column: str) -> list[Annotation]:
        return [
            Annotation(
                where=part.where,
                fields={**part.fields, "label": _cell(cells, column), "group": _cell(cells, group)},
                recording=part.recording,
                fault=part.fault,
            )
            for part, (_, cells) in zip(parts, rows, strict=True)
        ]

    return [Tier(name=column, annotations=labelled(column)) for column in columns or [""]]


def _cell(cells: dict[str, str] | None, column: str | None) -> str:
    """Return the text of a column; an empty text if there is no column, or no row."""
    return one_line(cells.get(column.lower(), "")) if cells and column else ""


def _begin_files(rows: list[tuple[str, dict[str, str] | None]]) -> bool:
    """Return whether a table is of several files."""
    return len({_begin_file(cells) for _, cells in rows if cells}) > 1


def _begin_file(cells: dict[str, str]) -> str:
    return cells.get("begin path", "").strip() or cells.get("begin file", "").strip()


def _selection(where: str, cells: dict[str, str] | None, columns: int, *, several: bool) -> Annotation:
    if cells is None:
        return Annotation(where=where, fields={}, fault=f"more values than the {columns} columns of the header")
    start, end = seconds(cells.get(BEGIN, "")), seconds(cells.get(END, ""))
    file, last = _begin_file(cells), cells.get("end file", "").strip()
    fault = None
    if file and last and PurePosixPath(file.replace("\\", "/")).name != last:
        fault = f"begins in {file} and ends in {last}; a part lies in one file"
    elif file and (offset := seconds(cells.get(OFFSET, ""))):
        try:
            start, end = offset, repr(float(offset) + float(end) - float(start))
        except ValueError:
            fault = f"{BEGIN!r}, {END!r} and {OFFSET!r} must be numbers of seconds"
    elif several:
        fault = "its time counts from the first of several files; export the column 'File Offset (s)' as well"
    fields = {"start": start, "end": end, "annotated_channel": cells.get("channel", "").strip()}
    fields |= {name: seconds(cells.get(f"{name[:-3]} freq (hz)", "")) for name in ("low_hz", "high_hz")}
    missing = [name for name, text in (("begin", start), ("end", end)) if not text]
    return Annotation(
        where=where,
        fields=fields,
        recording=file or None,
        fault=fault or (f"no {missing[0]} time" if missing else None),
    )


def _label_columns(header: list[str], rows: list[tuple[str, dict[str, str] | None]]) -> list[str]:
    """Return the columns that may hold labels: the usual one if there is one."""
    cells = [row for _, row in rows if row]
    names = [name for name in header if name and name.lower() not in _MEASURED and not _UNIT.search(name.lower())]
    if len(names) > 1:
        names = [name for name in names if any(row.get(name.lower(), "").strip() for row in cells)]
    usual = [name for name in names if name.lower() in _USUAL]
    if len(names) > 1 and len(usual) != 1:
        texts = [name for name in names if not all(_is_number(row.get(name.lower(), "")) for row in cells)]
        return usual or texts or names
    return usual if len(usual) == 1 else names


def _is_number(text: str) -> bool:
    return not text.strip() or re.fullmatch(NUMBER, text.strip()) is not None


def is_label_track(text: str) -> bool:
    """Return whether a text is a label track: every line has start, end and label, and two of three give numbers.

    A line whose times are no numbers is then one fault, and not another kind of text. Three columns of decimals are
    measurements, such as pitch.
    """
    lines = [line for line in text.split("\n") if line.strip() and not _BOUNDS.fullmatch(line)]
    if not lines or any(len(line.split("\t")) != _SHAPE for line in lines):
        return False
    found = [match for line in lines if (match := _TRACK.fullmatch(line))]
    decimals = all("." in match[3] and re.fullmatch(NUMBER, match[3].strip()) for match in found)
    return 3 * len(found) >= 2 * len(lines) and not decimals


def has_line(text: str, kind: Literal["audacity", "lab"]) -> bool:
    """Return whether any line of a text is one of a label track, or of a ``.lab``."""
    pattern = _TRACK if kind == "audacity" else _LAB
    return any(pattern.fullmatch(line) for line in text.split("\n"))


def audacity(text: str, shown: str) -> list[Tier]:
    """Read a label track; a line that begins with a backslash has the frequency bounds of the label before it."""
    found: list[Annotation] = []
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{shown}:{number}"
        if bounds := _BOUNDS.fullmatch(line):
            low, high = (seconds(each) for each in bounds.groups())
            if found:
                last = found.pop()
                known = {"low_hz": low, "high_hz": high}
                fields = {**last.fields, **{name: hz for name, hz in known.items() if not hz.startswith("-")}}
                found.append(Annotation(where=last.where, fields=fields, fault=last.fault))
        elif match := _TRACK.fullmatch(line):
            fields = {"start": seconds(match[1]), "end": seconds(match[2]), "label": one_line(match[3] or "")}
            found.append(Annotation(where=where, fields=fields))
        elif line.strip():
            fault = f"{line!r:.60} is no start<TAB>end<TAB>label with times in seconds"
            found.append(Annotation(where=where, fields={}, fault=fault))
    return [Tier(annotations=found)]


def is_lab(text: str) -> bool:
    """Return whether every line has start, end and label; a transcript, as forced aligners write it, has not."""
    found = [_LAB.fullmatch(line) for line in text.split("\n") if line.strip()]
    times = [float(seconds(match[2])) for match in found if match]
    return len(times) == len(found) > 0 and (not _is_htk(text) or max(times) >= HTK_UNITS / 1000)


def _is_htk(text: str) -> bool:
    """Return whether all times are whole numbers, as HTK writes them."""
    found = [_LAB.fullmatch(line) for line in text.split("\n")]
    return all(match[1].isdecimal() and match[2].isdecimal() for match in found if match)


def lab(text: str, shown: str) -> list[Tier]:
    """Read a ``.lab``: times are seconds, or, if all are whole numbers, 100 ns."""
    unit = HTK_UNITS if _is_htk(text) else 1.0
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{shown}:{number}"
        if match := _LAB.fullmatch(line):
            start, end = (repr(float(seconds(each)) / unit) for each in match.groups()[:2])
            label = match[3].split()[0] if unit != 1.0 else one_line(match[3])  # HTK has scores behind the label
            found.append(Annotation(where=where, fields={"start": start, "end": end, "label": label}))
        elif line.strip():
            found.append(Annotation(where=where, fields={}, fault=f"{line!r:.60} is no start, end and label"))
    return [Tier(annotations=found)]


def rttm(text: str, shown: str) -> list[Tier]:
    """Read the lines SPEAKER of an RTTM: the speaker is the label."""
    return [Tier(annotations=list(_timed_words(text, shown, kind="SPEAKER", first=1, least=8, label=7)))]


def ctm(text: str, shown: str) -> list[Tier]:
    """Read a CTM: a word in each line."""
    return [Tier(annotations=list(_timed_words(text, shown, kind=None, first=0, least=5, label=4)))]


def _timed_words(
    text: str, shown: str, *, kind: str | None, first: int, least: int, label: int
) -> Iterator[Annotation]:
    """Read file, channel, start and duration from column ``first`` on."""
    for number, line in enumerate(text.split("\n"), start=1):
        cells, where = line.split(), f"{shown}:{number}"
        if not cells or line.startswith(";;") or (kind is not None and cells[0] != kind):
            continue
        if len(cells) < least:
            yield Annotation(where=where, fields={}, fault=f"{len(cells)} columns, and at least {least} are needed")
            continue
        name, channel, start, duration = cells[first : first + 4]
        fields = {"start": start, "end": end_of(start, duration), "label": cells[label], "annotated_channel": channel}
        yield Annotation(where=where, fields=fields, recording=name)


def end_of(start: str, duration: str) -> str:
    """Return start and duration added, or the text that is no number, for a message about it."""
    try:
        return repr(float(start) + float(duration))
    except ValueError:
        return duration
