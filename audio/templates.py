"""File-name patterns: ``{label}_{group}_{index}.wav``.

========================  =====================================================================
``{label}`` ``{group}``   the fewest characters that fit, at least one, within one folder's name
``{fold}`` ``{split}``    likewise
``{index}``               digits
``*``                     any characters within one folder's name, none included
``**``                    any characters, across folders
========================  =====================================================================

A pattern with ``/`` is compared with the path below the corpus root, one without with the file's name alone; the
extension may be left out.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from audio.description import FIELDS
from audio.errors import InputError

_TOKEN = re.compile(r"\{([^{}]*)\}|\*\*|\*|[^*{}]+|[{}]")


@dataclass(frozen=True)
class Template:
    """A file-name pattern.

    Raises:
        InputError: a field is unknown or stands twice, or a brace is left open.
    """

    text: str

    def __post_init__(self) -> None:
        for name in (names := self.fields):
            if name not in FIELDS:
                raise InputError(f"corpus.pattern is {self.text!r} with {{{name}}}; the fields are {_choices()}")
            if names.count(name) > 1:
                raise InputError(f"corpus.pattern is {self.text!r}, with {{{name}}} twice; name each field once")
        if "{" in (rest := re.sub(r"\{[^{}]*\}", "", self.text)) or "}" in rest or not self.text:
            raise InputError(f"corpus.pattern is {self.text!r}; write fields as {_choices()}, closing each brace")

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in order."""
        return tuple(re.findall(r"\{([^{}]*)\}", self.text))

    def match(self, path: str) -> dict[str, str] | None:
        """Field texts of a path below the corpus root, "/" between folders; None where the pattern does not fit."""
        found = self._regex.fullmatch(path if "/" in self.text else path.rpartition("/")[2])
        return found.groupdict() if found else None

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        body = "".join(_expression(token) for token in _TOKEN.finditer(self.text))
        return re.compile(body + r"(?:\.[^./]+)?", re.DOTALL)


def _expression(token: re.Match[str]) -> str:
    match token.group():
        case "**":
            return ".*?"
        case "*":
            return "[^/]*?"
        case "{index}":
            return r"(?P<index>\d+)"
        case _ if token.group(1):
            return f"(?P<{token.group(1)}>[^/]+?)"
        case text:
            return re.escape(text)


def _choices() -> str:
    return ", ".join(f"{{{name}}}" for name in FIELDS)
