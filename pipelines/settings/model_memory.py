"""Memory that the settings of a run need, checked against this machine's before anything is built."""

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from itertools import chain
from typing import Any, cast

from audio.spectrogram import SpectrogramConfig
from foundation.devices import Device
from foundation.errors import InputError
from foundation.memory import machine_memory
from lm.vocabulary import Vocabulary
from pipelines.stages.baselines import BaselineSettings
from pipelines.stages.language_model import LanguageModelSettings
from pipelines.stages.tokenizer import TokenizerSettings
from pipelines.stages.vocoder import VocoderSettings

BYTES = 4  # of a float32 number
TRAINED = 4  # numbers for each weight: itself, its gradient and two moments of AdamW


@dataclass(frozen=True, kw_only=True)
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
) -> None:
    """Refuse models, batches and samples of which one alone exceeds this machine's memory.

    If training is on a GPU, only the weights are counted, because they are created in main memory.
    """
    for_each_weight = 1 if _on_gpu(device) else TRAINED
    there = machine_memory()
    models = _models(for_each_weight, audio, tokenizer, lm, vocoder, baselines)
    for demand in chain(models, _data(audio, tokenizer, lm, vocoder)):
        if (needed := demand.numbers * BYTES) > there:
            such = f", such as {demand.default}" if demand.default is not None else ""
            raise InputError(
                f"{demand.option} is {demand.value}: {demand.what} alone would take {needed / 1e9:.0f} GB, and this "
                f"machine has {there / 1e9:.0f} GB; choose a smaller one{such}"
            )


def _models(
    for_each_weight: int,
    audio: SpectrogramConfig,
    tokenizer: TokenizerSettings,
    lm: LanguageModelSettings,
    vocoder: VocoderSettings,
    baselines: BaselineSettings,
) -> Iterator[Demand]:
    described = tokenizer.config(audio)
    vocabulary = Vocabulary(codebook_size=described.codebook_size, streams=described.streams)
    encoder = baselines.encoder
    for what, group, config, parameters in (
        ("the autoencoder", "tokenizer.autoencoder", tokenizer.autoencoder, described.parameters),
        ("the language model", "lm.gpt", lm.gpt, lm.gpt.parameters(vocabulary)),
        ("the vocoder", "vocoder.wavenet", vocoder.wavenet, vocoder.wavenet.parameters),
        ("the encoder of the baselines", "baselines.encoder", encoder, encoder.parameters),
    ):
        option, value, default = _largest(group, config)
        numbers = parameters * for_each_weight
        yield Demand(what=f"training {what}", numbers=numbers, option=option, value=value, default=default)


def _largest(group: str, config: object) -> tuple[str, int, object]:
    """Return the option that is furthest above its default, its value and the default."""
    found: list[tuple[float, str, int, object]] = []
    for field in fields(cast(Any, config)):
        value, default = getattr(config, field.name), field.default
        if field.default is not MISSING and type(value) is int and type(default) is int:
            found.append((value / max(default, 1), f"{group}.{field.name}", value, default))
        elif isinstance(value, tuple) and isinstance(default, tuple) and value and type(value[0]) is int:
            found.append((max(value) / max(default), f"{group}.{field.name}", max(value), max(default)))
    _, option, value, default = max(found)
    return option, value, default


def _data(
    audio: SpectrogramConfig, tokenizer: TokenizerSettings, lm: LanguageModelSettings, vocoder: VocoderSettings
) -> Iterator[Demand]:
    column = tokenizer.patch.frames * audio.n_mels
    yield Demand(
        what="the sample of patches",
        numbers=tokenizer.sample_patches * column,
        option="tokenizer.sample_patches",
        value=tokenizer.sample_patches,
    )
    yield Demand(
        what="a batch of patches",
        numbers=min(tokenizer.batch_size, tokenizer.sample_patches) * column,
        option="tokenizer.batch_size",
        value=tokenizer.batch_size,
    )
    windows = min(lm.batches.batch_size, lm.batch_tokens)
    yield Demand(
        what="a batch of windows of codes",
        numbers=windows // lm.fit.accumulation * lm.gpt.model_dim,
        option="lm.batches.batch_size",
        value=lm.batches.batch_size,
    )
    crops, wavenet = vocoder.crops, vocoder.wavenet
    samples = crops.batch_size // vocoder.fit.accumulation * crops.crop_codes * wavenet.samples_per_code
    long = crops.crop_codes > crops.batch_size
    yield Demand(
        what="a batch of crops of sound",
        numbers=samples * wavenet.residual_channels,
        option="vocoder.crops.crop_codes" if long else "vocoder.crops.batch_size",
        value=crops.crop_codes if long else crops.batch_size,
    )


def _on_gpu(device: Device) -> bool:
    import torch

    return device != "cpu" and torch.cuda.is_available()
