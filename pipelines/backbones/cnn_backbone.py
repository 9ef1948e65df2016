"""The convolutional network of SimCLR and of supervision: options, methods of the comparison, and network."""

from __future__ import annotations

from dataclasses import dataclass

from lm.backbones.clips import AugmentationConfig, ClipBatchConfig
from lm.backbones.convolutional import ContrastConfig, ConvBackbone, ConvEncoderConfig
from pipelines.backbones.network_options import (
    LABELLED,
    PLAIN_INPUTS,
    HeadTraining,
    LogMelTraining,
    NetworkSettings,
)
from pipelines.backbones.networks import VALIDATION_FRAMES, LabelTraining, Network, augmented, layer_reader
from pipelines.methods.method import CURVES, FEW, Line, Method, untrained
from pipelines.stages.features import ClipReading
from pipelines.store.store import CachedArtifact, other_options
from tokenizer.augmentations import InputAugmentationConfig
from wordless.base.options import option
from wordless.training import FitConfig

CONTRAST = ContrastConfig(temperature=0.3)


@dataclass(frozen=True, kw_only=True)
class SimclrSettings(LogMelTraining):
    augmentation: AugmentationConfig = option(
        PLAIN_INPUTS, "random changes of the clips, which SimCLR learns to leave out"
    )
    contrast: ContrastConfig = CONTRAST  # the contrastive loss
    fit: FitConfig = FitConfig(steps=250, lr=2e-3, warmup_steps=30, final_lr_ratio=0.02, validate_every=50)


@dataclass(frozen=True, kw_only=True)
class SupervisedSettings(LogMelTraining, HeadTraining):
    augmentation: AugmentationConfig = LABELLED
    batches: ClipBatchConfig = ClipBatchConfig(batch_size=64)
    fit: FitConfig = FitConfig(final_lr_ratio=0.02, weight_decay=0.05, validate_every=50)


@dataclass(frozen=True, kw_only=True)
class BaselineSettings(NetworkSettings):
    inputs = "log_mel"
    methods = (
        Method(name="simclr", kind="self_supervised", title="SimCLR", untrained="random_conv",
               features="simclr", training="baselines.simclr", input="log_mel",
               loss="nats per view, among all of its batch", target="another copy of the clip",
               line=Line(marker="s"), places=FEW),
        Method(name="supervised", kind="supervised", title="supervised CNN", untrained="random_conv",
               training="baselines.supervised", learns_labels=True, input="log_mel", line=Line(marker="^"),
               places=CURVES),
        untrained("conv", "CNN", marker="s", reads="log_mel"),
    )  # fmt: skip

    encoder: ConvEncoderConfig = option(ConvEncoderConfig(), "the network of SimCLR, supervised and random_conv")
    simclr: SimclrSettings = option(SimclrSettings(), "SimCLR, which learns to match two views of a clip")
    supervised: SupervisedSettings = option(SupervisedSettings(), "the same network, trained with the labels")
    seed: int = 0  # seed of the untrained encoder

    @property
    def copies(self) -> InputAugmentationConfig:
        return self.supervised.views

    def network(
        self,
        reading: ClipReading,
        method: Method,
        sample: CachedArtifact | None,
        *,
        simclr: CachedArtifact | None = None,
    ) -> Network:
        """Describe the encoder of log-mel, with the weights of SimCLR if there are any."""

        own, backbone = self.supervised, ConvBackbone(encoder=self.encoder, audio=reading.audio)
        weights = simclr or f"random {self.seed}"

        return Network(
            name="supervised",
            reader=layer_reader(reading, backbone, sample=sample, weights=simclr and simclr.place, seed=self.seed),
            decides={"encoder": self.encoder, "audio": reading.audio, "sample": sample, "weights": weights},
            learns=[self.encoder, other_options(own, "views")],
            source=augmented(backbone, own.augmentation),
            training=LabelTraining(
                option="baselines.supervised.fit", batches=own.batches, fit=own.fit, at_most=VALIDATION_FRAMES
            ),
            head=own.head,
        )
