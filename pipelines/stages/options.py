"""Options of the stages of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from lm.bodies.options import (
    MASKING,
    AstConfig,
    AudioTransformerConfig,
    AugmentationConfig,
    ClipBatchConfig,
    ContrastConfig,
    ConvEncoderConfig,
    HeadConfig,
    MaskConfig,
    SoundGPTConfig,
    TargetConfig,
    Wav2vec2Config,
    WaveformAugmentationConfig,
    WaveformBatchConfig,
)
from lm.options import LOOK_AHEAD, BatchConfig, GPTConfig
from lm.samples.options import POSITIONS, ContextConfig, SampleCropsConfig, SampleWaveNetConfig, TransformerConfig
from tokenizer.options import MOST_RATES, HeardConfig, PitchConfig, SoundChanges, TokenizerSizes, ViewsConfig
from vocoder.options import CropsConfig, EngineChoice, SoundOptions, WaveNetConfig
from vocoder.speech_judges import JudgeOfSpeech, require_installed
from wordless.audio.options import Convolutions, Levelling, SpectrogramConfig
from wordless.audio.recordings.embedded import VOICES, WORDS, EmbeddedConfig, agreement_pairs, order_pairs
from wordless.base.errors import InputError, require, within
from wordless.base.options import Options, option
from wordless.training.options import FitConfig, StartableFitConfig

if TYPE_CHECKING:
    from tokenizer.config import TokenizerConfig
    from tokenizer.sources import ChosenLayer
    from wordless.audio.recordings.spoken_pairs import SpokenPairs
    from wordless.audio.speech_models import SpeechModel


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Options):
    fit: FitConfig = option(FitConfig(), "training")


@dataclass(frozen=True, kw_only=True)
class ClipTraining(TrainingSettings):
    augmentation: AugmentationConfig = option(AugmentationConfig(), "random changes of the clips")
    batches: ClipBatchConfig = option(ClipBatchConfig(), "the batch of one training step")


@dataclass(frozen=True, kw_only=True)
class LogMelTraining(ClipTraining):
    views: HeardConfig = option(HeardConfig(), "sounds of the clips that the network does not hear as recorded")


@dataclass(frozen=True, kw_only=True)
class HeadTraining(TrainingSettings):
    head: HeadConfig = option(HeadConfig(), "the classifier behind the network")


@dataclass(frozen=True, kw_only=True)
class WaveformTraining(TrainingSettings):
    batches: WaveformBatchConfig = option(WaveformBatchConfig(), "the batch of one training step")


CONTRAST, TARGETS = ContrastConfig(temperature=0.3), TargetConfig()


@dataclass(frozen=True, kw_only=True)
class TokenizerSettings(TrainingSettings, TokenizerSizes):
    pitch: PitchConfig = option(PitchConfig(), "the stream of pitch beside the codes of the spectrum")
    level: bool = option(
        False,
        "whether a stream beside the codes says how loud each is, so that softer sound has the same codes; not with "
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
    sample_patches: int = option(200_000, "largest number of training patches for autoencoder and codebook", least=1)
    sample_hours: float = 100.0  # of training clips, and of validation, that are read for sample, mean and deviation
    kmeans_iterations: int = 30  # iterations of k-means
    batch_size: int = 512  # patches per training step
    fit: FitConfig = FitConfig(steps=2000, warmup_steps=100, weight_decay=0.0, validate_every=500)
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
        self, audio: SpectrogramConfig, layer: ChosenLayer | None = None, pitches: tuple[float, float] | None = None
    ) -> TokenizerConfig:
        """Return the config of the tokenizer, or of the finest of several, for a front end.

        States of ``layer`` stand in the place of bottlenecks. The stream of pitch spans ``pitches`` in Hz.
        """
        from tokenizer.codes import PitchFormat
        from tokenizer.config import TokenizerConfig  # PyTorch, which checks of other options do without

        return TokenizerConfig(
            audio=self.front_end(audio),
            patch=self.patch,
            autoencoder=self.autoencoder if layer is None else replace(self.autoencoder, bottleneck=layer.width),
            codebook_size=self.codebook_size,
            speech_layer=None if layer is None else layer.config,
            pitch=pitches and PitchFormat(levels=self.pitch.levels, lowest=pitches[0], highest=pitches[1]),
        )


@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings(TrainingSettings):
    batch_tokens: int = option(2048, "most positions per step: long windows reduce lm.batches.batch_size", least=1)
    views: ViewsConfig = option(ViewsConfig(), "changed copies of training clips, on which the GPT is trained as well")
    validation_windows: int = 512  # at most, for the validation loss in training; the final perplexity uses all
    look_ahead: int = LOOK_AHEAD  # codes of each coarser rate that a finer rate's model reads after the covering one
    gpt: GPTConfig = option(GPTConfig(context=256, dropout=0.2), "the language model")
    batches: BatchConfig = option(BatchConfig(), "the batch of one training step")
    fit: FitConfig = FitConfig(warmup_steps=100, weight_decay=0.1, ema_decay=0.99)
    start: str | None = option(
        None,
        "folder of a run or hf://user/name: training begins with the weights of its language model, of the same sizes "
        "and codebook, and has a warm-up and decay of its own; null: random weights",
    )

    def divided(self, rates: int) -> tuple[LanguageModelSettings, ...]:
        """Divide the layers among the models of the rates, coarse first: together they are as large as one GPT."""
        if (layers := self.gpt.layers) < rates:
            rule = f"each of {rates} rates has at least one of the layers: choose {rates} or more, or fewer rates"
            raise InputError(option="gpt.layers", value=layers, rule=rule)
        shares = [layers // rates + (number < layers % rates) for number in range(rates)]
        return tuple(replace(self, gpt=replace(self.gpt, layers=share)) for share in shares)


@dataclass(frozen=True, kw_only=True)
class SimclrSettings(LogMelTraining):
    contrast: ContrastConfig = CONTRAST  # the contrastive loss
    fit: FitConfig = FitConfig(steps=250, lr=2e-3, warmup_steps=30, final_lr_ratio=0.02, validate_every=50)


# of networks that learn labels
LABELLED = AugmentationConfig(crop=0.9, mix=0.2, time_mask=0.1, mel_mask=0.15)


@dataclass(frozen=True, kw_only=True)
class SupervisedSettings(LogMelTraining, HeadTraining):
    augmentation: AugmentationConfig = LABELLED
    batches: ClipBatchConfig = ClipBatchConfig(batch_size=64)
    fit: FitConfig = FitConfig(final_lr_ratio=0.02, weight_decay=0.05, validate_every=50)


@dataclass(frozen=True, kw_only=True)
class BaselineSettings(Options):
    encoder: ConvEncoderConfig = option(ConvEncoderConfig(), "the network of SimCLR, supervised and random_conv")
    simclr: SimclrSettings = option(SimclrSettings(), "SimCLR, which learns to match two views of a clip")
    supervised: SupervisedSettings = option(SupervisedSettings(), "the same network, trained with the labels")
    seed: int = 0  # seed of the untrained encoder


@dataclass(frozen=True, kw_only=True)
class AstSettings(ClipTraining):
    model: AstConfig = option(AstConfig(), "the network")
    augmentation: AugmentationConfig = LABELLED
    batches: ClipBatchConfig = ClipBatchConfig(batch_size=16)
    label_smoothing: float = 0.1  # share of the target that all classes divide
    fit: FitConfig = FitConfig(lr=1e-4, final_lr_ratio=0.02, weight_decay=0.05, validate_every=50)


@dataclass(frozen=True, kw_only=True)
class AudioTransformerSettings(WaveformTraining, HeadTraining):
    model: AudioTransformerConfig = option(AudioTransformerConfig(), "the network")
    head: HeadConfig = HeadConfig(pooling="mean", dropout=0.1)
    augmentation: WaveformAugmentationConfig = option(WaveformAugmentationConfig(), "random changes of the clips")
    fit: FitConfig = FitConfig(steps=600, final_lr_ratio=0.02, weight_decay=0.05, validate_every=50)


# Augmentation that does not crop; the codes after a change of speed are those of the same sounds.
IN_PLACE = AugmentationConfig(
    crop=1.0, speed=0.2, formant=0.2, gain_db=0.0, mix=0.0, noise=0.3, time_masks=2, time_mask=0.1, mel_masks=2
)


@dataclass(frozen=True, kw_only=True)
class SoundGPTSettings(LogMelTraining):
    model: SoundGPTConfig = option(SoundGPTConfig(), "the network")
    window_seconds: float = option(
        0.16, "length of the sound around each patch whose code is predicted, rounded to whole patches", above=0
    )
    augmentation: AugmentationConfig = IN_PLACE
    batches: ClipBatchConfig = ClipBatchConfig(batch_size=64)
    fit: FitConfig = FitConfig(steps=1500, lr=2e-3, warmup_steps=100, final_lr_ratio=0.02, validate_every=250)

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "a clip that is reversed in time no longer has its codes in their order: choose 0"
        self.refuse_if(self.augmentation.time_flip, "augmentation.time_flip", rule)

    def window_patches(self, patch_seconds: float) -> int:
        """Round the length of the window to whole patches, at least one."""
        return max(round(self.window_seconds / patch_seconds), 1)

    @property
    def longest(self) -> int:
        """Frames of the longest copy."""
        return math.ceil(self.batches.max_frames * (1 + self.augmentation.speed)) + 1


OPTION, SPEECH_FEATURES = "wav2vec2.weights", "tokenizer.features=wav2vec2"


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings(WaveformTraining):
    targets: TargetConfig = TARGETS  # the frames that are masked, and what is predicted
    fit: FitConfig = FitConfig(steps=400, lr=2e-3, warmup_steps=100, keep="last")


@dataclass(frozen=True, kw_only=True)
class FinetuningSettings(WaveformTraining):
    masking: MaskConfig = MASKING  # spans of masked frames
    freeze_convolutions: bool = option(True, "whether the convolutions stay as they were pre-trained")
    label_smoothing: float = 0.1  # share of the target that all classes divide
    batches: WaveformBatchConfig = WaveformBatchConfig(batch_size=16)
    fit: FitConfig = FitConfig(lr=2e-4, warmup_steps=30, final_lr_ratio=0.02, validate_every=50)


@dataclass(frozen=True, kw_only=True)
class Wav2vec2Settings(Options):
    weights: str | None = option(
        None,
        "Hugging Face folder or hf://user/name of a wav2vec 2.0, HuBERT, WavLM or data2vec-audio model; null: a model "
        "is pre-trained on the clips",
    )
    model: Wav2vec2Config = option(Wav2vec2Config(), "the network that is pre-trained")
    pretraining: PretrainingSettings = option(PretrainingSettings(), "masked prediction without labels")
    finetuning: FinetuningSettings = option(FinetuningSettings(), "training of the whole network with the labels")

    @property
    def convolutions(self) -> Convolutions:
        return self.model.convolutions if self.weights is None else self.described.convolutions

    def require_weights(self, sample_rate: int) -> None:
        """Refuse a folder of weights that cannot be read, or that are of another sample rate."""
        if self.weights is not None:
            self.described.require_rate(sample_rate, given=f"{OPTION}={self.folder}")

    @property
    def folder(self) -> Path:
        return Path(self.weights or "").expanduser()

    @property
    def described(self) -> SpeechModel:
        from wordless.audio.speech_models import SpeechModel

        return SpeechModel.of_folder(self.folder, option=OPTION)

    def chosen_layer(self, wanted: int | None) -> ChosenLayer:
        """Return a layer of the model in the folder of weights, by default the middle one; refuse one that is not."""
        from tokenizer.sources import ChosenLayer

        if self.weights is None:
            rule = f"{SPEECH_FEATURES} reads a speech model: name its folder, such as {OPTION}=runs/x/wav2vec2"
            raise InputError(option=OPTION, rule=rule)
        found = self.described
        layer = max(found.layers // 2, 1) if wanted is None else wanted
        rule = f"the {found.name} model in {self.folder} has layers 1 to {found.layers}"
        require(1 <= layer <= found.layers, "tokenizer.feature_layer", layer, rule)
        return ChosenLayer(folder=self.folder, layer=layer, width=found.width, option=OPTION)


STEPS, STEPS_FROM_SHIPPED = 300, 0  # vocoder.fit.steps=null; and for built-in voices from weights that ship


@dataclass(frozen=True, kw_only=True)
class VocoderSettings(TrainingSettings):
    wavenet: WaveNetConfig = option(WaveNetConfig(residual_channels=48, gate_channels=96, layers=16), "the network")
    crops: CropsConfig = option(CropsConfig(crop_codes=16), "the pieces of clips of one training step")
    condition_on_groups: bool = option(True, "whether each group, such as a speaker, has a voice of its own")
    fit: StartableFitConfig = StartableFitConfig(
        steps=STEPS, lr=2e-3, weight_decay=0.0, precision="auto", ema_decay=0.99
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
        rule = "choose meaning: a vocoder needs codes (experiment=next_sample trains WaveNet without)"
        self.refuse_if(self.wavenet.condition == "none", "wavenet.condition", rule)
        if not self.fit.steps and self.start is None:
            why = "" if self.unfit is None else f" (of the weights that ship, {self.unfit})"
            rule = f"random weights make no sound{why}: choose more, such as {STEPS}, or weights, `start`=RUN"
            raise InputError(option="fit.steps", value=0, rule=rule)


JudgeName = Literal["probe", "codes", "supervised"]
SoundJudge = Literal["recognised", "stoi", "pesq", "pitch", JudgeOfSpeech]
USUAL_JUDGES: tuple[SoundJudge, ...] = ("recognised", "stoi", "pesq", "pitch")


@dataclass(frozen=True, kw_only=True)
class ListeningConfig(SoundOptions):
    clips: int = option(6, "number of test clips in the report; null: 4 with the built-in sentences, else 6", least=1)
    judged_clips: int = option(40, "test clips that are judged; 0: those in the report, without labels", least=0)
    judges: tuple[SoundJudge, ...] | None = option(
        None,
        "who judges decoded sound: recognised names labels; the last two need wordless[judges]; null: "
        "[recognised,stoi,pitch], and pesq if it is installed",
        distinct=True,
    )
    judge: JudgeName = option(
        "probe",
        "who names the labels of decoded sound: a linear probe of log-mel, of the codes of the sound, or a trained "
        "network; null: codes with the built-in sentences, else probe",
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

    def __post_init__(self) -> None:
        super().__post_init__()
        require_installed(self.judges or (), option="judges")

    def asks(self, judge: SoundJudge) -> bool:
        """Return whether the judge is named, or is one of the usual judges where none is named."""
        return judge in (USUAL_JUDGES if self.judges is None else self.judges)


@dataclass(frozen=True, kw_only=True)
class ZerospeechConfig(Options):
    voices: int = option(
        12,
        "number of the last voices of the built-in corpus, which speak the tests; embedded.voices must leave them out",
        least=1,
        most=len(VOICES) - 1,
    )
    words: int = 30  # of test at most, in a corpus of words: those that begin with exactly one consonant
    rounds: int = 3  # number of made-up words for each word, in a corpus of words
    sentences: int = option(
        30,
        "in a corpus of sentences: those that are paired with another order of words, or with a noun that disagrees",
        least=1,
        most=500,
    )
    consistency: int = option(
        0,
        "such as 10: texts whose wrong sounds change speaker, gender, pitch or background midway; 0: none",
        least=0,
        most=100,
    )
    seed: ClassVar[int] = 0  # of the speeds and pitches

    def require_unheard(self, embedded: EmbeddedConfig) -> None:
        """Refuse voices that the corpus has, too, and a corpus without the words of the tests."""
        rule = "the stage zerospeech asks for words of the default corpus: choose false, or leave the stage out"
        if embedded.other:
            raise InputError(option="embedded.other", value=True, rule=rule)
        left = len(VOICES) - self.voices
        needed = f"zerospeech needs {self.voices} voices that are not trained on"
        rule = f"{needed}: choose {left} or fewer, or a smaller zerospeech.voices"
        require(embedded.voices <= left, "embedded.voices", embedded.voices, rule)

    def pairs(self, embedded: EmbeddedConfig) -> SpokenPairs:
        """List the pairs that the embedded corpus allows; refuse words of which no made-up word can be made."""
        from wordless.audio.recordings.spoken_pairs import held_out_voices, sentence_pairs, word_pairs

        voices = held_out_voices(self.voices)
        if embedded.sentences:
            pairs = agreement_pairs if embedded.agreement else order_pairs
            return sentence_pairs(voices, pairs(self.sentences), seed=self.seed)
        found = word_pairs(voices, words=self.words, known=embedded.words, rounds=self.rounds, seed=self.seed)
        require(
            bool(found.pairs), "embedded.words", embedded.words, "made-up words are made of several words: choose more"
        )
        return found

    def texts(self, embedded: EmbeddedConfig) -> list[tuple[str, str]]:
        """List the texts of the tests of consistency in two parts: held-out sentences, or two words."""
        if embedded.sentences:
            sentences = [sentence.removesuffix(".") for sentence, _ in order_pairs(self.consistency)]
            halves = (text.split() for text in sentences)
            return [(" ".join(words[:3]), " ".join(words[3:])) for words in halves]
        words = WORDS[: embedded.words]
        numbers = [number % len(words) for number in range(self.consistency)]
        return [(words[number], words[(number + 1) % len(words)]) for number in numbers]


@dataclass(frozen=True, kw_only=True)
class SampleSoundsConfig(Options):
    seconds: float = option(2.0, "length of each sound, without its prompt", above=0)
    unprompted: int = 1  # sounds of each model that begin in silence
    prompts: int = 2  # number of test clips that each model continues
    prompt_seconds: float = 0.5  # longest prompt; of a shorter clip the first half
    temperature: float = 1.0  # 1 draws levels as the model learned them; 0 takes the most probable level
    seed: int = 0  # seed of the drawn levels, and of the clips
    engine: EngineChoice = "auto"  # the code that generates WaveNet's samples


ModelName = Literal["wavenet", "wavenet_large", "transformer", "transformer_context"]


@dataclass(frozen=True, kw_only=True)
class NextSampleSettings(TrainingSettings):
    models: tuple[ModelName, ...] = option(
        ("wavenet", "wavenet_large", "transformer", "transformer_context"),
        "the models that are trained and compared",
        filled=True,
        distinct=True,
    )
    wavenet: SampleWaveNetConfig = option(SampleWaveNetConfig(), "WaveNet, with as many parameters as the transformers")
    wavenet_large: SampleWaveNetConfig = option(
        SampleWaveNetConfig(residual_channels=48, gate_channels=96),
        "WaveNet with as many multiply-adds as the transformers",
    )
    transformer: TransformerConfig = option(TransformerConfig(), "the causal transformer")
    transformer_context: TransformerConfig = option(
        TransformerConfig(ffn_dim=168, context=ContextConfig()), "the transformer with a vector of a longer past"
    )
    crops: SampleCropsConfig = option(SampleCropsConfig(), "the pieces of clips of a step, the same for all models")
    fit: FitConfig = FitConfig(steps=800, lr=5e-3, weight_decay=0.0, precision="auto", ema_decay=0.99)
    test_crops: int = 256  # crops of test clips on which all models are compared
    test_seed: int = 0  # seed of these crops, the same for all seeds
    sounds: SampleSoundsConfig = option(SampleSoundsConfig(), "generated sounds to listen to")

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "it is the model with a context vector: leave the option out"
        self.refuse_if(self.transformer_context.context is None, "transformer_context.context", rule)
        rule = "the model with a context vector is transformer_context: choose null"
        self.refuse_if(self.transformer.context is not None, "transformer.context", rule)

    def require_positions(self) -> None:
        """Refuse contexts and crops that are longer than a transformer's positions, in runs that have the stage."""
        for name in self.models:
            config = self.config(name)
            if isinstance(config, TransformerConfig):
                with within(name):
                    config.require_room()
                most = POSITIONS - config.receptive_field + 1
                rule = f"{name} reads at most {POSITIONS} samples at once: choose {most} or fewer"
                self.refuse_if(self.crops.samples > most, "crops.samples", rule)

    def config(self, name: ModelName) -> SampleWaveNetConfig | TransformerConfig:
        return cast("SampleWaveNetConfig | TransformerConfig", getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class RatesConfig(Options):
    clips: int = option(40, "test clips that are continued, by the models of several rates and by one GPT", least=1)
    prompt_seconds: float = option(1.0, "longest prompt, half of the loudest part of a clip", above=0)
    seconds: float = option(5.0, "length of each continuation", above=0)
    window_seconds: float = option(1.0, "length of the windows of a continuation whose labels are named", above=0)
    continuations: int = 2  # of each clip by the models of several rates, and as many by the GPT
    temperature: float = 1.0  # temperature of all models
    top_k: int = 0  # all codes: a limit would cut more off a flat distribution than off a sharp one
    silence_dbfs: float = -50.0  # softer windows count as silent and have no label
    shown: int = 3  # number of clips in the report
    seed: int = 0  # seed of the continuations

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"each continuation has two windows or more: choose at most {self.seconds / 2:g}, half of seconds"
        self.refuse_if(self.window_seconds > self.seconds / 2, "window_seconds", rule)

    @property
    def windows(self) -> int:
        """Number of whole windows of a continuation."""
        return int(self.seconds / self.window_seconds + 1e-9)

    def window_bounds(self, windows: int, sample_rate: int) -> list[int]:
        """Return the first sample of each window, and the one after the last, which is within the sound."""
        # 1e-6: 3 * 0.3 * 8000 is a little less than 7,200 in floats
        return [int(place * self.window_seconds * sample_rate + 1e-6) for place in range(windows + 1)]
