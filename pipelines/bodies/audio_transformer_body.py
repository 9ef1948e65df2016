"""The Audio Transformer of waveforms: options, methods of the comparison, and network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from lm.bodies.network_sizes import AudioTransformerConfig, Variant, WaveformAugmentationConfig
from lm.finetuning import HeadConfig
from pipelines.bodies.network_options import (
    RANDOM,
    SIZES,
    HeadTraining,
    NetworkSettings,
    WaveformBodyOptions,
    WaveformTraining,
)
from pipelines.methods.method import CURVES, Line, Method, PictureRecord, untrained
from wordless.base.messages import InputError
from wordless.base.options import option
from wordless.training.fit_options import FitConfig, LargeFitConfig

if TYPE_CHECKING:
    from lm.bodies.body import Body, Source
    from pipelines.bodies.networks import Network
    from pipelines.stages.features import ClipReading
    from pipelines.store.store import Entry

NAME, TITLE = "audio_transformer", "Audio Transformer"
LEARNED = Method(name=NAME, kind="supervised", title=TITLE, untrained=f"random_{NAME}", training=NAME,
                 learns_labels=True, line=Line(marker="<"), places=CURVES)  # fmt: skip
# They differ in what happens between layers and have the same parameters, so a comparison can name several.
VARIANTS: dict[str, Variant] = {f"{NAME}_{variant}": variant for variant in get_args(Variant)}
LINES = {
    "wavelet": Line(marker="<", filled=False, dashes="-"),
    "pooling": Line(marker=">", filled=False, dashes="--"),
    "plain": Line(marker="h", filled=False, dashes=":"),
}


@dataclass(frozen=True, kw_only=True)
class AudioTransformerOptions(WaveformBodyOptions):
    """The Audio Transformer, which reads patches of samples."""

    name = NAME

    model: AudioTransformerConfig = option(AudioTransformerConfig(), SIZES)
    fit: LargeFitConfig = LargeFitConfig(steps=600, final_lr_ratio=0.02, weight_decay=0.05, validate_every=50)

    def open(self, run: Mapping[str, Path]) -> Source:
        """Describe the model of a run, of the folder of a model that was trained on labels, or of the options."""
        from lm.bodies.audio_transformer import AudioTransformerBody
        from lm.bodies.body import Source
        from lm.bodies.clips import augment_waveforms
        from lm.finetuned import FineTunedModel
        from wordless.base.files import file_hash
        from wordless.base.saved_models import WEIGHTS

        folder = None if self.weights == RANDOM else run.get(NAME, Path(self.weights).expanduser())
        body: Body = AudioTransformerBody(audio_transformer=self.model, sample_rate=self.sample_rate)
        if folder is not None:
            body = FineTunedModel.from_pretrained(folder).body
            if not isinstance(body, AudioTransformerBody):
                raise InputError(
                    f"body.weights={folder} holds a {body.title}; name the folder audio_transformer of a run"
                )
        return Source(
            body=body,
            weights=folder,
            fingerprint="" if folder is None else file_hash(folder / WEIGHTS)[:16],
            change=partial(augment_waveforms, config=self.augmentation),
            learned_labels=folder is not None,
        )


@dataclass(frozen=True, kw_only=True)
class AudioTransformerSettings(WaveformTraining, HeadTraining, NetworkSettings):
    inputs = "waveforms"
    methods = (
        LEARNED,
        *(
            replace(LEARNED, name=f"{NAME}_{variant}", title=f"{TITLE}, {variant}", line=line)
            for variant, line in LINES.items()
        ),
        untrained(NAME, TITLE, marker="8"),
    )
    parts = (NAME,)

    model: AudioTransformerConfig = option(AudioTransformerConfig(), "the network")
    head: HeadConfig = HeadConfig(pooling="mean", dropout=0.1)
    augmentation: WaveformAugmentationConfig = WaveformAugmentationConfig()  # random changes of the clips
    fit: FitConfig = FitConfig(steps=600, final_lr_ratio=0.02, weight_decay=0.05, validate_every=50)

    def least_seconds(self, method: Method, sample_rate: int) -> float:
        return self.model.patch_ms / 1000

    def pictures(self, folder: Path, sample_rate: int, *, title: str) -> list[PictureRecord]:
        from pipelines.bodies.front_end_pictures import front_end_pictures

        return front_end_pictures(folder, sample_rate, title=title)

    def network(self, reading: ClipReading, method: Method, sample: Entry | None) -> Network:
        """Describe the Audio Transformer of waveforms (Verma and Berger, 2021): see `lm.bodies.audio_transformer`."""
        from lm.bodies.audio_transformer import AudioTransformerBody
        from lm.bodies.body import Source
        from lm.bodies.clips import augment_waveforms
        from pipelines.bodies.networks import VALIDATION_SECONDS, LabelTraining, Network, layer_reader

        rate, seed = reading.audio.sample_rate, self.fit.seed
        model = replace(self.model, variant=VARIANTS.get(method.name, self.model.variant))
        body = AudioTransformerBody(audio_transformer=model, sample_rate=rate)
        change = partial(augment_waveforms, config=self.augmentation)
        return Network(
            name=NAME,
            reader=layer_reader(reading, body, seed=seed),
            decides={"model": model, "sample_rate": rate, "weights": f"random {seed}"},
            learns=[model, self.augmentation, rate],
            source=lambda data, longest: Source(body=body, weights=None, fingerprint="", change=change),
            training=LabelTraining(
                option="audio_transformer.fit",
                batches=self.batches.at_rate(rate),
                fit=self.fit,
                at_most=VALIDATION_SECONDS * rate,
            ),
            head=self.head,
        )
