"""Descriptions of recordings from their names, their folders or the rows and columns of a table.

File-name patterns: ``{label}_{group}_{index}.wav``.

========================  =====================================================================
``{label}`` ``{group}``   the fewest characters that fit, at least one, without ``/``
``{fold}`` ``{split}``    likewise
``{index}``               digits
``*``                     no or any characters, without ``/``
``**``                    no or any characters
========================  =====================================================================

A pattern with ``/`` is matched with the path below the corpus root, one without only with the file's name. The
extension may be omitted.

Python's regular expressions take hours for some patterns and names, such as 4,000 underscores. The time of those of
Arrow (RE2) grows with the length of the pattern times that of the name.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np
from pandas import Series
from pyarrow import array, compute, string

from wordless.audio.recordings import letters, manifest
from wordless.base.messages import InputError, counted, listed, nearest_words, suggestion
from wordless.base.options import Options, option

FIELDS = ("label", "group", "index", "fold", "split")
MEANT = {  # words that people try for a field of a pattern
    **dict.fromkeys(("speaker", "site", "subject", "patient", "individual", "animal", "session", "recorder"), "group"),
    **dict.fromkeys(("class", "species", "category", "target", "word", "emotion"), "label"),
    **dict.fromkeys(("number", "num", "n", "take", "id"), "index"),
}
SPAN_FIELDS = ("start", "end")  # of a part of a recording, in seconds; only in tables
# Frequencies and channel that an annotation names; they are kept, and change nothing of the sound.
BAND_FIELDS = ("low_hz", "high_hz", "annotated_channel")
PATH_COLUMNS = (  # well-known names of the column of recordings, the first one first
    *("path", "audio_filepath", "file_name", "filename", "filepath", "file_path", "audio_path", "audio_file"),
    *("wav", "wav_path", "wav_filename", "slice_file_name", "audio", "file"),
)
LabelType = Literal["class", "number", "text"]  # a name of a class, a measured number, or what is said
_MOST = 1e9  # seconds, thirty years; or Hz
END_TOLERANCE_SECONDS = 0.1  # an end so close to the end of the file counts as the end: decoders differ, tables round

SPLIT_NAMES: dict[manifest.Split, tuple[str, ...]] = {
    "train": ("train", "training", "trainval", "trainvalid", "traindev", "pretrain", "pretraining"),
    "validation": ("validation", "valid", "val", "dev", "devel", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_CLOCK = re.compile(r"(?:(\d{1,9}):)?(\d{1,9}):(\d{1,9}(?:\.\d*)?)")


def seconds_of(text: str, unit: float = 1.0) -> float | None:
    """Parse seconds, also with a decimal comma or as hh:mm:ss; None for other text. Plain numbers count ``unit``."""
    text = text.replace(",", ".")
    if ":" in text and (clock := _CLOCK.fullmatch(text.strip())):
        return 3600 * int(clock[1] or 0) + 60 * int(clock[2]) + float(clock[3])
    number = manifest.number_of(text)
    return number if number is None or unit == 1 else round(number * unit, 9)


_TIMES = (*SPAN_FIELDS, "duration")
_NUMBERS = (*_TIMES, "low_hz", "high_hz")
_READ = (*FIELDS, *_NUMBERS, "annotated_channel")


def describe(
    texts: Mapping[str, Sequence[str]], where: Sequence[str], *, remedy: str = ""
) -> tuple[dict[str, list[Any]], dict[int, str]]:
    """Parse what a source says of recordings, with a text of each; empty text means unknown. A part has a begin.

    Returns columns of candidates, and the faults of rows by their numbers, which begin with ``where`` ("table.tsv:3").
    ``remedy`` is what else helps against a value that cannot be, with {} for the name of the field.
    """
    columns: dict[str, list[Any]] = {name: [None] * len(where) for name in _TIMES}
    columns["split"], faults = [""] * len(where), dict[int, str]()
    for name in (name for name in _READ if name in texts):
        columns[name] = manifest.once_each(partial(_value, name), texts[name])
        also = remedy and f", or {remedy.format(name)}"
        wrong = ((row, value.message) for row, value in enumerate(columns[name]) if isinstance(value, InputError))
        faults = {row: f"{fault}{also}" for row, fault in wrong} | faults
    begins, ends, durations = (columns.pop(name) for name in _TIMES)
    for row, (start, end, duration) in enumerate(zip(begins, ends, durations, strict=True)):
        if row in faults:
            continue
        if end is None and duration is not None:
            ends[row] = end = (start or 0.0) + duration
        begins[row] = (start or 0.0) if start or end is not None else None
        if end is not None and end <= (start or 0.0):
            faults[row] = f"end is {end:g} and start {start or 0:g}; a part of a recording ends after it begins"
    columns |= {"begin": begins, "end": ends, "where": [*where]}
    return columns, {row: f"{where[row]}: {fault}" for row, fault in sorted(faults.items())}


def _value(name: str, text: str) -> object:
    if fault := letters.refused(text := letters.plain(text)):
        rule = "leave tabs, line breaks and control characters out"
        return InputError(f"{name} is {text!r:.80}, with {fault}; {rule}")
    if name in _NUMBERS and text:
        number, unit = seconds_of(text), "Hz" if name.endswith("hz") else "seconds"
        wrong = number is None or not 0 <= number <= _MOST
        return InputError(f"{name} is {text!r:.40}; it must be a number of {unit}, 0 or more") if wrong else number
    if name == "index" and text:
        rule, index = f"index is {text!r:.40}; it must be a whole number up to 2^63 - 1", manifest.whole_number(text)
        return InputError(rule) if index is None else index
    if name == "split" and text:
        known = ", ".join(name for names in SPLIT_NAMES.values() for name in names)
        rule = f"split is {text!r:.40}; write one of {known}, or choose `split.by`=hash, which draws all"
        return known_split(text) or InputError(rule)
    return text or ("" if name == "split" else None)


def with_measured_times(found: manifest.Clips, lengths: Mapping[str, tuple[int, int]]) -> manifest.Clips:
    """Place parts of recordings in samples, as segment 0; parts outside are set aside, whole recordings stay.

    ``lengths`` has the samples and the rate in Hz of each recording with a part.
    """
    named = found.frame[found.frame.begin.notna()]
    if not len(named):
        return found
    length, rate = np.array([lengths[path] for path in named.path]).T
    begin, end = named.begin.to_numpy(float), named.end.to_numpy(float)  # no end is NaN
    begins_behind = begin >= length / rate
    outside = begins_behind | (end > length / rate + END_TOLERANCE_SECONDS)
    start = np.rint(begin * rate)
    size = np.maximum(np.fmin(np.rint(end * rate), length) - start, 0)
    frame, parts = found.frame.copy(), size != length
    frame.loc[named.index[parts], "segment"] = 0
    for name, values in (("start", start), ("num_samples", size), ("sample_rate", rate)):
        frame.loc[named.index[parts], name] = values[parts].astype(np.int64)
    rejected = [*found.rejected]
    for row in np.flatnonzero(outside):
        clip, behind = named.iloc[row], "begins" if begins_behind[row] else "ends"
        name = manifest.clip_name(clip.path, (clip.begin, clip.begin if clip.end is None else clip.end))
        reason = f"{behind} behind the end of the recording: it is {length[row] / rate[row]:.3f} s long"
        place = f" ({clip['where']})" if clip["where"] else ""
        row_of = clip["where"]
        rejected.append(manifest.Rejected(path=name, reason=f"{reason}{place}", kind=manifest.OUTSIDE, where=row_of))
    return replace(found, frame=frame.drop(named.index[outside]).reset_index(drop=True), rejected=tuple(rejected))


# Seconds of units that whole numbers may count, beside samples of the recording
_UNITS = {"frames of 40 ms": 0.04, "frames of 20 ms": 0.02, "frames of 10 ms": 0.01, "milliseconds": 0.001}
_LEAST_SHARE = 0.05  # of a recording that its parts must reach in their unit
_FEW = 0.02  # of all parts: so many may lie outside by mistake


def require_inside(found: manifest.Clips, lengths: Mapping[str, tuple[int, int]], *, remedy: str) -> None:
    """Refuse parts of which most lie behind the ends of their recordings, and name units in which all lie inside.

    Some may lie inside by chance: milliseconds are seconds at the begin of an hour. So whole numbers of which more than
    a few lie outside are refused as well, if those of the same recordings are milliseconds or samples that reach a fair
    share of them. Seconds inside of a recording never do.
    """
    named = found.frame[found.frame.begin.notna() & found.frame.path.isin(lengths)]
    if not len(named):
        return
    size, rate = np.array([lengths[path] for path in named.path]).T
    begin, seconds = named.begin.to_numpy(float), size / rate
    latest = np.fmax(begin, named.end.to_numpy(float))  # no end is NaN
    outside = (begin >= seconds) | (latest > seconds + END_TOLERANCE_SECONDS)
    most, fitting = 2 * outside.sum() > len(outside), list[str]()
    beside = named.path.isin({*named.path[outside]}).to_numpy()  # all parts of recordings with some outside
    if outside.mean() > _FEW and not ((begin % 1) + (latest % 1)).any():
        steps = {**(_UNITS if most else {"milliseconds": 0.001}), "samples": 1 / rate[beside]}
        for unit, step in steps.items():
            share = Series(latest[beside] * step / seconds[beside]).groupby(named.path[beside].to_numpy()).max()
            fitting += [unit] if share.max() <= 1 and share.median() >= _LEAST_SHARE else []
    if not most and not fitting:
        return
    first = int(outside.argmax())
    example = f"{latest[first]:g} s in {named.path.iloc[first]}, which lasts {seconds[first]:.3f} s"
    where = f"{named['where'].iloc[first]}: " if named["where"].iloc[first] else ""
    which = f"{outside.sum()} of {counted(len(outside), 'part')} lie behind the ends of their recordings"
    unit = f"all lie inside as {listed(fitting, 'or')}: " if fitting else ""
    written = "write seconds, or name the columns by their unit, such as start_ms; " if fitting else ""
    raise InputError(f"{where}{example}: {which} if times are seconds", remedy=f"{unit}{written}{remedy}")


def group_of(path: str) -> str:
    """Return the group of the parts of a recording, if annotations give no other: all of them stay in one split."""
    return str(PurePosixPath(path).with_suffix(""))


_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")  # between the words of PublicTest
_SPLIT_OF = {word: split for split, names in SPLIT_NAMES.items() for name in names for word in (name, f"{name}set")}


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case: ``startTime``, ``Start (s)`` and ``t_start`` have start."""
    return [each for each in re.split(r"[\W_]+", _CAMEL.sub(" ", name).lower()) if each]


