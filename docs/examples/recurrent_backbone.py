"""A recurrent network over log-mel: options, methods of the comparison, and network."""

from __future__ import annotations

from dataclasses import dataclass

from lm.backbones.recurrent import RecurrentBackbone
from pipelines.backbones.network_options import HeadTraining, LogMelTraining, NetworkSettings
from pipelines.backbones.networks import VALIDATION_FRAMES, LabelTraining, Network, augmented, layer_reader
from pipelines.methods.method import CURVES, Line, Method, untrained
from pipelines.stages.features import ClipReading
from pipelines.store.store import CachedArtifact
from wordless.base.options import option


@dataclass(frozen=True, kw_only=True)
class RecurrentSettings(LogMelTraining, HeadTraining, NetworkSettings):
    inputs = "log_mel"  # or waveforms, or the filter banks of AST
    methods = (
        Method(
            name="gru",
            kind="supervised",
            title="recurrent network",
            untrained="random_gru",
            training="gru",
            learns_labels=True,
            input="log_mel",
            line=Line(marker="*"),
            places=CURVES,
        ),
        untrained("gru", "recurrent network", marker="*", reads="log_mel"),
    )

    dim: int = option(64, "width of the states", least=1)
    layers: int = option(1, "number of recurrent layers", least=1)

    def network(self, reading: ClipReading, method: Method, sample: CachedArtifact | None) -> Network:
        backbone, seed = RecurrentBackbone(audio=reading.audio, dim=self.dim, layers=self.layers), self.fit.seed
        return Network(
            name="gru",
            reader=layer_reader(reading, backbone, sample=sample, seed=seed),
            decides={"backbone": backbone, "sample": sample, "weights": f"random {seed}"},
            learns=[backbone, self.augmentation],
            source=augmented(backbone, self.augmentation),
            training=LabelTraining(option="gru.fit", batches=self.batches, fit=self.fit, at_most=VALIDATION_FRAMES),
            head=self.head,
        )
