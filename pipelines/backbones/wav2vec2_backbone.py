"""wav2vec 2.0 and its kin: options, methods of the comparison, and network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, cast

from lm.backbones.backbone import BackboneSource
from lm.backbones.clips import WaveformAugmentationConfig, WaveformBatchConfig, augment_waveforms
from lm.backbones.wav2vec2 import (
    MASKING,
    MaskConfig,
    TargetConfig,
    Wav2vec2Backbone,
    Wav2vec2Config,
    speech_source,
    transformers_config,
)
from lm.finetuning import HeadConfig
from pipelines.backbones.network_options import (
    RANDOM,
    RUN,
    SIZES,
    WaveformFinetuneSettings,
    WaveformTraining,
)
from pipelines.backbones.networks import VALIDATION_SECONDS, LabelTraining, Network, layer_reader, whatever_the_inputs
from pipelines.methods.method import CURVES, FEW, BackboneSettings, Line, Method, untrained
from pipelines.stages.features import ClipReading
from pipelines.stages.stage_options import SPEECH_FEATURES
from tokenizer.speech_layer import ChosenLayer
from wordless.audio.audio_options import Convolutions
from wordless.audio.speech_models import SpeechModel
from wordless.base.messages import InputError, require
from wordless.base.options import option
from wordless.training import FitConfig, LargeFitConfig

WAV2VEC2_OPTION = "wav2vec2.weights"
_MAKE: Final = "speech_model"
TARGETS = TargetConfig()
PROJECTED = 256  # width to which heads of speech models project the mean over time, as in transformers


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
class Wav2vec2FinetuneSettings(WaveformFinetuneSettings):
    """wav2vec 2.0, HuBERT, WavLM or data2vec-audio, which read samples."""

    name = "wav2vec2"

    weights: str = RUN
    model: Wav2vec2Config = option(Wav2vec2Config(), f"{SIZES}; codes and code_dim are of a pre-training alone")
    masking: MaskConfig = MASKING  # spans of masked frames in training
    augmentation: WaveformAugmentationConfig = WaveformAugmentationConfig(
        crop=1.0, rate=0.0, mix=0.0, noise=0.0, time_masks=0
    )
    batches: WaveformBatchConfig = WaveformBatchConfig(batch_size=16, max_seconds=10.0)
    fit: LargeFitConfig = LargeFitConfig(lr=2e-4, warmup_steps=30, final_lr_ratio=0.02, validate_every=50)

    def open(self, run: Mapping[str, Path]) -> BackboneSource:
        """Describe the model of a run, of a local Hugging Face folder, or of the options."""

        change = partial(augment_waveforms, config=self.augmentation)
        if self.weights != RANDOM:
            folder = run.get("wav2vec2", Path(self.weights).expanduser())
            return speech_source(folder, masking=self.masking, change=change)
        architecture = SpeechModel.of_config(transformers_config(self.model), sample_rate=self.sample_rate)
        backbone = Wav2vec2Backbone(architecture=architecture, masking=self.masking)
        return BackboneSource(backbone=backbone, weights=None, fingerprint="", change=change)


@dataclass(frozen=True, kw_only=True)
class Wav2vec2Settings(BackboneSettings):
    methods = (
        Method(name="wav2vec2", kind="self_supervised", title="wav2vec 2.0", untrained="random_wav2vec2",
               features=_MAKE, training="wav2vec2.pretraining", loss="nats per masked frame, among its negatives",
               target="masked frames", sound="samples", line=Line(marker="P"), places=FEW),
        Method(name="wav2vec2_finetuned", kind="supervised", title="wav2vec 2.0, fine-tuned",
               untrained="random_wav2vec2", features=_MAKE, training="wav2vec2.finetuning", learns_labels=True,
               sound="samples",
               line=Line(marker="P", filled=False, dashes="--"), places=CURVES),
        untrained("wav2vec2", "wav2vec 2.0", marker="X", filled=True, sound="samples", features=_MAKE),
    )  # fmt: skip
    parts = ("wav2vec2",)

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

    def least_seconds(self, method: Method, sample_rate: int) -> float:
        own = self.model if method.kind == "untrained" else self  # of the sizes of one that is pre-trained
        return own.convolutions.receptive_field / sample_rate

    def require_weights(self, sample_rate: int) -> None:
        if self.weights is not None:
            self.described.require_rate(sample_rate, given=f"{WAV2VEC2_OPTION}={self.folder}")

    @property
    def folder(self) -> Path:
        return Path(self.weights or "").expanduser()

    @property
    def folders(self) -> tuple[Path, ...]:
        return () if self.weights is None else (self.folder,)

    def pretrained(self, method: Method) -> str:
        return self.methods[0].title if self.weights is None and method.training else ""

    @property
    def described(self) -> SpeechModel:

        return SpeechModel.of_folder(self.folder, option=WAV2VEC2_OPTION)

    def chosen_layer(self, wanted: int | None) -> ChosenLayer:
        """Return a layer of the model in the folder of weights, by default the middle one; refuse one that is not."""

        if self.weights is None:
            rule = f"{SPEECH_FEATURES} reads a speech model: name its folder, such as {WAV2VEC2_OPTION}=runs/x/wav2vec2"
            raise InputError(option=WAV2VEC2_OPTION, rule=rule)
        found = self.described
        layer = max(found.layers // 2, 1) if wanted is None else wanted
        rule = f"the {found.name} model in {self.folder} has layers 1 to {found.layers}"
        require(1 <= layer <= found.layers, "tokenizer.feature_layer", layer, rule)
        return ChosenLayer(folder=self.folder, layer=layer, width=found.width, option=WAV2VEC2_OPTION)

    def network(self, reading: ClipReading, pretrained: BackboneSource) -> Network:
        """Describe a pre-trained speech model; one that heard no clip of the corpus has the same key in all folds."""

        own, rate, backbone = self.finetuning, reading.audio.sample_rate, cast(Wav2vec2Backbone, pretrained.backbone)
        masked = replace(pretrained, backbone=replace(backbone, masking=own.masking))
        return Network(
            name="wav2vec2_finetuned",
            reader=layer_reader(reading, backbone, weights=pretrained.weights),
            decides={"sample_rate": rate, "weights": pretrained.fingerprint},
            learns=[own.masking, rate, pretrained.fingerprint],
            source=partial(whatever_the_inputs, masked),
            training=LabelTraining(
                option="wav2vec2.finetuning.fit",
                batches=own.batches.at_rate(rate),
                fit=own.fit,
                frozen="inputs" if own.freeze_convolutions else 0,
                at_most=VALIDATION_SECONDS * rate,
            ),
            head=HeadConfig(pooling="mean", dropout=0.0, label_smoothing=own.label_smoothing),
            projected=PROJECTED,
        )
