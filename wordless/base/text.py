"""Text for people: nouns in the right number, lists, and escaping for terminals, JSON and Markdown."""

from collections.abc import Sequence


def plural(count: float, one: str, several: str | None = None) -> str:
    """Return the noun for ``count`` things: ``one`` for exactly 1, else ``several``, by default ``one`` with an s."""
    return one if count == 1 else several or f"{one}s"


def counted(count: int, one: str, several: str | None = None) -> str:
    """Write a number of things: "1 recording", "2 recordings"."""
    return f"{count} {plural(count, one, several)}"


def listed(words: Sequence[str]) -> str:
    """Write a list of words: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


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


def escape_markdown(text: str) -> str:
    """Replace every character that Markdown, HTML or YAML could read as markup by a numeric HTML entity."""
    return "".join(
        character if character.isalnum() or character in " -.'" or _within_word(text, place) else f"&#{ord(character)};"
        for place, character in enumerate(text)
    )


def _within_word(text: str, place: int) -> bool:
    """Return whether a character is an underscore between letters or digits, which is not markup in Markdown."""
    around = text[place - 1 : place] + text[place + 1 : place + 2]
    return text[place] == "_" and len(around) == 2 and around.isalnum()
