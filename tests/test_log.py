"""The log of measurements: the code names its sections, and they are there."""

import re
from pathlib import Path

from tests.test_architecture import ROOT, SOURCES

LOG = "docs/log.md"
_NAMED = re.compile(r'docs/log\.md, ((?:"[^"]+"(?:,| and)? ?)+)')


def named_sections(text: str) -> list[str]:
    """The sections that comments and docstrings name, also where a line ends within a name."""
    flat = re.sub(r"\s*\n\s*(# )?", " ", text)
    return [name for several in _NAMED.findall(flat) for name in re.findall(r'"([^"]+)"', several)]


def test_sections_that_the_code_names_are_in_the_log() -> None:
    log = (ROOT / LOG).read_text(encoding="utf-8")
    titles = {*re.findall(r"^#+ (.+)$", log, re.MULTILINE)}
    named = {name: file for file in map(Path, SOURCES) for name in named_sections((ROOT / file).read_text("utf-8"))}
    assert len(named) > 10
    assert {name: str(file) for name, file in named.items() if name not in titles} == {}


def test_a_name_over_two_lines_is_found() -> None:
    assert named_sections('# see docs/log.md, "A\n# long name" and "B".\n') == ["A long name", "B"]
