"""Text for people: nouns in the right number, lists, suggestions for misspelt names, and escaping of markup."""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

LIKENESS = 0.6  # least likeness of a suggestion
MARGIN = 0.1  # largest distance of a suggestion from the best one
MOST_OF_REASON = 300  # characters of an error's message


def plural(count: float, one: str, several: str | None = None) -> str:
    """Return the noun for ``count`` things: ``one`` for exactly 1, else ``several``, by default ``one`` with an s."""
    return one if count == 1 else several or f"{one}s"


def counted(count: int, one: str, several: str | None = None) -> str:
    """Write a number of things: "1 recording", "2 recordings"."""
    return f"{count} {plural(count, one, several)}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Write a list of words: "a", "a and b", "a, b and c"."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def first_line(error: BaseException) -> str:
    """Return the beginning of an error's message without its full stop, or its type where it has none."""
    line = str(error).strip().partition("\n")[0].rstrip(". ") or type(error).__name__
    return line if len(line) <= MOST_OF_REASON else f"{line[: MOST_OF_REASON - 3]}..."


def escape(text: str) -> str:
    """Replace each character that is not printable, except line breaks, by its Python escape sequence."""
    return "\n".join(map(escape_line, text.split("\n")))


def escape_line(text: str) -> str:
    """Escape each character that is not printable, line breaks too; a no-break space stays, as terminals print it."""
    kept = {"\N{NO-BREAK SPACE}", *filter(str.isprintable, text)}
    return "".join(c if c in kept else c.encode("unicode_escape").decode() for c in text)


def escape_values(content: object) -> object:
    """Escape all text in JSON values: control characters and lone surrogates in names spoil XML and UTF-8."""
    match content:
        case str():
            return content if content.isprintable() else escape_line(content)
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


def nearest(word: str, names: Iterable[str]) -> list[str]:
    """Find up to three of the ``names`` that are similar to ``word``, best first.

    Dotted names are also compared by their last part, so that ``hop_lenght`` finds ``audio.hop_length``.
    """
    scored = sorted((-likeness(word, name), name) for name in set(names))
    enough = max(LIKENESS, -scored[0][0] - MARGIN) if scored else LIKENESS
    return [name for score, name in scored if -score >= enough][:3]


def likeness(word: str, name: str) -> float:
    """Score how alike two names are, 0 to 1; agreement of only their last parts scores a little less."""
    whole = SequenceMatcher(None, word, name).ratio()
    last = SequenceMatcher(None, word.rpartition(".")[2], name.rpartition(".")[2]).ratio()
    return max(whole, 0.95 * last)


def suggestion(word: str, names: Iterable[str]) -> str:
    """Write the clause that ends an error message: similar names, or all names where none is similar."""
    known = sorted(set(names))
    close = nearest(word, known)
    if close:
        return f"did you mean {listed(close, 'or')}?"
    return f"choose from {', '.join(known)}" if 0 < len(known) <= 20 else "see --help"
