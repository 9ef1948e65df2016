"""Memory that the settings of a run need, checked against this machine's before anything is built."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from itertools import chain
from typing import Any, cast

import torch

from lm.tokens import Vocabulary
from pipelines.methods.method import Network
from pipelines.stages.options import (
    BaselineSettings,
    LanguageModelSettings,
    NextSampleSettings,
    TokenizerSettings,
    VocoderSettings,
)
from vocoder.options import LEVELS
from wordless.audio.options import SpectrogramConfig
from wordless.base.devices import Device
from wordless.base.errors import InputError
from wordless.base.memory import machine_memory

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


def require_memory(
    device: Device,
    audio: SpectrogramConfig,
    tokenizer: TokenizerSettings,
    lm: LanguageModelSettings,
    vocoder: VocoderSettings,
    baselines: BaselineSettings,
    samples: NextSampleSettings,
    networks: Iterable[Network] = (),
) -> None:
    """Refuse models, batches and samples of which one alone exceeds this machine's memory.

    ``networks`` are those of the compared methods. If training is on a GPU, only the weights are counted, because they
    are created in main memory.
    """
    described = tokenizer.config(audio)
    streams, codes = described.code_shape
    vocabulary = Vocabulary(per_stream=codes + (lm.bpe or 0), streams=streams, backward=lm.gpt.backward)
    encoder = baselines.encoder
    for_each_weight = 1 if device != "cpu" and torch.cuda.is_available() else TRAINED
    models = (
        Demand(f"training {what}", parameters * for_each_weight, *_largest(group, config))
        for what, group, config, parameters in (
            ("the autoencoder", "tokenizer.autoencoder", tokenizer.autoencoder, described.parameters),
            ("the language model", "lm.gpt", lm.gpt, lm.gpt.parameters(vocabulary)),
            ("the vocoder", "vocoder.wavenet", vocoder.wavenet, vocoder.wavenet.parameters),
            ("the encoder of the baselines", "baselines.encoder", encoder, encoder.parameters),
            *((each.what, each.option, each.config, each.parameters) for each in networks),
            *(
                (f"the {name} over samples", f"next_sample.{name}", config, config.parameters)
                for name, config in ((name, samples.config(name)) for name in samples.models)
            ),
        )
    )
    there = machine_memory()
    for demand in chain(models, _data(audio, tokenizer, lm, vocoder), _crops(samples)):
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


def _data(
    audio: SpectrogramConfig, tokenizer: TokenizerSettings, lm: LanguageModelSettings, vocoder: VocoderSettings
) -> Iterator[Demand]:
    column = tokenizer.patch.frames * audio.n_mels
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
