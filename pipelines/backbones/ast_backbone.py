"""AST, the Audio Spectrogram Transformer: options, methods of the comparison, and network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lm.backbones import spectrogram_transformer as of
from lm.backbones.backbone import WEIGHTS_OPTION, BackboneSource
from lm.backbones.clips import AugmentationConfig, ClipBatchConfig, WaveformBatchConfig
from lm.backbones.spectrogram_transformer import AstBackbone, AstConfig, ast_source, require_weights
from lm.finetuning import HeadConfig
from pipelines.backbones.network_options import (
    LABELLED,
    RANDOM,
    ClipTraining,
    FinetuneSettings,
    NetworkSettings,
    RunPart,
)
from pipelines.backbones.networks import (
    VALIDATION_FRAMES,
    AugmentedInputs,
    LabelTraining,
    Network,
    layer_reader,
    measured_statistics,
)
from pipelines.methods.method import CURVES, Line, Method, untrained
from pipelines.stages.features import ClipReading
from pipelines.store.store import CachedArtifact, other_options
from wordless.audio.views import View
from wordless.base.options import option
from wordless.base.saved_models import hugging_face_hash
from wordless.training import FitConfig, LargeFitConfig


@dataclass(frozen=True, kw_only=True)
class AstFinetuneSettings(FinetuneSettings):
    """The Audio Spectrogram Transformer, which reads filter banks at 16 kHz and needs no run."""

    name = "ast"

    model: AstConfig = option(AstConfig(), "the network")
    augmentation: AugmentationConfig = option(
        AugmentationConfig(crop=1.0, speed=0.1, formant=0.1, mix=0.0, noise=0.1, time_mask=0.1, mel_mask=0.15),
        "random changes of the training clips; crop is always 1: clips are kept whole",
    )
    batches: WaveformBatchConfig = WaveformBatchConfig(batch_size=16, max_seconds=10.0)
    fit: LargeFitConfig = LargeFitConfig(lr=1e-4, final_lr_ratio=0.02, weight_decay=0.05, validate_every=50)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_if(self.model.weights is not None, "model.weights", "backbone.weights names them: leave it out")

    @property
    def needs(self) -> tuple[RunPart, ...]:
        return ()

    def open(self, run: Mapping[str, Path]) -> BackboneSource:
        """Describe AST with the weights of a local Hugging Face folder of an AST, DeiT or ViT, or with random ones."""

        folder = None if self.weights == RANDOM else Path(self.weights).expanduser()
        weights = None if folder is None else str(folder)
        backbone = AstBackbone.of(replace(self.model, weights=weights), option=WEIGHTS_OPTION)
        return ast_source(backbone, folder, self.augmentation)


@dataclass(frozen=True, kw_only=True)
class AstSettings(ClipTraining, NetworkSettings):
    inputs = "filter_banks"
    methods = (
        Method(name="ast", kind="supervised", title="AST", untrained="random_ast", training="ast", learns_labels=True,
               sound="filter banks",
               line=Line(marker="v", filled=False, dashes="--"), places=CURVES),
        untrained("ast", "AST", marker="H", sound="filter banks"),
    )  # fmt: skip

    model: AstConfig = option(AstConfig(), "the network")
    augmentation: AugmentationConfig = LABELLED
    batches: ClipBatchConfig = ClipBatchConfig(batch_size=16)
    label_smoothing: float = 0.1  # share of the target that all classes divide
    fit: FitConfig = FitConfig(lr=1e-4, final_lr_ratio=0.02, weight_decay=0.05, validate_every=50)

    @property
    def folders(self) -> tuple[Path, ...]:
        return () if self.model.weights is None else (Path(self.model.weights).expanduser(),)

    def require_weights(self, sample_rate: int) -> None:

        if self.model.weights is not None:
            require_weights(Path(self.model.weights), self.model.size)

    @property
    def _folder(self) -> Path | None:
        """The folder of AST's own weights, if the options name one."""
        return None if self.model.weights is None else Path(self.model.weights)

    def _source(self, data: AugmentedInputs, longest: int) -> BackboneSource:
        config, folder = self.model, self._folder
        positions = min(max(longest - of.PATCH, 0) // of.STRIDE + 1, config.patches)
        known = folder is not None and of.is_audio_model(folder)
        statistics = None if known else measured_statistics(data.artifact)
        about = {"clip_vector": True, "positions": positions, "statistics": statistics}
        backbone = of.AstBackbone.of(config, option=of.AST_OPTION, **about)
        return replace(of.ast_source(backbone, folder, self.augmentation), option=of.AST_OPTION)

    def network(self, reading: ClipReading, method: Method, sample: CachedArtifact | None) -> Network:
        """Describe AST as it is fine-tuned (Gong, Chung and Glass, 2021): the head reads its normalised clip vector.

        Without AST's own weights, filter banks are normalised by the training clips. Pieces of ``patches`` patches do
        not attend to each other.
        """

        config, sizes, seed = self.model, other_options(self.model, "weights"), self.fit.seed
        folder = self._folder
        longest = max((of.patches_along(View(clip)) for clip in reading.manifest.clips), default=1)
        backbone = of.AstBackbone(
            ast=replace(config, weights=None), clip_vector=True, positions=min(longest, config.patches)
        )
        return Network(
            name="ast",
            reader=layer_reader(reading, backbone, seed=seed),
            decides={"ast": sizes, "weights": f"random {seed}"},
            learns=[sizes, self.augmentation, folder and hugging_face_hash(folder)],
            source=self._source,
            training=LabelTraining(option="ast.fit", batches=self.batches, fit=self.fit, at_most=VALIDATION_FRAMES),
            head=HeadConfig(pooling="mean", dropout=0.0, label_smoothing=self.label_smoothing),
            normalised=True,
        )