def known_split(name: str) -> manifest.Split | None:
    """Return the split that a word of a name stands for, such as test of ``test.clean``; the first word counts."""
    return next(filter(None, map(_SPLIT_OF.get, re.split(r"[^a-z]+", _CAMEL.sub(" ", name).lower()))), None)


_OF_SPLITS = {"split", "splits", "set", "subset", "partition", "fold", "usage"}  # words of names of columns


def split_columns(columns: Mapping[str, Sequence[str]]) -> dict[str, tuple[list[str], list[str]]]:
    """Return the columns that divide the rows by their names and values, such as Subset with train and test.

    Of each: the values that are known splits, and those that are none. A column without a known value holds other
    things, such as sizes or the numbers of folds, and one of a single value divides nothing.
    """
    found = dict[str, tuple[list[str], list[str]]]()
    for column, texts in columns.items():
        if not _OF_SPLITS.isdisjoint(words_of(column)):
            names = dict.fromkeys(text for text in map(str.strip, texts) if text and text not in MISSING)
            known = [name for name in names if known_split(name)]
            if known and len(names) > 1:
                found[column] = known, [name for name in names if name not in known]
    return found


def divided_by_names(by: str, names: Iterable[str]) -> str:
    """Return the options that name splits ``by`` folders or folds: those of training clips only if no name says train.

    Names that are known as no split are held out for test; without a name of training clips, the first one trains.
    """
    of: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for name in names:
        of[known_split(name) or "test"].append(name)
    if of["train"]:
        of["train"] = []  # then all others train
    else:
        of["train"].append(next(filter(None, (of["validation"], of["test"]))).pop(0))
    return " ".join(
        [f"`split.by`={by}", *(f"`split.{split}`=[{','.join(each)}]" for split, each in of.items() if each)]
    )


