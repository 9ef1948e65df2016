"""The exception for errors that a user can correct."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

_SIBLING = re.compile(r"`([\w.]+)`")  # another option of the same config, in a rule or a remedy
MOST_BITS = 200  # of a number that a message writes in full


class InputError(ValueError):
    """Bad input: names the argument, its value, the rule and the remedy, in one line.

    ``option`` is the name of an argument or of a field, such as ``steps``. Whoever builds a config from parts puts the
    place before it (`within`), so that the command line reads ``lm.fit.steps`` and Python reads ``steps``. Rule and
    remedy name other options of the same config in backticks, which get the same place and are not printed. A
    ``message`` stands for option, value and rule where no single argument is wrong, such as for a damaged file.

    Commands print only the message and exit with code 2. Every other exception is a bug and keeps its traceback.
    """

    def __init__(
        self, message: str = "", *, option: str = "", value: object = None, rule: str = "", remedy: str = ""
    ) -> None:
        self.message, self.option, self.value, self.rule, self.remedy = message, option, value, rule, remedy
        super().__init__(message, option, value, rule, remedy)

    def __str__(self) -> str:
        if not self.option:
            return f"{self.message}; {self.remedy}" if self.remedy else self.message
        text = f"{self.problem}; {self.rule}"
        return _SIBLING.sub(r"\1", f"{text}: {self.remedy}" if self.remedy else text)

    @property
    def problem(self) -> str:
        """What is wrong, without the rule and the remedy."""
        return f"{self.option} is {written(self.value)}" if self.option else self.message

    def __reduce__(self) -> tuple[object, ...]:  # for pools of processes
        return _restored, (self.message, self.option, self.value, self.rule, self.remedy)

    def within(self, place: str) -> "InputError":
        """Return the error with the dotted ``place`` of the config before the name of its option."""
        if not self.option:
            return self
        option = f"{place}.{self.option}" if place else self.option
        rule, remedy = (_SIBLING.sub(rf"`{place}.\1`" if place else r"`\1`", text) for text in (self.rule, self.remedy))
        return _restored(self.message, option, self.value, rule, remedy)


@contextmanager
def within(place: str) -> Iterator[None]:
    """Put a dotted ``place`` before the option that an error of the block names."""
    try:
        yield
    except InputError as error:
        raise error.within(place) from error


def _restored(message: str, option: str, value: object, rule: str, remedy: str) -> InputError:
    return InputError(message, option=option, value=value, rule=rule, remedy=remedy)


def written(value: object) -> str:
    """Write a value as on the command line."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case "":
            return "empty"
        case int() if value.bit_length() > MOST_BITS:  # `str` refuses thousands of digits
            return f"a number of {value.bit_length()} bits"
        case float():
            short = f"{value:g}"
            return short if float(short) == value and len(short) < len(str(value)) else str(value)
        case list() | tuple():
            return f"[{', '.join(map(written, value))}]"
        case _:
            return str(value)
