"""The Audio Transformer of waveforms: one variant by option, each variant by name, and untrained.

The variants differ in what happens between layers and have the same parameters, so a comparison can name several.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Made, Method, Network, PictureRecord, Row, Training, refuse_input

if TYPE_CHECKING:
    from lm.bodies.options import Variant
    from pipelines.methods.study import Options, Study
    from pipelines.stages.options import AudioTransformerSettings
    from pipelines.store.store import Entry

NAME, TITLE = "audio_transformer", "Audio Transformer"


def _settings(options: Options, variant: Variant | None = None) -> AudioTransformerSettings:
    """Return the options, with another variant if one is named."""
    from pipelines.stages.options import AudioTransformerSettings

    own = options.group(AudioTransformerSettings)
    return own if variant is None else replace(own, model=replace(own.model, variant=variant))


def _network(options: Options) -> Network:
    model = _settings(options).model
    parameters = model.parameters(options.audio.sample_rate)
    return Network(what=f"the {TITLE}", option=f"{NAME}.model", config=model, parameters=parameters)


def _shortest(options: Options) -> float:
    """Return the seconds of a patch."""
    return _settings(options).model.patch_ms / 1000


def _features(name: str, variant: Variant | None, study: Study) -> Made:
    from pipelines.stages.audio_transformer import audio_transformer, audio_transformer_features
    from pipelines.stages.stored_arrays import waveforms

    session, manifest, rate = study.session, study.manifest, study.options.audio.sample_rate
    own, sounds = _settings(study.options, variant), waveforms(session, manifest, rate)
    trained = audio_transformer(session, manifest, sounds, rate, study.labels, own, method=name)
    features = audio_transformer_features(session, manifest, name, trained, own, rate, study.vectors)
    # methods of one variant share the entry of their training
    return Made(trained=(sounds, replace(trained, stage=name)), features=features)


def _untrained_features(study: Study) -> Made:
    from pipelines.stages.audio_transformer import audio_transformer_features

    own, rate = _settings(study.options), study.options.audio.sample_rate
    name, vectors = RANDOM_AUDIO_TRANSFORMER.name, study.vectors
    entry = audio_transformer_features(study.session, study.manifest, name, None, own, rate, vectors)
    return Made(features=entry)


def _pictures(title: str, trained: Entry) -> list[PictureRecord]:
    from pipelines.methods.front_end_pictures import front_end_pictures

    rate = trained.read_json("config.json")["sample_rate"]
    return front_end_pictures(trained.folder, "encoder.front_end.0.weight", int(str(rate)), title=title)


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
        training=Training(option=NAME, options=_settings, loss="nats per clip", network=_network),
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
