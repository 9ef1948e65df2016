"""The exception for errors that a user can correct, and checks of values that raise it."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

_OPTION = re.compile(r"`([\w.\[\]]+)`")  # another option of the same config, in a text of an error or a notice
MOST_BITS = 200  # of a number that a message writes in full
MOST_CHARACTERS = 200  # of a value in a message


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


class OldModelError(InputError):
    """A saved model has a part that this version of Wordless no longer has; the message says which."""


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
