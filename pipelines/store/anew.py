"""Why a stage is computed anew: the options in which the nearest entry of the store differs from the new one.

Recipes are compared as data. Inputs that differ are followed to the entries that they are keys of, down to the options
that differ there. Only the newest entries of the stage are read, and a damaged entry is left out.
"""

import heapq
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final

from pipelines.store.store import ENTRY, METHOD, Recipe
from wordless.base.json_values import find_object

NEWEST: Final = 50  # entries of the stage that are read
LISTED: Final = 10_000  # entries of the stage that are looked at
DEEPEST: Final = 16  # stages from an input to what differs, and groups of options inside each other
SHOWN: Final = 4  # differences in a line
CHARACTERS: Final = 60  # of a value in a line
NOTHING: Final = object()  # the value of an option that a recipe does not have, as options at their default may be
KEY: Final = re.compile(r"[0-9a-f]{16}")

Made = Mapping[str, object]  # the content of an entry.json


@dataclass(frozen=True, kw_only=True)
class Difference:
    """An option, or an input that no stage made, that differs between two recipes."""

    via: str  # the input of the stage through which the difference comes; empty: it is the stage's own
    name: str
    new: str
    old: str


def why_anew(root: Path, recipe: Recipe) -> str:
    """Describe how ``recipe`` differs from the nearest entry of its stage in the store ``root``.

    Of several entries about the same method, the one with the fewest differences is the nearest, and of equals the
    newest. The text is empty if the store has no other such entry that can be read.
    """
    made: Made = json.loads(json.dumps(vars(recipe)))  # as entries hold it: lists in the place of tuples
    entries = _Entries(root)
    found = (
        differences(made, other, entries) for other in entries.newest(recipe.stage) if _about(other) == _about(made)
    )
    nearest = min((each for each in found if each), key=len, default=[])
    ways = dict.fromkeys(each.via for each in nearest)
    return "; ".join(_part(via, [each for each in nearest if each.via == via]) for via in ways)


def differences(new: Made, old: Made, entries: "_Entries") -> list[Difference]:
    """List how two recipes of a stage differ, each option once: the stage's own first, then those of its inputs."""
    found: dict[tuple[str, str, str], Difference] = {}
    seen: set[tuple[str, str]] = set()

    def compare(new: Made, old: Made, via: str, depth: int) -> None:
        stage = str(new.get("stage"))
        inputs, before = (_mapping(each.get("inputs")) for each in (new, old))
        if inputs and before and not inputs.keys() & before.keys():  # made in another way, from other options
            return add(via, f"the {stage} is made from {' and '.join(inputs)}, not from {' and '.join(before)}", "", "")
        values, others = (dict(_flat(each.get("config"))) for each in (new, old))
        values["version of its code"], others["version of its code"] = new.get("version"), old.get("version")
        for name in dict.fromkeys([*values, *others]):
            one, two = values.get(name, NOTHING), others.get(name, NOTHING)
            if type(one) is not type(two) or one != two:
                add(via, name, _short(one), _short(two))
        for name in dict.fromkeys([*inputs, *before]):
            if inputs.get(name) != before.get(name):
                follow(stage, via or name, name, str(inputs.get(name, "")), str(before.get(name, "")), depth)
        return None

    def follow(stage: str, via: str, name: str, new: str, old: str, depth: int) -> None:
        keys, others = new.split(), old.split()
        if not new or not old:  # an input that only some entries have, such as views
            change = f"the {stage} {'also reads' if new else 'does not read'} {name}"
            return add("" if via == name else via, change, "", "")
        if len(keys) != len(others) or depth == DEEPEST:
            return add("" if via == name else via, _differing(name), "", "")
        for key, other in zip(keys, others, strict=True):
            if key == other or (key, other) in seen:
                continue
            seen.add((key, other))
            one, two = entries.of(key), entries.of(other)
            if one is None or two is None or (one.get("stage"), _about(one)) != (two.get("stage"), _about(two)):
                add("" if via == name else via, _differing(name), "", "")
            else:
                compare(one, two, via, depth + 1)
        return None

    def add(via: str, name: str, new: str, old: str) -> None:
        found.setdefault((name, new, old), Difference(via=via, name=name, new=new, old=old))

    compare(new, old, "", 0)
    return list(found.values())


class _Entries:
    """The recipes of a store's entries, each read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.of = cache(self._of)

    def newest(self, stage: str) -> Iterator[Made]:
        """Give the newest entries of a stage that can be read, the newest first."""
        there: list[tuple[float, str]] = []
        with suppress(OSError), os.scandir(self._root / stage) as folder:
            for each in islice(folder, LISTED):
                if "." not in each.name:  # neither partial nor a lock
                    with suppress(OSError):
                        there.append((each.stat().st_mtime, each.name))
        for _, key in heapq.nlargest(NEWEST, there):
            if made := self._read(stage, key):
                yield made

    def _of(self, key: str) -> Made | None:
        """Return the entry of a key, whichever stage made it."""
        with suppress(OSError):
            for stage in sorted(os.listdir(self._root)):  # noqa: PTH208  names are enough
                if made := self._read(stage, key):
                    return made
        return None

    def _read(self, stage: str, key: str) -> Made | None:
        path = self._root / stage / key / ENTRY
        return find_object(path) if KEY.fullmatch(key) and path.is_file() else None


def _flat(config: object, name: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    """Give each option of a config by its dotted name."""
    if isinstance(config, dict) and depth < DEEPEST:
        for key, value in config.items():
            yield from _flat(value, f"{name}.{key}".lstrip("."), depth + 1)
    elif name:
        yield name, config


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _about(made: Made) -> object:
    """Return the method that an entry is about; entries about others are no earlier versions of it."""
    return _mapping(made.get("config")).get(METHOD)


def _differing(name: str) -> str:
    """Say that an input differs."""
    return f"the {name} {'differ' if name.endswith('s') else 'differs'}"


def _short(value: object) -> str:
    text = "default" if value is NOTHING else json.dumps(value).strip('"')
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}..."


def _part(via: str, found: list[Difference]) -> str:
    """Word the differences that come through one input."""
    shown, more = found[:SHOWN], len(found) - SHOWN
    new = ", ".join(f"{each.name}={each.new}" if each.new else each.name for each in shown)
    old = ", ".join(f"{each.name}={each.old}" for each in shown if each.new)
    rest = f", and {more} more" if more > 0 else ""
    because = f"because {_differing(via)}: " if via else ""
    return f"{because}{new}{rest}{f' (the store has {old})' if old else ''}"
