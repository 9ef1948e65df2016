"""The account of a corpus: each file, column and row of what was read stands in it once, as used or as not used.

`recordings.accounting` takes it. The whole is a table, ``account.tsv``; the terminal and the report have its summary.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from wordless.audio.recordings.sources import OF_THE_PROGRAM, Looks
from wordless.base.messages import counted, listed, named

AccountKind = Literal["file", "folder", "column", "row", "part"]  # a part is one that no row names
_KINDS: tuple[AccountKind, ...] = ("file", "folder", "column", "row", "part")
RECORDING = "recording"
_MOST_NAMES, _MOST_CHARACTERS = 4, 300  # of a line of the summary
_MOST_SHOWN = 30  # items that are not used in ``results.json``; the table has all


class Item(NamedTuple):
    """A file, a folder that was not entered, a column, rows one after the other that share their use, or a part."""

    kind: AccountKind
    # a path below the root, the name of a column, or the number of a row; of several rows the first and last; of a part
    # the name of its clip
    name: str
    # the file that a column, row or part stands in; of columns of many tables alike their number and the first
    of: str = ""
    number: int = 1  # how many it stands for
    used_as: str = ""  # "": not used
    why: str = ""  # why it is not used
    option: str = ""  # that would use it
    kind_of_reason: str = ""  # what reasons have in common, for counts
    looks: Looks = ""  # what an unused column or list seems to be


COLUMNS = Item._fields[:7]  # of the table


@dataclass(frozen=True, kw_only=True)
class Account:
    """All items: files in order of their paths, then columns, then rows."""

    items: tuple[Item, ...]

    def named(self, place: str, **names: str) -> "Account":
        """Name the options in reasons and remedies, as `wordless.base.messages.named` does."""

        def write(text: str) -> str:
            return named(text, place, **names) if "`" in text else text

        return Account(
            items=tuple(
                each if each.used_as else each._replace(why=write(each.why), option=write(each.option))
                for each in self.items
            )
        )

    def below(self, place: str) -> "Account":
        """Return the account with the folder ``place`` before the names of files, as beside those of other places."""

        def named(name: str) -> str:
            return name if name.startswith("/") else f"{place}/{name}"

        def placed(each: Item) -> Item:
            if each.kind == "column":
                return each
            if each.kind == "part":
                return each._replace(name=named(each.name), of=named(each.of))
            return each._replace(of=named(each.of)) if each.kind == "row" else each._replace(name=named(each.name))

        return Account(items=tuple(map(placed, self.items)))

    def but_for(self, reasons: Mapping[str, str]) -> "Account":
        """Return the account after some recordings were set aside later, each path with its reason."""
        if not reasons:
            return self
        own = (
            each._replace(used_as="", why=reasons[each.name], kind_of_reason=reasons[each.name])
            if each.used_as == RECORDING and each.name in reasons
            else each
            for each in self.items
        )
        return Account(items=tuple(own))

    @cached_property
    def unused(self) -> tuple[Item, ...]:
        """The items that are not used."""
        return tuple(each for each in self.items if not each.used_as)

    def total(self, kind: AccountKind, *, used: bool | None = None) -> int:
        """Count the files, folders, columns or rows; with ``used`` those that are used, or are not."""
        return sum(
            each.number for each in self.items if each.kind == kind and (used is None or used == bool(each.used_as))
        )

    def lines(self, listed_in: str) -> list[str]:
        """Return the summary, at most six lines; the whole is ``listed_in`` a file, or "": nowhere."""
        whole = f": see {listed_in}" if listed_in else ""
        if not self.unused:
            counts = [counted(self.total(kind), kind) for kind in _KINDS if self.total(kind)]
            return [f"used in full: {listed(counts)}{whole}"] if counts else []
        found = [self._of_files(), self._of_columns(), self._of_rows("row"), self._of_rows("part"), *self._of_looks()]
        return [*filter(None, found), *([f"each file, column and row{whole}"] if whole else [])]

    def _of_files(self) -> str:
        uses, reasons = Counter[str](), defaultdict[str, list[Item]](list)
        for each in self.items:
            if each.kind in ("file", "folder"):
                if each.used_as:
                    uses[each.used_as] += each.number
                elif not each.looks:
                    reasons[each.kind_of_reason or each.why].append(each)
        used = listed([counted(count, use) for use, count in uses.most_common()]) or "none"
        unused = sum(map(len, reasons.values()))
        return f"files used: {used}" + (f"; not used: {unused} ({_reasons(reasons)})" if unused else "")

    def _of_columns(self) -> str:
        unread = [each for each in self.unused if each.kind == "column" and not each.looks]
        unread = [each for each in unread if each.why != OF_THE_PROGRAM.why]
        names = _cut(", ".join(dict.fromkeys(each.name for each in unread)))
        option = next((f" (such as {each.option})" for each in unread if each.option), "")
        return f"columns not read: {names}{option}" if unread else ""

    def _of_rows(self, kind: AccountKind) -> str:
        reasons = defaultdict[str, list[Item]](list)
        for each in self.unused:
            if each.kind == kind:
                reasons[each.kind_of_reason or each.why].append(each)
        unused, every = self.total(kind, used=False), self.total(kind)
        return f"{kind}s not used: {unused} of {every} ({_reasons(reasons)})" if unused else ""

    def _of_looks(self) -> Iterable[str]:
        divisions = [each for each in self.unused if each.looks == "division"]
        if divisions:
            yield f"looks like a division of the recordings, and divides nothing: {_with_options(divisions)}"
        if groups := [each for each in self.unused if each.looks == "group"]:
            where = "pieces of one source may train and test"
            yield f"looks like a group that keeps pieces of one source together ({where}): {_with_options(groups)}"

    def section(self) -> dict[str, Any]:
        """Return what ``results.json`` has of it: counts, and the first items that are not used."""
        counts: Mapping[str, object] = {
            kind: {"used": self.total(kind, used=True), "not_used": self.total(kind, used=False)}
            for kind in _KINDS
            if kind != "part" or self.total(kind)
        }
        fields = ("kind", "name", "of", "number", "why", "option", "looks")
        shown = [{name: getattr(each, name) for name in fields} for each in _foremost(self.unused)[:_MOST_SHOWN]]
        return {**counts, "unused": shown, "more": max(len(self.unused) - _MOST_SHOWN, 0)}


def _foremost(items: Sequence[Item]) -> list[Item]:
    """Sort items so that divisions and groups stand first, and columns before files."""
    order = {"column": 0, "file": 1, "folder": 2, "row": 3, "part": 4}
    return sorted(items, key=lambda each: (not each.looks, order[each.kind]))


def _reasons(reasons: Mapping[str, Sequence[Item]]) -> str:
    """Write the most frequent reasons with their numbers, each with an option that would help."""
    frequent = sorted(reasons.items(), key=lambda item: -sum(each.number for each in item[1]))
    texts = []
    for kind, items in frequent[:_MOST_NAMES]:
        first, count = items[0], sum(each.number for each in items)
        example = f" such as {first.name}" if first.kind != "row" else ""
        remedy = f": {first.option}" if first.option else ""
        texts.append(f"{count}{example} {kind}{remedy}" if count > 1 else f"{_one(first)} {first.why}{remedy}")
    more = len(frequent) - _MOST_NAMES
    return _cut("; ".join(texts)) + (f"; {counted(more, 'other reason')}" if more > 0 else "")


def _one(item: Item) -> str:
    return item.name if item.kind != "row" else f"{item.of}:{item.name}" if item.of else item.name


def _with_options(items: Sequence[Item]) -> str:
    shown = [f"{each.name}{f' ({each.option})' if each.option else ''}" for each in items[:_MOST_NAMES]]
    more = [f"{len(items) - _MOST_NAMES} others"] if len(items) > _MOST_NAMES else []
    return listed([*shown, *more])


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."
