"""Text that is safe to print: file names may hold control sequences of terminals."""


def escape(text: str) -> str:
    """Replace each character that is not printable, except line breaks, by its Python escape sequence.

    Examples are control characters, marks that change the direction of writing, and lone surrogates.
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
