"""Ranges of options: which values are refused, and that every class of options checks the ranges of its fields."""

from collections.abc import Iterator
from dataclasses import MISSING, fields
from math import inf, nan
from typing import Any, get_args, get_type_hints

import pytest

from lm.bodies.options import (
    AstConfig,
    AudioTransformerConfig,
    ClipBatchConfig,
    MaskConfig,
    SoundGPTConfig,
    WaveformBatchConfig,
)
from lm.options import BatchConfig, GPTConfig, ProbeConfig, VectorConfig
from lm.samples.options import TransformerConfig
from pipelines.decode import DecodeConfig
from pipelines.demo import DemoConfig
from pipelines.generate import GenerateConfig
from pipelines.settings.run import RunSettings
from pipelines.stages.options import ListeningConfig, NextSampleSettings, TokenizerSettings, ZerospeechConfig
from tokenizer.options import ViewsConfig
from vocoder.options import CropsConfig, Sampling, WaveNetConfig
from wordless.audio.options import SpectrogramConfig
from wordless.audio.recordings.embedded import EmbeddedConfig
from wordless.audio.recordings.inspection import InspectionConfig
from wordless.base.errors import InputError
from wordless.base.options import MEANING, Options
from wordless.training.options import FitConfig

HUGE = 2**63 - 1
REFUSED: dict[type[Options], dict[str, tuple[object, ...]]] = {
    AstConfig: {"size": ("huge",), "patches": (0,)},
    AudioTransformerConfig: {"layers": (0,), "patch_ms": (0.0,), "dropout": (1.0,)},
    BatchConfig: {"batch_size": (0,), "random_inputs": (1.0,)},
    ClipBatchConfig: {"batch_size": (1,)},
    CropsConfig: {"batch_size": (0,), "pitch_dropout": (1.5,)},
    DecodeConfig: {
        **{"temperature": (-1.0,), "seed": (-1,), "postfilter": (1.5,), "postfilter_passes": (0,)},
        "device": ("gpu",),
    },
    DemoConfig: {"port": (80,), "postfilter": (2.0,)},
    EmbeddedConfig: {"voices": (0,), "takes": (0,), "seed": (-1,)},
    FitConfig: {
        **dict.fromkeys(("steps", "lr", "accumulation", "validate_every"), (0,)),
        **dict.fromkeys(("warmup_steps", "checkpoint_minutes", "seed"), (-1,)),
        **{"ema_decay": (-1, 1.0), "final_lr_ratio": (1.5,), "precision": ("fp8",)},
    },
    GPTConfig: {"layers": (0,), "dropout": (1.0,), "context": (2,), "interleaving": ("none",)},
    GenerateConfig: {
        **{"num_samples": (0,), "temperature": (-0.5,), "vocoder_temperature": (-1.0,), "seed": (-1,)},
        "postfilter": (-0.1,),
    },
    InspectionConfig: {"min_seconds": (-1,)},
    ListeningConfig: {
        **{"temperatures": ((-1,),), "vocoder_temperature": (-1,), "seconds": (inf,)},
        **{"postfilter": (1.5,), "postfilter_passes": (0,)},
    },
    MaskConfig: {"share": (1.0,), "length": (0,)},
    NextSampleSettings: {"models": ((),)},
    ProbeConfig: {
        **{"penalties": (0,), "resamples": (0,)},
    },
    RunSettings: {"workers": (-1,), "threads": (0, HUGE), "parallel": (0,), "seeds": (0,), "device": ("tpu",)},
    Sampling: {"temperature": (-1,), "seed": (-1,)},
    SoundGPTConfig: {"layers": (0,)},
    SpectrogramConfig: {"sample_rate": (0, 10**12), "window_length": (10**9,)},
    TokenizerSettings: {"codebook_size": (1,), "levels": (0,)},
    TransformerConfig: {"layers": (0,)},
    VectorConfig: {"poolings": ((), ("max", "max")), "layers": ((),), "hearings": (0, 101)},
    ViewsConfig: {"warps": (10**6,)},
    WaveNetConfig: {"residual_channels": (0,), "layers": (0, 257), "condition_layers": (0,)},
    WaveformBatchConfig: {"max_seconds": (0.0, nan), "batch_size": (1,)},
    ZerospeechConfig: dict.fromkeys(("voices", "rounds", "sentences"), (0,)),
}


def refusal(cls: type[Options], name: str, value: object) -> InputError:
    """The error of an instance with one value in the place of its default."""
    needed = {each.name: None for each in fields(cls) if each.default is MISSING and each.default_factory is MISSING}  # type: ignore[arg-type]  # each is a dataclass
    with pytest.raises(InputError) as refused:
        cls(**{**needed, name: value})
    return refused.value


@pytest.mark.parametrize("cls", REFUSED, ids=lambda cls: cls.__name__)
def test_values_out_of_range_are_refused(cls: type[Options]) -> None:
    for name, values in REFUSED[cls].items():
        for value in values:
            error = refusal(cls, name, value)
            assert error.option == name, (name, value)
            assert error.value == value or value != value, (name, value)


def classes(cls: type[Options]) -> Iterator[type[Options]]:
    """The class, and the classes of the options in its fields."""
    yield cls
    for hint in get_type_hints(cls).values():
        for each in (hint, *get_args(hint)):
            if isinstance(each, type) and issubclass(each, Options):
                yield from classes(each)


@pytest.mark.parametrize(
    "cls", sorted({*classes(RunSettings)}, key=lambda cls: cls.__name__), ids=lambda cls: cls.__name__
)
def test_every_class_of_options_checks_its_ranges(cls: Any) -> None:
    for field in fields(cls):
        limits = field.metadata[MEANING].range if MEANING in field.metadata else None
        beyond = (each for each in (-1e30, 1e30) if limits and each not in limits)
        for value in beyond:
            assert refusal(cls, field.name, value).option == field.name
