"""What is known of a recording before it is heard: from its name, its folder or a row of a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from audio.errors import InputError
from audio.manifest import Split, whole_number

FIELDS = ("label", "group", "index", "fold", "split")

SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True, kw_only=True)
class Description:
    """The fields of `audio.manifest.Clip` that sound does not give; None where nothing is said."""

    label: str | None = None
    group: str | None = None
    index: int | None = None
    fold: str | None = None
    split: Split | None = None


def describe(fields: Mapping[str, str], where: str) -> Description:
    """Fields as text -> a description; empty text says nothing. ``where`` names the source in errors ("table.tsv:3").

    Raises:
        InputError: the index is no number, the split no split, or a value holds a control character.
    """
    given = {name: text.strip() for name in FIELDS if (text := fields.get(name, "")).strip()}
    for name, text in given.items():
        if not text.isprintable():
            raise InputError(f"{where}: {name} is {text!r:.80}; leave tabs, line breaks and control characters out")
    return Description(
        label=given.get("label"),
        group=given.get("group"),
        index=_index(given["index"], where) if "index" in given else None,
        fold=given.get("fold"),
        split=split_of(given["split"], where) if "split" in given else None,
    )


def split_of(name: str, where: str) -> Split:
    """The split that a name stands for, in any case.

    Raises:
        InputError: no split is called so.
    """
    for split, names in SPLIT_NAMES.items():
        if name.lower() in names:
            return split
    known = ", ".join(name for split in get_args(Split) for name in SPLIT_NAMES[split])
    raise InputError(f"{where}: split is {name!r:.40}; write one of {known}")


def _index(text: str, where: str) -> int:
    if (index := whole_number(text)) is None:
        raise InputError(f"{where}: index is {text!r:.40}; it must be a whole number from 0 to 2^63 - 1")
    return index
