"""File-name patterns: ``{label}_{group}_{index}.wav``.

========================  =====================================================================
``{label}`` ``{group}``   the fewest characters that fit, at least one, without ``/``
``{fold}`` ``{split}``    likewise
``{index}``               digits
``*``                     no or any characters, without ``/``
``**``                    no or any characters
========================  =====================================================================

A pattern with ``/`` is matched with the path below the corpus root, one without only with the file's name. The
extension may be omitted.

Regular expressions with several fields take hours for some names, such as 4,000 underscores. The time of this matching
grows with the length of the pattern times that of the name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from wordless.audio.recordings.description import FIELDS
from wordless.base.errors import InputError

_MOST_GAPS = 100
_EXTENSION = re.compile(r"(?:\.[^./]+)?")
_TOKEN = re.compile(r"\{([^{}]*)\}|\*\*|\*|[^*{}]+|[{}]")


@dataclass(frozen=True)
class Template:
    """A file-name pattern."""

    text: str

    def __post_init__(self) -> None:
        for name in (names := self.fields):
            if name not in FIELDS:
                raise InputError(f"corpus.pattern is {self.text!r} with {{{name}}}; the fields are {_choices()}")
            if names.count(name) > 1:
                raise InputError(f"corpus.pattern is {self.text!r}, with {{{name}}} twice; name each field once")
        if len(self._gaps) > _MOST_GAPS:
            raise InputError(f"corpus.pattern is {self.text!r:.80}...; use at most {_MOST_GAPS} fields and asterisks")
        if "{" in (rest := re.sub(r"\{[^{}]*\}", "", self.text)) or "}" in rest or not self.text:
            raise InputError(f"corpus.pattern is {self.text!r}; write fields as {_choices()}, closing each brace")

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in order."""
        return tuple(re.findall(r"\{([^{}]*)\}", self.text))

    def match(self, path: str) -> dict[str, str] | None:
        """Match a path below the corpus root ("/" between folders); return its fields, or None if it does not fit."""
        name = path if "/" in self.text else path.rpartition("/")[2]
        begin = self._tokens[0] if self._tokens and not _is_gap(self._tokens[0]) else ""
        spans = _find_spans(name, self._gaps, len(begin)) if name.startswith(begin) else None
        if spans is None:
            return None
        texts = zip(self._gaps, spans, strict=True)
        return {gap.field: name[start:end] for gap, (start, end) in texts if gap.field}

    @cached_property
    def _tokens(self) -> tuple[str, ...]:
        return tuple(token.group() for token in _TOKEN.finditer(self.text))

    @cached_property
    def _gaps(self) -> tuple["_Gap", ...]:
        following = (*self._tokens[1:], "")
        return tuple(
            _Gap.of(token, "" if _is_gap(after) else after)
            for token, after in zip(self._tokens, following, strict=False)
            if _is_gap(token)
        )


@dataclass(frozen=True, kw_only=True)
class _Gap:
    """A field or an asterisk, and the text that follows it in the pattern."""

    field: str | None
    fewest: int  # least number of characters
    digits: bool  # matches as many digits as possible
    folders: bool  # may match "/"
    after: str

    @classmethod
    def of(cls, token: str, after: str) -> "_Gap":
        field = token[1:-1] if token.startswith("{") else None
        return cls(field=field, fewest=int(bool(field)), digits=field == "index", folders=token == "**", after=after)

    def stop(self, text: str, start: int) -> int:
        """Return the latest possible end."""
        if self.folders:
            return len(text)
        if self.digits:
            return next((place for place in range(start, len(text)) if not text[place].isdecimal()), len(text))
        slash = text.find("/", start)
        return len(text) if slash < 0 else slash


def _find_spans(text: str, gaps: Sequence[_Gap], begin: int) -> list[tuple[int, int]] | None:
    """Find start and end of each gap in the first match from ``begin`` on; None: no match.

    Each gap is as short as possible, digits are as long as possible. If a gap fails from one place on, it also fails
    from every later place of the same stretch, because those were tried. So each gap passes over the text once.
    """
    failed: dict[tuple[int, int], int] = {}  # gap and end of the stretch -> the first start that failed

    def spans(place: int, start: int) -> list[tuple[int, int]] | None:
        if place == len(gaps):
            return [] if _EXTENSION.fullmatch(text, start) else None
        gap = gaps[place]
        stop = gap.stop(text, start)
        if failed.get((place, stop), len(text) + 1) <= start:
            return None
        ends = range(start + gap.fewest, stop + 1)
        for end in reversed(ends) if gap.digits else ends:
            if text.startswith(gap.after, end) and (rest := spans(place + 1, end + len(gap.after))) is not None:
                return [(start, end), *rest]
        failed[place, stop] = start
        return None

    return spans(0, begin)


def _is_gap(token: str) -> bool:
    return token in ("*", "**") or token.startswith("{")


def _choices() -> str:
    return ", ".join(f"{{{name}}}" for name in FIELDS)
