"""Why a stage is computed anew: the options in which the nearest entry of the store differs from the new one.

Recipes are compared as data. Inputs that differ are followed to the entries that they are keys of, down to the options
that differ there. Only the newest entries of the stage are read, and a damaged entry is left out.
"""

import heapq
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from pipelines.store.store import ENTRY, METHOD, Recipe
from wordless.base.values import find_object

NEWEST: Final = 50  # entries of the stage that are read
LISTED: Final = 10_000  # entries of the stage that are looked at
DEEPEST: Final = 16  # stages from an input to what differs, and groups of options inside each other
SHOWN: Final = 4  # differences in a line
CHARACTERS: Final = 60  # of a value in a line
KEY: Final = re.compile(r"[0-9a-f]{16}")

Made = Mapping[str, object]  # the content of an entry.json


class Difference(NamedTuple):
    """An option, or an input that no stage made, that differs between two recipes."""

    via: str  # the input of the stage through which the difference comes; empty: it is the stage's own
    name: str
    new: str = ""  # both empty if the name says how the recipes differ
    old: str = ""


def why_anew(root: Path, recipe: Recipe) -> str:
    """Describe how ``recipe`` differs from the nearest entry of its stage in the store ``root``.

    Of several entries about the same method, the one with the fewest differences is the nearest, and of equals the
    newest. The text is empty if the store has no other such entry that can be read.
    """

    def read(stage: Path, key: str) -> Made | None:
        path = stage / key / ENTRY
        return find_object(path) if KEY.fullmatch(key) and path.is_file() else None

    @cache
    def entry(key: str) -> Made | None:
        with suppress(OSError):
            return next(filter(None, (read(stage, key) for stage in sorted(root.iterdir()))), None)
        return None

    made: Made = json.loads(json.dumps(vars(recipe)))  # as entries hold it: lists in the place of tuples
    stage, there = root / recipe.stage, list[tuple[float, str]]()
    with suppress(OSError):
        for path in islice(stage.iterdir(), LISTED):
            with suppress(OSError):
                there.append((path.stat().st_mtime, path.name))
    found = []
    for _, key in heapq.nlargest(NEWEST, (each for each in there if "." not in each[1])):  # no partial and no lock
        if (other := read(stage, key)) and _about(other) == _about(made):
            each = differences(made, other, entry, set())
            found.append(list({(one.name, one.new, one.old): one for one in reversed([*each])}.values())[::-1])
    nearest = min(filter(None, found), key=len, default=[])
    ways = dict.fromkeys(each.via for each in nearest)
    return "; ".join(_part(via, [each for each in nearest if each.via == via]) for via in ways)


def differences(
    new: Made, old: Made, entry: Callable[[str], Made | None], seen: set[tuple[str, str]], via: str = "", depth: int = 0
) -> Iterator[Difference]:
    """List how two recipes of a stage differ: the stage's own options first, then those of its inputs.

    ``entry`` gives the recipe of a key, and ``seen`` holds pairs of keys that are compared already.
    """
    inputs, before = (_mapping(each.get("inputs")) for each in (new, old))
    if inputs and before and not inputs.keys() & before.keys():  # made in another way, from other options
        yield Difference(via, f"the {new.get('stage')} is made from {' and '.join(inputs)}, not {' and '.join(before)}")
        return
    values, others = (
        {**dict(_flat(each.get("config"))), "version of its code": json.dumps(each.get("version"))}
        for each in (new, old)
    )
    for name in dict.fromkeys([*values, *others]):
        if values.get(name) != others.get(name):
            yield Difference(via, name, values.get(name, "default"), others.get(name, "default"))
    for name in dict.fromkeys([*inputs, *before]):
        keys, earlier = (str(each.get(name, "")).split() for each in (inputs, before))
        pairs = [(one, two, entry(one), entry(two)) for one, two in zip(keys, earlier, strict=False) if one != two]
        if (
            len(keys) != len(earlier)
            or (pairs and depth == DEEPEST)
            or any(one is None or two is None or _about(one) != _about(two) for *_, one, two in pairs)
        ):
            yield Difference("" if via == name else via, _differing(name))
            continue
        for key, other, one, two in pairs:
            if one and two and (key, other) not in seen:
                seen.add((key, other))
                yield from differences(one, two, entry, seen, via or name, depth + 1)


def _flat(config: object, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Give each option of a config by its dotted name, its value as JSON."""
    if isinstance(config, dict) and depth < DEEPEST:
        for key, value in config.items():
            yield from _flat(value, f"{name}.{key}".lstrip("."), depth + 1)
    elif name:
        yield name, json.dumps(config)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _about(made: Made) -> tuple[object, object]:
    """Return stage and method that an entry is about; entries about others are no earlier versions of it."""
    return made.get("stage"), _mapping(made.get("config")).get(METHOD)


def _differing(name: str) -> str:
    return f"the {name} {'differ' if name.endswith('s') else 'differs'}"


def _part(via: str, found: list[Difference]) -> str:
    """Word the differences that come through one input."""

    def short(value: str) -> str:
        text = value.strip('"')
        return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}..."

    shown, more = found[:SHOWN], len(found) - SHOWN
    new = ", ".join(f"{each.name}={short(each.new)}" if each.new else each.name for each in shown)
    old = ", ".join(f"{each.name}={short(each.old)}" for each in shown if each.new)
    rest = f", and {more} more" if more > 0 else ""
    because = f"because {_differing(via)}: " if via else ""
    return f"{because}{new}{rest}{f' (the store has {old})' if old else ''}"
