"""Columns that nothing reads: whether their values look like a division of the recordings, or like groups.

A division that is left unread trains on somebody's test set; a group that is left unread puts pieces of one source into
training and test. So both have a line of their own in the account (`recordings.account`).
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from wordless.audio.recordings.description import known_split, words_of
from wordless.audio.recordings.sources import Column, Looks

LEAST_ROWS = 4  # of a column whose values may say something about all rows
_WHOLE, _NUMBER = re.compile(r"\d{1,4}"), re.compile(r"\d+")
_DECIMAL = re.compile(r"[-+]?\d*[.,]\d+(?:[eE][-+]?\d+)?")
_MOST_PARTS = 50  # distinct values of a column that divides recordings
DIVISIONS = {"fold", "folds", "cv", "kfold", "set", "subset", "split", "splits", "partition", "division"}
# words of column names whose values name what several recordings have in common
_GROUPS = {
    *("speaker", "spk", "spkr", "talker", "subject", "participant", "patient", "person", "client", "singer", "artist"),
    *("src", "source", "origin", "original", "parent", "session", "recorder", "device", "site", "station", "location"),
    *("individual", "animal", "bird", "nest", "album", "author", "user", "uploader", "freesound", "fsid", "ytid"),
    *("youtube", "video", "dialog", "dialogue", "conversation", "chapter", "book", "mic", "microphone", "reader"),
    *("donor", "household", "player", "performer", "plot", "deployment", "recordist", "recording", "track"),
}


def unread_columns(
    columns: Mapping[str, Sequence[str]], labels: Sequence[str | None], *, has_group: bool = False
) -> dict[str, Column]:
    """Describe columns that nothing reads by their values: whether they look like a division, or like groups.

    ``labels`` are those of the rows. Groups are looked for only while no other column gives some (``has_group``).
    """
    found = {}
    for name, values in columns.items():
        known = [value for value in map(str.strip, values) if value]
        looks: Looks = ""
        if looks_like_division(name, known):
            looks = "division"
        elif not has_group and looks_like_group(name, values, labels):
            looks = "group"
        option = f"`columns.{'group' if looks == 'group' else 'label'}`={name}"
        if looks == "division":
            of_folds = all(map(_WHOLE.fullmatch, known))
            option = f"`split.by`=fold `columns.fold`={name}" if of_folds else f"`columns.split`={name}"
        found[name] = Column(why="no option names it", option=option, looks=looks)
    return found


def bare_words(name: str) -> set[str]:
    """Return the words of a name without numbers, such as fold of ``fold1``."""
    return {*words_of(_NUMBER.sub(" ", name))}


def divides(name: str) -> bool:
    """Return whether a name has a word of columns that divide recordings."""
    return not DIVISIONS.isdisjoint(bare_words(name))


def looks_like_division(name: str, known: Sequence[str]) -> bool:
    """Return whether values mostly name splits, or are small whole numbers or few words under a name of divisions."""
    distinct = {*known}
    if len(known) < LEAST_ROWS or not distinct:
        return False
    named = divides(name)
    splits = sum(known_split(value) is not None for value in known)
    if 2 * splits > len(known) and (named or len(distinct) > 1) and len(distinct) <= _MOST_PARTS:
        return True
    return named and 1 < len(distinct) <= _MOST_PARTS and 2 * len(distinct) <= len(known)


def counted_from(first: int, count: int) -> set[str]:
    """Return the texts of so many whole numbers, such as the numbers of the parts of each recording."""
    return {str(number) for number in range(first, first + count)}


def looks_like_group(name: str, values: Sequence[str], labels: Sequence[str | None]) -> bool:
    """Return whether values name what several rows have in common, such as the recording that they were cut from.

    A name of groups decides, if values stand in several rows. Without one, values must each belong to a single label,
    be more than the labels, and stand in two rows or more for the most part; numbers that are measured or counted are
    none.
    """
    rows = defaultdict[str, list[str | None]](list)
    for value, label in zip(map(str.strip, values), labels, strict=True):
        if value:
            rows[value].append(label)
    known = sum(map(len, rows.values()))
    repeated = sum(len(each) for each in rows.values() if len(each) > 1)
    if known < LEAST_ROWS or len(rows) < 2 or 2 * repeated < known:
        return False
    if not _GROUPS.isdisjoint(bare_words(name)):
        return True
    if any(map(_DECIMAL.fullmatch, rows)) or {*rows} in (counted_from(0, len(rows)), counted_from(1, len(rows))):
        return False
    different = {label for each in rows.values() for label in each}
    pure = all(len({*each}) == 1 for each in rows.values())
    return pure and len(different) > 1 and len(rows) > len(different)
