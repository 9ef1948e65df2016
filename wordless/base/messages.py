"""What messages say: errors that a user can correct, checks of values that raise them, and how texts are written.

Texts are counts with their nouns, lists, values in one line, parts of HTML and Markdown, and the likeliest name for a
misspelt one.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import SequenceMatcher
from functools import partial

_OPTION = re.compile(r"`([\w.\[\]]+)`")  # another option of the same config, in a text of an error or a notice
MOST_BITS = 200  # of a number that a message writes in full
MOST_CHARACTERS = 200  # of a value in a message
ESCAPED = re.compile(r"\\[bfnrtu]")  # escape sequences of JSON that may stand for what is not printable


class InputError(ValueError):
    """Bad input: names the argument, its value, the rule and the remedy, in one line.

    ``option`` is the name of an argument or of a field, such as ``steps``. Whoever builds a config from parts puts the
    place before it (`within`), so that the command line reads ``lm.fit.steps`` and Python reads ``steps``. All texts
    name other options of the same config in backticks, which get the same place and are not printed. A ``message``
    stands for option, value and rule where no single argument is wrong, such as for a damaged file.

    Commands print only the message and exit with code 2. Every other exception is a bug and keeps its traceback.
    """

    kind = ""  # what reasons of this kind have in common, for counts; "": nothing

    def __init__(
        self, message: str = "", option: str = "", value: object = None, rule: str = "", remedy: str = ""
    ) -> None:
        self.message, self.option, self.value, self.rule, self.remedy = message, option, value, rule, remedy
        super().__init__(message, option, value, rule, remedy)  # for pools of processes, which send these

    def __str__(self) -> str:
        text = f"{self.problem}; {self.rule}" if self.rule else self.problem
        return named(f"{text}{': ' if self.rule else '; '}{self.remedy}" if self.remedy else text)

    @property
    def problem(self) -> str:
        """What is wrong, without the rule and the remedy."""
        return f"{self.option} is {written(self.value)}" if self.option else self.message

    @property
    def reason(self) -> str:
        """What is wrong, for a list of files that were set aside."""
        return str(self)

    def also(self, note: str) -> "InputError":
        """Return the error with a further remedy or reason."""
        remedy = f"{self.remedy}; {note}" if self.remedy else note
        return InputError(self.message, self.option, self.value, self.rule, remedy)

    def within(self, place: str, **names: str) -> "InputError":
        """Return the error with the dotted ``place`` of the config before its options; ``names`` has those of some."""
        if not self.option and "`" not in f"{self.message}{self.rule}{self.remedy}":
            return self
        option = names.get(self.option) or _dotted(place, self.option) if self.option else ""
        placed = partial(_OPTION.sub, lambda found: f"`{names.get(found[1]) or _dotted(place, found[1])}`")
        return InputError(placed(self.message), option, self.value, placed(self.rule), placed(self.remedy))


def named(text: str, place: str = "", **names: str) -> str:
    """Write the options in backticks of a text with the dotted ``place`` of their config, as `InputError.within`."""
    return _OPTION.sub(lambda found: names.get(found[1]) or _dotted(place, found[1]), text)


def _dotted(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


@contextmanager
def within(place: str, **names: str) -> Iterator[None]:
    """Put a dotted ``place`` before the options that an error of the block names; ``names`` has those of some."""
    try:
        yield
    except InputError as error:
        raise error.within(place, **names) from error


def written(value: object, *, most: int | None = MOST_CHARACTERS) -> str:
    """Write a value as on the command line, cut to ``most`` characters; None: whole."""
    match value:
        case None:
            text = "null"
        case bool():
            text = str(value).lower()
        case "":
            text = "empty"
        case str():
            text = value if value == value.strip() and value.isprintable() else repr(value)
        case int() if value.bit_length() > MOST_BITS:  # `str` refuses thousands of digits
            text = f"a number of {value.bit_length()} bits"
        case float() if len(short := f"{value:g}") < len(str(value)) and float(short) == value:
            text = short
        case list() | tuple():
            text = f"[{', '.join(written(each, most=most) for each in value)}]"
        case _:
            text = str(value)
    return text if most is None or len(text) <= most else f"{text[:most]}..."


def require(holds: bool, option: str, value: object, rule: str) -> None:
    """Refuse a value unless a condition holds; ``rule`` tells the user what to choose."""
    if not holds:
        raise InputError(f"{option} is {value}", remedy=rule)


def samples_to_generate(seconds: float, sample_rate: int) -> int:
    """Return the number of samples of a length that is to be generated; refuse one shorter than a sample."""
    num_samples = round(seconds * sample_rate) if math.isfinite(seconds) else 0
    require(num_samples >= 1, "seconds", seconds, "ask for more than 0 seconds")
    return num_samples


_LIKENESS = 0.6  # least likeness of a suggestion
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
    hidden = [c for c in {*text} if not c.isprintable() and c != "\N{NO-BREAK SPACE}"]
    return text.translate({ord(c): c.encode("unicode_escape").decode() for c in hidden})


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


def read_json_escaped(content: bytes) -> object:
    """Read JSON, and escape all text in it, as `escape_values` does; printable text is not walked through."""
    found = json.loads(content)
    text = content.decode(errors="replace").replace("\n", "")  # between values; in text it would be an escape sequence
    return found if text.isprintable() and not ESCAPED.search(text) else escape_values(found)


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


def nearest_words(word: str, names: Iterable[str]) -> list[str]:
    """Find up to three of the ``names`` that are similar to ``word``, best first.

    Dotted names are also compared by their last part, so that ``hop_lenght`` finds ``audio.hop_length``.
    """
    scored = sorted((-likeness(word, name), name) for name in set(names))
    enough = max(_LIKENESS, -scored[0][0] - MARGIN) if scored else _LIKENESS
    return [name for score, name in scored if -score >= enough][:3]


def likeness(word: str, name: str) -> float:
    """Score how alike two names are, 0 to 1; agreement of only their last parts scores a little less."""
    whole = SequenceMatcher(None, word, name).ratio()
    last = SequenceMatcher(None, word.rpartition(".")[2], name.rpartition(".")[2]).ratio()
    return max(whole, 0.95 * last)


def suggestion(word: str, names: Iterable[str]) -> str:
    """Write the clause that ends an error message: similar names; without any, all names, or the nearest of many."""
    known = sorted(set(names))
    close = nearest_words(word, known)
    if close:
        return f"did you mean {listed(close, 'or')}?"
    if 0 < len(known) <= 20:
        return f"choose from {', '.join(known)}"
    few = sorted(known, key=lambda name: -likeness(word, name))[:3]
    return f"of {len(known)} names {listed(few)} are nearest; see --help" if few else "see --help"