def split_depth(paths: Collection[str]) -> int | None:
    """Return the depth of folders that are named after splits: 0 for ``train/dog/a.wav``, 1 for ``dog/train/a.wav``.

    Words of a vocabulary may be called train and test, too. So most recordings must lie in such folders, or a folder
    such as test must have sub-folders of the same names as the folders beside it. A folder alone, such as
    ``test_corpus`` around ``train`` and ``test``, counts only if none below it are named after splits.
    """
    folders, alone = [path.split("/")[:-1] for path in paths], None
    for depth in range(max(map(len, folders), default=0)):
        names = Counter(parts[depth] for parts in folders if len(parts) > depth)
        if 2 * names.total() <= len(folders):
            break
        splits = {name: split for name in names if (split := known_split(name))}
        below = {parts[depth + 1] for parts in folders if len(parts) > depth + 1 and parts[depth] in splits}
        most = 2 * sum(names[name] for name in splits) > len(folders)
        if (most and len({*splits.values()}) > 1) or (below and below <= names.keys()):
            return depth
        if most and len(names) == 1 and alone is None:
            alone = depth
    return alone


def folder_split(path: str, depth: int) -> manifest.Split | None:
    """Return the split that the folder at a depth of a path is named after."""
    return next(map(known_split, path.split("/")[depth:-1]), None)


