"""Language models of samples: options and facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from lm.samples.sample_network_options import (
    POSITIONS,
    ContextConfig,
    SampleCropsConfig,
    SampleWaveNetConfig,
    TransformerConfig,
)
from pipelines.plugins.plugin import Plugin
from pipelines.stages.stage_options import TrainingSettings
from vocoder.vocoder_options import EngineChoice
from wordless.audio.audio_options import SpectrogramConfig
from wordless.base.messages import InputError, within
from wordless.base.options import NO_RESULT, Options, option
from wordless.training import FitConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pipelines.chain.trial import Trial
    from pipelines.pages.charts import Chart
    from pipelines.pages.players import PageSound
    from pipelines.results.run_record import Made, Results, Row, Section
    from pipelines.settings.run_settings import RunSettings
    from pipelines.store.stage import Session
    from pipelines.store.store import CachedArtifact
    from wordless.audio.recordings.manifest import Clips


@dataclass(frozen=True, kw_only=True)
class SampleSoundsConfig(Options):
    seconds: float = option(2.0, "length of each sound, without its prompt", above=0)
    unprompted: int = 1  # sounds of each model that begin in silence
    prompts: int = 2  # number of test clips that each model continues
    prompt_seconds: float = 0.5  # longest prompt; of a shorter clip the first half
    temperature: float = 1.0  # 1 draws levels as the model learned them; 0 takes the most probable level
    seed: int = 0  # seed of the drawn levels, and of the clips
    engine: EngineChoice = field(default="auto", metadata=NO_RESULT)  # the code that generates WaveNet's samples


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


def _fill(values: dict[str, Any], audio: SpectrogramConfig) -> None:
    for name in get_args(ModelName):
        values[name]["sample_rate"] = audio.sample_rate


def _add_tasks(trial: Trial) -> None:
    from pipelines.plugins.next_sample.samples import train_on_samples

    train_on_samples(trial)


def _rows(made: Made, manifest: Clips, settings: RunSettings) -> tuple[Section, Iterable[Row]]:
    from pipelines.plugins.next_sample.samples import sample_rows

    return sample_rows(made, manifest, settings)


def _require(settings: RunSettings) -> None:
    with within("next_sample"):
        settings.of(NextSampleSettings).require_positions()
    if folds := settings.compare.folds:
        rule = "use compare.folds=null and seeds=3"
        raise InputError(f"compare.folds is {folds}, and the stage next_sample has one split: {rule}")


def _once(
    session: Session, clips: Clips, settings: RunSettings, made: Mapping[str, CachedArtifact]
) -> Iterable[CachedArtifact]:
    from pipelines.plugins.next_sample.samples import make_sample_sounds

    return make_sample_sounds(session, clips, settings, made)


def _sounds(results: Results) -> Iterable[PageSound]:
    from pipelines.plugins.next_sample.samples import sample_sounds

    return sample_sounds(results)


def _charts(folder: Path, results: Results) -> Iterable[Chart]:
    from pipelines.plugins.next_sample.samples import sample_charts

    return sample_charts(folder, results)


SOUNDS = "next_sample_sounds"  # stage, and folder of the run
PLUGIN = Plugin(
    name="next_sample",
    options=NextSampleSettings,
    explanation="language models of samples: WaveNets and transformers",
    preset="small",
    defaults={
        f"next_sample.transformer_context.{name}": (f"${{next_sample.transformer.{name}}}", "")
        for name in ("context_ms", "model_dim", "layers", "heads")
    },
    needs=("test clips",),
    seeded=True,
    fill=_fill,
    parts={**{stage: stage for stage in (f"next_sample_{name}" for name in get_args(ModelName))}, SOUNDS: SOUNDS},
    page="next_sample/next_sample.html.jinja",
    link="Samples",
    sentences="next_sample/next_sample_sentences.jinja",
    measures={
        "multiply_adds": ("multiply-adds/sample", ""),
        "history": ("samples", ""),
        "samples_per_second": ("samples/s", ""),
    },
    names={
        "wavenet_large": "larger WaveNet",
        "transformer_context": "transformer with context vector",
        "repeat": "the last level again",
        "histogram": "frequencies of levels",
        "markov": "frequencies of pairs of levels",
    },
    add_tasks=_add_tasks,
    rows=_rows,
    require=_require,
    once=_once,
    sounds=_sounds,
    charts=_charts,
)
