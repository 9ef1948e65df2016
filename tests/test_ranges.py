"""Ranges of options: which values are refused, and that every class of options checks the ranges of its fields."""

from collections.abc import Iterator
from dataclasses import MISSING, fields
from math import inf, nan
from typing import Any, get_args, get_type_hints

import pytest

from lm.bodies.options import (
    WaveformBatchConfig,
)
from lm.options import VectorConfig
from pipelines.decode import DecodeConfig
from pipelines.demo import DemoConfig
from pipelines.generate import GenerateConfig
from pipelines.settings.run import RunSettings
from pipelines.stages.options import ListeningConfig
from vocoder.options import Sampling
from wordless.audio.options import SpectrogramConfig
from wordless.base.errors import InputError
from wordless.base.options import MEANING, Options
from wordless.training.options import FitConfig

OTHERS = (DecodeConfig, DemoConfig, GenerateConfig, Sampling)  # of commands and functions


def refusal(cls: type[Options], name: str, value: object) -> InputError:
    """The error of an instance with one value in the place of its default."""
    needed = {each.name: None for each in fields(cls) if each.default is MISSING and each.default_factory is MISSING}  # type: ignore[arg-type]  # each is a dataclass
    with pytest.raises(InputError) as refused:
        cls(**{**needed, name: value})
    return refused.value


def classes(cls: type[Options]) -> Iterator[type[Options]]:
    """The class, and the classes of the options in its fields."""
    yield cls
    for hint in get_type_hints(cls).values():
        for each in (hint, *get_args(hint)):
            if isinstance(each, type) and issubclass(each, Options):
                yield from classes(each)


@pytest.mark.parametrize(
    "cls", sorted({*classes(RunSettings), *OTHERS}, key=lambda cls: cls.__name__), ids=lambda cls: cls.__name__
)
def test_every_class_of_options_checks_its_ranges(cls: Any) -> None:
    for field in fields(cls):
        limits = field.metadata[MEANING].range if MEANING in field.metadata else None
        beyond = (each for each in (-1e30, 1e30) if limits and each not in limits)
        for value in beyond:
            assert refusal(cls, field.name, value).option == field.name


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        (FitConfig, "steps", 0),
        (FitConfig, "ema_decay", 1.0),
        (FitConfig, "precision", "fp8"),
        (ListeningConfig, "seconds", inf),
        (ListeningConfig, "temperatures", (-1,)),
        (SpectrogramConfig, "sample_rate", 10**12),
        (RunSettings, "threads", 2**63 - 1),
        (VectorConfig, "poolings", ("max", "max")),
        (WaveformBatchConfig, "max_seconds", nan),
    ],
)
def test_values_out_of_range_are_refused(cls: type[Options], name: str, value: object) -> None:
    error = refusal(cls, name, value)
    assert error.option == name
    assert error.value == value or value != value
