"""The commands and Python examples that README and docs/ print, as they are printed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:[^\n\\]|\\.)+", re.DOTALL)  # a line, with the lines that a backslash joins to it


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A command for the shell, or an example in Python."""

    document: str
    line: int
    text: str
    python: bool

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def printed(document: str) -> Iterator[Printed]:
    """Give the examples of a document in their order. Blocks marked as ``text`` show files, and are none."""
    page = (ROOT / document).read_text(encoding="utf-8")
    for block in BLOCK.finditer(page):
        language, content, start = block[1], block[2], block.start(2)
        if language == "python":
            yield Printed(document=document, line=_line(page, start), text=content, python=True)
        elif language in ("", "bash"):
            for command in COMMAND.finditer(content):
                place = _line(page, start + command.start())
                yield Printed(document=document, line=place, text=command[0], python=False)


def _line(page: str, place: int) -> int:
    return page.count("\n", 0, place) + 1
