"""What may become of a file that holds anything: success, or one line that names the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wordless.base.errors import InputError

MOST_CHARACTERS = 1000  # of a message


@contextmanager
def succeeds_or_names(path: Path, refused: list[str]) -> Iterator[None]:
    """Let the block end well or in one line about ``path``, which is added to ``refused``; anything else fails."""
    message = ""
    try:
        yield
    except InputError as error:
        message = str(error)
    if message:
        assert str(path) in message, message
        assert "\n" not in message, message
        assert len(message) < MOST_CHARACTERS, message
        refused.append(message)
