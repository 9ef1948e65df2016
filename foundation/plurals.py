"""Nouns in the number of what they count."""


def plural(count: float, one: str, several: str | None = None) -> str:
    """Return the noun for ``count`` things: ``one`` for exactly 1, else ``several``, by default ``one`` with an s."""
    return one if count == 1 else several or f"{one}s"


def counted(count: int, one: str, several: str | None = None) -> str:
    """Write a number of things: "1 recording", "2 recordings"."""
    return f"{count} {plural(count, one, several)}"
