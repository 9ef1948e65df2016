"""Counts of the kill matrix, told at the end and written as JSON to the path in WORDLESS_KILLS."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

KILLS = pytest.StashKey[Counter[tuple[str, str]]]()


@pytest.fixture(scope="session")
def kills(pytestconfig: pytest.Config) -> Iterator[Counter[tuple[str, str]]]:
    """How many kills there were of each command and kind, all of them followed by a resumed command."""
    counts: Counter[tuple[str, str]] = Counter()
    pytestconfig.stash[KILLS] = counts
    yield counts
    if path := os.environ.get("WORDLESS_KILLS"):
        rows = [{"command": command, "kind": kind, "kills": count} for (command, kind), count in sorted(counts.items())]
        Path(path).write_text(json.dumps({"kills": counts.total(), "by": rows}, indent=1) + "\n")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    counts = config.stash.get(KILLS, Counter())
    if not counts:
        return
    kinds = sorted({kind for _, kind in counts})
    terminalreporter.section(f"{counts.total()} kills")
    terminalreporter.write_line(f"{'':10}" + "".join(f"{kind:>22}" for kind in kinds))
    for command in sorted({command for command, _ in counts}):
        row = "".join(f"{counts[command, kind] or '-':>22}" for kind in kinds)
        terminalreporter.write_line(f"{command:10}{row}")
