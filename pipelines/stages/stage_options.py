"""Options of the stages of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

from lm.gpt import GPTConfig
from lm.model import LOOK_AHEAD
from lm.tokens import BatchConfig
from tokenizer.augmentations import SoundChanges, ViewsConfig
from tokenizer.code_decoder import DecoderConfig, dilations_within
from tokenizer.codes import PitchFormat
from tokenizer.frame_sample import VectorSource
from tokenizer.tokenizer_config import TokenizerConfig, TokenizerSizes
from vocoder.crops import CropsConfig
from vocoder.vocoder_options import EngineChoice, SoundOptions, WaveNetConfig
from wordless.audio.audio_options import Levelling, SpectrogramConfig
from wordless.base.arrays import DoubleArray
from wordless.base.messages import InputError
from wordless.base.options import NO_RESULT, Options, option
from wordless.training import FitConfig, LargeFitConfig, StartableFitConfig

MOST_RATES = 4  # of a tokenizer


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Options):
    fit: FitConfig = option(FitConfig(), "training")

    def sound_per_step(self, usual: TrainingSettings, seconds: DoubleArray, frame_seconds: float) -> float:
        """Return how much more sound a step reads than one of the ``usual`` settings on the built-in corpus.

        ``seconds`` are the lengths of the training clips. Smaller batches than usual count as usual ones.
        """
        return 1.0

    def most_seconds(self, frame_seconds: float) -> float:
        """Return how much of the training clips the training can read at most."""
        return math.inf


@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings(TrainingSettings):
    # On the built-in sentences validation chose a learning rate of 2e-3 (1e-3 before), and a GPT of 0.8 million weights
    # lost 2 to 7 points: docs/log.md, "Word order in the default run" and "What the default run costs".
    batch_tokens: int = option(2048, "most positions per step: long windows reduce lm.batches.batch_size", least=1)
    views: ViewsConfig = option(ViewsConfig(), "changed copies of training clips, on which the GPT is trained as well")
    validation_windows: int = 512  # at most, for the validation loss in training; the final perplexity uses all
    look_ahead: int = LOOK_AHEAD  # codes of each coarser rate that a finer rate's model reads after the covering one
    gpt: GPTConfig = option(GPTConfig(context=256, dropout=0.2), "the language model")
    batches: BatchConfig = option(BatchConfig(), "the batch of one training step")
    fit: LargeFitConfig = LargeFitConfig(warmup_steps=100, weight_decay=0.1, ema_decay=0.99)
    start: str | None = option(
        None,
        "folder of a run or hf://user/name: training begins with the weights of its language model, of the same sizes "
        "and codebook, and has a warm-up and decay of its own; null: random weights",
    )

    def sound_per_step(self, usual: TrainingSettings, seconds: DoubleArray, frame_seconds: float) -> float:
        assert isinstance(usual, LanguageModelSettings), "settings are compared with the defaults of their own class"
        return max(self.batch_tokens / usual.batch_tokens, 1.0)

    def divided(self, rates: int) -> tuple[LanguageModelSettings, ...]:
        """Divide the layers among the models of the rates, coarse first: together they are as large as one GPT."""
        if (layers := self.gpt.layers) < rates:
            rule = f"each of {rates} rates has at least one of the layers: choose {rates} or more, or fewer rates"
            raise InputError(option="gpt.layers", value=layers, rule=rule)
        shares = [layers // rates + (number < layers % rates) for number in range(rates)]
        return tuple(replace(self, gpt=replace(self.gpt, layers=share)) for share in shares)


@dataclass(frozen=True, kw_only=True)
class DecoderSettings(TrainingSettings):
    # 600 steps train beside the GPT without making a run longer; 1,500 win 0.1 dB more. Networks over frames instead of
    # codes are no better: docs/log.md, "Codes in context".
    channels: int = option(256, "width of the layers", least=1)
    look_ahead: float = option(
        0.16, "seconds after a code that its decoding reads, and as many before it, at least a code", above=0, most=0.2
    )
    hours: float = option(1.0, "of training clips, drawn at random, of each at most its first 30 seconds", above=0)
    crop_codes: int = option(50, "codes of the pieces of clips of a training step", least=1)
    batch_size: int = option(16, "pieces per training step", least=1)
    pitch_dropout: float = 0.1  # share of the pieces whose pitch is unknown, as of codes without its stream
    fit: FitConfig = FitConfig(steps=600, lr=2e-3, warmup_steps=100, weight_decay=0.0, validate_every=200)

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"a batch has batch_size={self.batch_size} pieces: choose {self.batch_size} or fewer"
        self.refuse_if(self.fit.accumulation > self.batch_size, "fit.accumulation", rule)

    def config(self, codes_per_second: float) -> DecoderConfig:
        """Return the sizes of the decoder of codes at a rate."""

        reach = max(int(self.look_ahead * codes_per_second + 1e-6), 1)
        return DecoderConfig(channels=self.channels, dilations=dilations_within(reach))


@dataclass(frozen=True, kw_only=True)
class PitchConfig(Options):
    """Options of the side stream of pitch."""

    # 32 levels had a pitch error of 71 cents on digits, 64 of 53: docs/log.md, "A stream of pitch".
    levels: int = option(
        64,
        "number of codes of the pitch of a voice: no voice, and pitches in equal steps of log-F0; 0: no such stream. "
        "There is none with tokenizer.rates, with sample rates that resolve no pitch, and of recordings without voices",
        least=0,
        most=1024,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "choose 3 or more, which are no voice and two pitches, or 0 for no stream of pitch"
        self.refuse_if(0 < self.levels < 3, "levels", rule)


@dataclass(frozen=True, kw_only=True)
class TokenizerSettings(TrainingSettings, TokenizerSizes):
    pitch: PitchConfig = option(PitchConfig(), "the stream of pitch beside the codes of the spectrum")
    level: bool = option(
        False,
        "whether a side stream says how loud each is, so that softer sound has the same codes; not with "
        "tokenizer.start, tokenizer.rates, a speech model, audio.dynamic_range or audio.remove_mean",
    )
    features: Literal["autoencoder", "wav2vec2"] = option(
        "autoencoder", "what k-means clusters: bottlenecks, or states of the speech model in wav2vec2.weights"
    )
    feature_layer: int | None = option(None, "layer of the speech model, from 1 on; null: the middle one", least=1)
    rates: tuple[int, ...] | None = option(
        None,
        "such as [8,4,2]: codes of patches of 8, 4 and 2 frames of the same sound, each with its own codebook; the "
        "last is patch.frames",
        least=1,
    )
    decoder: DecoderSettings | None = option(
        DecoderSettings(),
        "the network that decodes codes in context to log-mel, trained with the stage vocoder unless the tokenizer of "
        "tokenizer.start has one; null: each code is decoded alone, whatever the start has",
    )
    # 200 patches for each code suffice: docs/log.md, "k-means". More cost time alone.
    sample_patches: int = option(200_000, "largest number of training patches for autoencoder and codebook", least=1)
    sample_hours: float = 100.0  # of training clips, and of validation, that are read for sample, mean and deviation
    kmeans_iterations: int = 30  # iterations of k-means
    batch_size: int = 512  # patches per training step
    fit: FitConfig = FitConfig(steps=2000, warmup_steps=100, weight_decay=0.0, validate_every=500)
    # An autoencoder that hears noise makes codes that noise changes less, and loses nothing without it: docs/log.md,
    # "Noise and number of codes".
    views: SoundChanges = option(
        SoundChanges(changed=0.7),
        "changes of the sound that the autoencoder reads; it learns to make the patch as recorded",
    )
    seed: int = 0  # seed of the sample of patches and of k-means
    start: str | None = option(
        None,
        "folder of a run or hf://user/name: its tokenizer is used as it is, with the same sizes and front end; null: "
        "one is trained",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if (rates := self.rates) is not None:
            nested = (fine < coarse and coarse % fine == 0 for coarse, fine in pairwise(rates))
            rule = f"name 2 to {MOST_RATES} frames per patch, each a multiple of the next, such as [8,4,2], or null"
            self.refuse_if(not (2 <= len(rates) <= MOST_RATES and min(rates) >= 1 and all(nested)), "rates", rule)
            if rates[-1] != self.patch.frames:
                rule = f"`patch.frames` is {self.patch.frames}, and others read the patches of the finest rate"
                raise InputError(option="rates", value=rates, rule=rule, remedy=f"add `patch.frames`={rates[-1]}")
        rule = f"a batch has batch_size={self.batch_size} patches: choose {self.batch_size} or fewer"
        self.refuse_if(self.fit.accumulation > self.batch_size, "fit.accumulation", rule)
        rule = f"sample_patches is {self.sample_patches}, and k-means needs a patch for each code: raise it"
        self.refuse_if(self.codebook_size > self.sample_patches, "codebook_size", rule)

    def sound_per_step(self, usual: TrainingSettings, seconds: DoubleArray, frame_seconds: float) -> float:
        assert isinstance(usual, TokenizerSettings), "settings are compared with the defaults of their own class"
        return max(self.batch_size / usual.batch_size, 1.0)

    def most_seconds(self, frame_seconds: float) -> float:
        # Patches of the sample begin with every frame, those of a speech model with every state.
        step = frame_seconds * (1 if self.features == "autoencoder" else self.patch.frames)
        return min(self.sample_patches * step, 3600 * self.sample_hours)

    @property
    def by_rate(self) -> tuple[TokenizerSettings, ...]:
        """The settings of each rate alone, coarse to fine."""
        own = self if self.rates is None else replace(self, rates=None, pitch=PitchConfig(levels=0), level=False)
        frames = self.rates or (self.patch.frames,)
        return tuple(replace(own, patch=replace(self.patch, frames=each)) for each in frames)

    def front_end(self, audio: SpectrogramConfig) -> SpectrogramConfig:
        """Return the spectrogram that codes stand for, which follows the level if there is a stream of it."""
        return replace(audio, levelling=Levelling(frames=self.patch.frames)) if self.level else audio

    def config(
        self, audio: SpectrogramConfig, layer: VectorSource | None = None, pitches: tuple[float, float] | None = None
    ) -> TokenizerConfig:
        """Return the config of the tokenizer, or of the finest of several, for a front end.

        States of ``layer`` stand in the place of bottlenecks. The stream of pitch spans ``pitches`` in Hz.
        """
        return _tokenizer_config(
            audio=self.front_end(audio),
            patch=self.patch,
            autoencoder=self.autoencoder if layer is None else replace(self.autoencoder, bottleneck=layer.width),
            codebook_size=self.codebook_size,
            speech_layer=None if layer is None else layer.config,
            pitch=pitches and PitchFormat(levels=self.pitch.levels, lowest=pitches[0], highest=pitches[1]),
        )


@lru_cache(maxsize=16)
def _tokenizer_config(**sizes: Any) -> TokenizerConfig:
    """Build the config of a tokenizer, whose checks take their time, once for the same sizes."""
    return TokenizerConfig(**sizes)


_STEPS, STEPS_FROM_SHIPPED = 300, 0  # vocoder.fit.steps=null; and for built-in voices from weights that ship
SPEECH_FEATURES = "tokenizer.features=wav2vec2"  # in messages


@dataclass(frozen=True, kw_only=True)
class VocoderSettings(TrainingSettings):
    wavenet: WaveNetConfig = option(WaveNetConfig(residual_channels=48, gate_channels=96, layers=16), "the network")
    crops: CropsConfig = option(CropsConfig(crop_codes=16), "the pieces of clips of one training step")
    condition_on_groups: bool = option(True, "whether each group, such as a speaker, has a voice of its own")
    fit: StartableFitConfig = StartableFitConfig(
        steps=_STEPS, lr=2e-3, weight_decay=0.0, precision="auto", ema_decay=0.99
    )
    start: str | None = option(
        None,
        "universal: training begins with weights that ship with Wordless, if they fit, and takes 0 steps for the "
        "built-in corpus; or with those of a run, of a vocoder beside its tokenizer, or of hf://user/name; null: "
        "random weights",
    )
    unfit: str | None = None  # filled in: why the weights that ship with the package do not serve this vocoder

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "choose meaning: a vocoder needs codes"
        self.refuse_if(self.wavenet.condition == "none", "wavenet.condition", rule)
        if not self.fit.steps and self.start is None:
            why = "" if self.unfit is None else f" (of the weights that ship, {self.unfit})"
            rule = f"random weights make no sound{why}: choose more, such as {_STEPS}, or weights, `start`=RUN"
            raise InputError(option="fit.steps", value=0, rule=rule)

    def sound_per_step(self, usual: TrainingSettings, seconds: DoubleArray, frame_seconds: float) -> float:
        assert isinstance(usual, VocoderSettings), "settings are compared with the defaults of their own class"
        own, other = (each.batch_size * each.crop_codes for each in (self.crops, usual.crops))
        return max(own / other, 1.0)


EvaluatorName = Literal["probe", "codes", "supervised"]
SoundMetric = Literal["label_accuracy", "stoi", "pesq", "pitch"]


@dataclass(frozen=True, kw_only=True)
class ListeningConfig(SoundOptions):
    engine: EngineChoice = field(default="auto", metadata=NO_RESULT)  # the code that generates WaveNet's samples
    clips: int = option(6, "number of test clips in the report; null: 4 with the built-in sentences, else 6", least=1)
    evaluated_clips: int = option(40, "test clips that are evaluated; 0: those in the report, without labels", least=0)
    metrics: tuple[SoundMetric, ...] | None = option(
        None,
        "what is measured of decoded sound: label_accuracy, stoi, pesq, pitch; null: all but pesq, and pesq if it is "
        "installed",
        distinct=True,
    )
    evaluator: EvaluatorName = option(
        "probe",
        "the evaluator, which names the labels of decoded sound: a linear probe of log-mel, of the codes of the sound, "
        "or a trained network; null: codes with the built-in sentences, else probe",
    )
    seconds: float = option(3.0, "longest clip in seconds; of a longer clip the loudest stretch is used", above=0)
    continuation_seconds: float = option(1.0, "length of the GPT's continuation of each clip in seconds", above=0)
    prompt_seconds: float = 1.0  # least length of a prompt; at most three quarters of the clip
    temperatures: tuple[float, ...] = option((0.7, 1.0), "temperatures of the GPT", least=0, distinct=True)
    continuations: int = option(2, "continuations of each clip at each temperature", least=0)
    unconditional: int = option(2, "sounds without a prompt at each temperature", least=0)
    top_k: int = 50  # the GPT draws from this number of most probable codes; 0: all codes
    vocoder_temperature: float = option(1.0, "temperature of WaveNet; 0: always the most probable sample", least=0)
    seed: int = 0  # seed of the drawn sounds

    def asks(self, metric: SoundMetric) -> bool:
        """Return whether the metric is named, or none is."""
        return self.metrics is None or metric in self.metrics
