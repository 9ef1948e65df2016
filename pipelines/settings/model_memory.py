"""Memory that the settings of a run need, checked against this machine's before anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

import torch

from lm.tokens import Vocabulary
from pipelines.stages.options import NextSampleSettings
from vocoder.options import LEVELS
from wordless.base.errors import InputError
from wordless.base.machine import machine_memory

if TYPE_CHECKING:
    from pipelines.settings.run import RunSettings

BYTES = 4  # of a float32 number
TRAINED = 4  # numbers for each weight: itself, its gradient and two moments of AdamW


@dataclass(frozen=True)
class Demand:
    """The least memory of one part of a run."""

    what: str
    numbers: int  # float32
    option: str  # that determines the number
    value: int
    default: object = None  # of the option


def require_memory(settings: RunSettings) -> None:
    """Refuse models, batches and samples of which one alone exceeds this machine's memory.

    If training is on a GPU, only the weights are counted, because they are created in main memory.
    """
    described, lm, samples = settings.tokenizer.config(settings.audio), settings.lm, settings.next_sample
    streams, codes = described.code_shape
    vocabulary = Vocabulary(per_stream=codes + (lm.bpe or 0), streams=streams, backward=lm.gpt.backward)
    for_each_weight = 1 if settings.device != "cpu" and torch.cuda.is_available() else TRAINED
    trainings = (method.training for method in settings.probed_methods if method.training)
    counts = {  # parameters by the group of options with the sizes
        "tokenizer.autoencoder": ("the autoencoder", described.parameters),
        "lm.gpt": ("the language model", lm.gpt.parameters(vocabulary)),
        "vocoder.wavenet": ("the vocoder", settings.vocoder.wavenet.parameters),
        "baselines.encoder": ("the encoder of the baselines", settings.baselines.encoder.parameters),
        **{each.network: (each.what, each.parameters(settings)) for each in trainings if each.network},
        **{
            f"next_sample.{name}": (f"the {name} over samples", samples.config(name).parameters)
            for name in samples.models
        },
    }
    models = (
        Demand(f"training {what}", parameters * for_each_weight, *_largest(group, attrgetter(group)(settings)))
        for group, (what, parameters) in counts.items()
    )
    there = machine_memory()
    for demand in chain(models, _data(settings), _crops(samples)):
        if (needed := demand.numbers * BYTES) > there:
            such = f", such as {demand.default}" if demand.default is not None else ""
            raise InputError(
                f"{demand.option} is {demand.value}: {demand.what} alone would take {needed / 1e9:.0f} GB, and this "
                f"machine has {there / 1e9:.0f} GB; choose a smaller one{such}"
            )


def _largest(group: str, config: object) -> tuple[str, int, object]:
    """Return the option that is furthest above its default, its value and the default."""
    return max(_ratios(group, config))[1:]


def _ratios(group: str, config: object) -> Iterator[tuple[float, str, int, object]]:
    """Give the ratio of each whole number to its default, its option, its value and the default."""
    for field in fields(cast(Any, config)):
        option, own = f"{group}.{field.name}", getattr(config, field.name)
        if is_dataclass(own):
            yield from _ratios(option, own)
            continue
        values, defaults = (each if isinstance(each, tuple) else (each,) for each in (own, field.default))
        if values and {type(number) for number in (*values, *defaults)} == {int}:
            value, default = max(values), max(defaults)
            yield value / max(default, 1), option, value, default


def _data(settings: RunSettings) -> Iterator[Demand]:
    tokenizer, lm, vocoder = settings.tokenizer, settings.lm, settings.vocoder
    column = tokenizer.patch.frames * settings.audio.n_mels
    patches, batch = tokenizer.sample_patches, tokenizer.batch_size
    yield Demand("the sample of patches", patches * column, "tokenizer.sample_patches", patches)
    yield Demand("a batch of patches", min(batch, patches) * column, "tokenizer.batch_size", batch)
    windows = min(lm.batches.batch_size, lm.batch_tokens) // lm.fit.accumulation
    option, value = "lm.batches.batch_size", lm.batches.batch_size
    yield Demand("a batch of windows of codes", windows * lm.gpt.model_dim, option, value)
    crops, wavenet = vocoder.crops, vocoder.wavenet
    samples = crops.batch_size // vocoder.fit.accumulation * crops.crop_codes * wavenet.samples_per_code
    name = "crop_codes" if crops.crop_codes > crops.batch_size else "batch_size"
    option, value = f"vocoder.crops.{name}", getattr(crops, name)
    yield Demand("a batch of crops of sound", samples * wavenet.residual_channels, option, value)


def _crops(samples: NextSampleSettings) -> Iterator[Demand]:
    """Give the logits of a batch of crops, and the levels that the longest history adds."""
    crops, history = samples.crops, max(samples.config(name).history for name in samples.models)
    share = crops.batch_size // samples.fit.accumulation
    name = "samples" if crops.samples > crops.batch_size else "batch_size"
    numbers = share * (crops.samples * LEVELS + 2 * history)
    yield Demand("a batch of crops of samples", numbers, f"next_sample.crops.{name}", getattr(crops, name))