_MOST_GAPS = 100
_TOKEN = re.compile(r"\{[^{}]*\}|\*\*|\*|[^*{}]+|[{}]")
_GAPS = {"*": "[^/]*?", "**": "(?s:.*?)", "{index}": r"(?P<index>\p{Nd}+)"}


def pattern_fields(pattern: str) -> tuple[str, ...]:
    """Return the names of the fields of a file-name pattern, in order; refuse a malformed pattern."""
    names = tuple(re.findall(r"\{([^{}]*)\}", pattern))
    rest, gaps = re.sub(r"\{[^{}]*\}", "", pattern), sum(token[0] in "*{" for token in _TOKEN.findall(pattern))
    known = {*names} <= {*FIELDS} and len({*names}) == len(names)
    if not pattern or not known or {*"{}"} & {*rest} or gaps > _MOST_GAPS:
        fields = ", ".join(f"{{{name}}}" for name in FIELDS)
        meant = (f"{{{name}}} is no field: did you mean {{{MEANT[name]}}}? " for name in names if name in MEANT)
        rule = f"{next(meant, '')}write at most {_MOST_GAPS} of the fields {fields}, each once, and of asterisks"
        raise InputError(option="pattern", value=pattern, rule=rule)
    return names


def match_pattern(pattern: str, paths: Iterable[str]) -> list[dict[str, str] | None]:
    """Match paths below the corpus root ("/" between folders): the fields of each, or None if it does not fit.

    Each field and asterisk is as short as possible, an index as long as possible.
    """

    parts = {f"{{{name}}}": f"(?P<{name}>[^/]+?)" for name in pattern_fields(pattern)} | _GAPS
    whole = "".join(parts.get(token) or re.escape(token) for token in _TOKEN.findall(pattern))
    names = [path if "/" in pattern else path.rpartition("/")[2] for path in paths]
    # a name may have bytes that are not UTF-8
    whole, *names = (text.encode(errors="replace").decode() for text in (whole, *names))
    found = compute.extract_regex(array(names, string()), pattern=rf"^(?P<all>{whole})(?:\.[^./]+)?$").to_pylist()
    return [each and {field: text for field, text in each.items() if field != "all"} for each in found]


