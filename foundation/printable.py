"""Text that is safe to print: file names may hold control sequences of terminals."""


def escape(text: str) -> str:
    """Replace each character that is not printable, except line breaks, by its Python escape sequence.

    Examples are control characters, marks that change the direction of writing, and lone surrogates.
    """
    return "\n".join(map(escape_line, text.split("\n")))


def escape_line(text: str) -> str:
    """Replace each character that is not printable, line breaks too, by its Python escape sequence.

    A no-break space stays as it is: Python does not count it as printable, but terminals print it as a space.
    """
    return "".join(
        c if c.isprintable() or c == "\N{NO-BREAK SPACE}" else c.encode("unicode_escape").decode() for c in text
    )


def escape_values(content: object) -> object:
    """Escape all text in JSON values: control characters and lone surrogates in names spoil XML and UTF-8."""
    match content:
        case str():
            return escape_line(content)
        case dict():
            return {escape_values(key): escape_values(value) for key, value in content.items()}
        case list():
            return [escape_values(value) for value in content]
        case _:
            return content
