"""The Audio Transformer of waveforms: one variant by option, each variant by name, and untrained.

The variants differ in what happens between layers and have the same parameters, so a comparison can name several.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from pipelines.methods.method import Line, Made, Method, PictureRecord, Row, Training, refuse_input, train_and_read

if TYPE_CHECKING:
    from lm.bodies.options import Variant
    from pipelines.methods.study import Study
    from pipelines.settings.run import RunSettings
    from pipelines.store.store import Entry

NAME, TITLE = "audio_transformer", "Audio Transformer"


def _shortest(options: RunSettings) -> float:
    """Return the seconds of a patch."""
    return options.audio_transformer.model.patch_ms / 1000


def _features(name: str, variant: Variant | None, study: Study) -> Made:
    from pipelines.stages.networks import audio_transformer
    from pipelines.stages.stored_arrays import waveforms

    own, sound = study.options.audio_transformer, waveforms(study.session, study.manifest, study.audio.sample_rate)
    own = own if variant is None else replace(own, model=replace(own.model, variant=variant))
    return train_and_read(study, name, audio_transformer(study, own), sound)


def _untrained_features(study: Study) -> Made:
    from pipelines.stages.networks import audio_transformer

    network = audio_transformer(study, study.options.audio_transformer)
    return Made(features=network.features(study, RANDOM_AUDIO_TRANSFORMER.name))


def _pictures(title: str, trained: Entry) -> list[PictureRecord]:
    from pipelines.methods.front_end_pictures import front_end_pictures

    body = cast(dict[str, int], trained.read_json("config.json")["body_config"])
    return front_end_pictures(trained.folder, "body.front_end.0.weight", body["sample_rate"], title=title)


def _describe(variant: Variant | None, line: Line) -> Method:
    """Describe the method of a variant; None: the variant of the options."""
    name, title = (NAME, TITLE) if variant is None else (f"{NAME}_{variant}", f"{TITLE}, {variant}")
    return Method(
        row=Row(
            name=name,
            kind="supervised",
            title=title,
            explanation="layers of an Audio Transformer of raw samples, trained with the labels",
            line=line,
            places=("learning curves",),
        ),
        head=Row(name=f"{name}_head", kind="supervised", title=f"{title}, own head", places=("summary",)),
        labels="train",
        features=partial(_features, name, variant),
        training=Training(
            option=NAME,
            loss="nats per clip",
            network=f"{NAME}.model",
            what=f"the {TITLE}",
            parameters=lambda options: options.audio_transformer.model.parameters(options.audio.sample_rate),
        ),
        shortest=_shortest,
        require_options=partial(refuse_input, name),
        pictures=partial(_pictures, title),
    )


AUDIO_TRANSFORMER = _describe(None, Line(marker="<"))
AUDIO_TRANSFORMER_VARIANTS = (
    _describe("wavelet", Line(marker="<", filled=False)),
    _describe("pooling", Line(marker=">", filled=False, dashes="--")),
    _describe("plain", Line(marker="h", filled=False, dashes=":")),
)
RANDOM_AUDIO_TRANSFORMER = Method(
    row=Row(
        name=f"random_{NAME}",
        kind="untrained",
        title=f"{TITLE}, untrained",
        line=Line(marker="8", filled=False, dashes=":"),
    ),
    features=_untrained_features,
    shortest=_shortest,
    require_options=partial(refuse_input, f"random_{NAME}"),
)
