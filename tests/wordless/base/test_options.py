"""Options that a subclass changes."""

from dataclasses import dataclass, fields

import pytest

from wordless.base.errors import InputError
from wordless.base.options import MEANING, Options, option


@dataclass(frozen=True, kw_only=True)
class Sizes(Options):
    """Two numbers."""

    layers: int = option(6, "layers", least=1)
    width: int | None = option(32, "width", least=8)


@dataclass(frozen=True, kw_only=True)
class OtherSizes(Sizes):
    """The same with another default, and with a width in any case."""

    layers: int = 2
    width: int


def test_a_subclass_keeps_meaning_and_range_and_what_it_does_not_change() -> None:
    assert (OtherSizes().layers, OtherSizes().width) == (2, 32)
    meanings, others = ([each.metadata[MEANING] for each in fields(of)] for of in (Sizes, OtherSizes))
    assert meanings == others
    for name, wrong in (("layers", 0), ("width", 7)):
        with pytest.raises(InputError, match=rf"{name}\b.*or more"):
            OtherSizes(**{name: wrong})
