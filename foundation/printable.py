"""Text for a terminal or a page: names come from file systems, and may hold what a terminal takes for a command."""


def escaped(text: str) -> str:
    """The text with each character that is not printable, but for line breaks, written as Python writes it.

    Such are control characters, marks that turn the direction of writing, and lone surrogates.
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
