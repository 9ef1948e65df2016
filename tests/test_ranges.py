"""Every class of options checks the ranges of its fields."""

from collections.abc import Iterator
from dataclasses import MISSING, fields
from inspect import isabstract
from typing import Any, get_args, get_type_hints

import pytest

from pipelines.commands import COMMANDS
from pipelines.plugins.table import plugins
from vocoder.vocoder_options import Sampling
from wordless.base.messages import InputError
from wordless.base.options import METADATA, Options


def classes(cls: type[Options]) -> Iterator[type[Options]]:
    """The class, and the classes of the options in its fields."""
    yield cls
    for hint in get_type_hints(cls).values():
        for each in (hint, *get_args(hint)):
            if isinstance(each, type) and issubclass(each, Options) and each is not Options:
                yield from classes(each)
    for field in fields(cls):  # type: ignore[arg-type]  # each class is a dataclass
        if METADATA in field.metadata:
            yield from (field.metadata[METADATA].variants or {}).values()


ROOTS = [*(each.options for each in COMMANDS.values()), *(each.options for each in plugins())]
OF_COMMANDS = {each for root in ROOTS for each in classes(root) if not isabstract(each)}


@pytest.mark.parametrize(
    "cls", sorted({*OF_COMMANDS, Sampling}, key=lambda cls: cls.__name__), ids=lambda cls: cls.__name__
)
def test_every_class_of_options_checks_its_ranges(cls: Any) -> None:
    needed = {each.name: None for each in fields(cls) if each.default is MISSING and each.default_factory is MISSING}
    ranges = {each.name: each.metadata[METADATA].range for each in fields(cls) if METADATA in each.metadata}
    for name, limits in ranges.items():
        low, high = max(limits.least, limits.above), min(limits.most, limits.below)
        for value in (each for each in (-1e30, 1e30) if not low <= each <= high):
            with pytest.raises(InputError) as refused:
                cls(**{**needed, name: value})
            assert refused.value.option == name