SEPARATOR = ";"  # between several labels of a recording, as a probe separates them


def joined(texts: Iterable[str]) -> str:
    """Join several labels of a recording; empty ones are none."""
    return SEPARATOR.join(filter(None, texts))


def cell_text(value: object, names: Sequence[str] | None = None) -> str:
    """Write a value as text, a list joined; empty where it is not known. ``names`` are those of classes."""
    if isinstance(value, list | tuple):
        return joined(cell_text(each, names) for each in value)
    if value is None or isinstance(value, dict) or value != value:  # NaN
        return ""
    if names is not None and isinstance(value, int):  # -1 is no class
        return "" if value == -1 else names[value] if 0 <= value < len(names) else f"class {value}"
    return str(value)


_WHOLE = re.compile(r"-?\d+\.0")


def whole_numbers(texts: list[str]) -> list[str]:
    """Return whole numbers without the .0 that pandas gives all of a column with gaps; other texts as they are."""
    values = {*texts} - {""}
    return [text.removesuffix(".0") for text in texts] if values and all(map(_WHOLE.fullmatch, values)) else texts


# cells, as R, pandas and spreadsheets write what is not known
MISSING = ("NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "None", "null", "NULL")
UNREAD = "none"  # in the place of a column: a well-known one is left unread, such as a start that means another thing


@dataclass(frozen=True, kw_only=True)
class ColumnConfig(Options):
    """Columns of a table or data set.

    None: in a table, a column of a well-known name (`recordings/tables.py`); in a data set, nothing but its only column
    of sound and its splits. `UNREAD`: no column, whatever its name.
    """

    audio: str | None = option(
        None,
        "column with the paths or recordings; null: of a table, one of a well-known name; of a data set, its only one",
    )
    label: str | int | tuple[str | int, ...] | None = option(
        None,
        "column of the label, or several: [tempo,key]; null: of a table, one of a well-known name; of a data set, no "
        "labels",
    )
    group: str | None = option(None, "column of the group, such as the speaker; null as for labels")
    fold: str | None = option(None, "column of the fold; null as for labels")
    split: str | None = option(
        None,
        "column of the split; null: the column split; of a data set, the splits of its folders and files before it",
    )
    index: str | None = option(None, "column of the position in a series, in a table")
    start: str | None = option(
        None, "column with the seconds at which a part of the recording begins, in a table; none, as for all: no column"
    )
    end: str | None = option(None, "column with the seconds at which the part ends")
    duration: str | None = option(None, "column with the seconds that the part lasts, instead of its end")
    missing: Literal["none"] | None = option(
        None,
        f"null: cells {listed(MISSING)} of a CSV or TSV are not known, unless they are quoted; none: values",
    )

    @property
    def _given(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "missing"}

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The columns that are named, by option."""
        given = {name: value for name, value in self._given.items() if value not in (None, (), UNREAD)}
        return {name: tuple(map(str, each if isinstance(each, tuple) else (each,))) for name, each in given.items()}

    @property
    def unread(self) -> set[str]:
        """Fields for which no column is read."""
        return {name for name, value in self._given.items() if value == UNREAD}

    @property
    def not_known(self) -> frozenset[str]:
        """Cells of text files that stand for missing values."""
        return frozenset(MISSING if self.missing is None else ())

    @property
    def wanted(self) -> dict[str, str]:
        """Each column that is read as text, and the option that names it."""
        return {column: f"columns.{name}" for name, each in self.named.items() for column in each if name != "audio"}


def no_such_column(option: str, column: str, there: Sequence[str], place: object) -> InputError:
    """Refuse a column that a table or a data set has not, and suggest one that it has."""
    meant = f"{suggestion(column, there)} " if nearest_words(column, there) else ""
    rule = f"{place} has no such column: {meant}its columns are {', '.join(there[:40]) or '(none)':.800}"
    return InputError(option=option, value=column, rule=rule)
