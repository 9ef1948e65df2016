"""The command line as the user typed it, for a shell to repeat.

Hydra reads ``sys.argv``. `pipelines.commandline.overrides` changes it: paths and texts are quoted for its grammar,
``~`` is expanded and switches come first. This module keeps the words that the user typed.
"""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_TYPED: ContextVar[tuple[str, ...] | None] = ContextVar("_TYPED", default=None)


@contextmanager
def typed(words: Sequence[str]) -> Iterator[None]:
    """Remember the words of the command line, as the shell passed them, while a command runs."""
    token = _TYPED.set(tuple(words))
    try:
        yield
    finally:
        _TYPED.reset(token)


def command_line(command: str) -> str:
    """Return ``wordless <command>`` with the words that the user typed, quoted for a shell."""
    words = _TYPED.get()
    return shlex.join(["wordless", command, *(sys.argv[1:] if words is None else words)])
