"""wav2vec 2.0 and models of its kind: pre-trained here or elsewhere, frozen, and fine-tuned end to end."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Made, Method, Row, Training, refuse_input, train_and_read

if TYPE_CHECKING:
    from lm.bodies.body import Source
    from pipelines.methods.study import Study
    from pipelines.settings.run import RunSettings
    from pipelines.stages.networks import Network
    from pipelines.stages.options import Wav2vec2Settings


def _settings(options: RunSettings, *, untrained: bool) -> Wav2vec2Settings:
    """Return the settings; of an untrained model those of the one that would be pre-trained beside weights, too."""
    return replace(options.wav2vec2, weights=None) if untrained else options.wav2vec2


def _size(options: RunSettings, *, untrained: bool = False) -> int:
    own = _settings(options, untrained=untrained)
    return options.compare.vectors.network_size(own.layers, own.width)


def _require_weights(name: str, options: RunSettings) -> None:
    """Refuse a folder of weights that cannot be used, where one is given, and the input beside the layers."""
    refuse_input(name, options)
    options.wav2vec2.require_weights(options.audio.sample_rate)


def _shortest(options: RunSettings, *, untrained: bool = False) -> float:
    """Return the seconds that one frame depends on."""
    return _settings(options, untrained=untrained).convolutions.receptive_field / options.audio.sample_rate


def _features(study: Study) -> Made:
    from pipelines.stages.wav2vec2 import speech_body

    body = speech_body(study, study.unlabelled, study.options.wav2vec2)
    features = _network(study, body.model).features(study, WAV2VEC2.name)
    return Made(trained=body.trained, unlabelled=body.unlabelled, features=features)


def _finetuned_features(study: Study) -> Made:
    from pipelines.stages.stored_arrays import waveforms
    from pipelines.stages.wav2vec2 import speech_body

    body = speech_body(study, study.unlabelled, study.options.wav2vec2)
    sound = waveforms(study.session, study.manifest, study.audio.sample_rate)
    made = train_and_read(study, FINETUNED.name, _network(study, body.model), sound)
    return replace(made, trained=(*body.trained, *made.trained), unlabelled=body.unlabelled)


def _untrained_features(study: Study) -> Made:
    from pipelines.stages.wav2vec2 import entry_source, random_wav2vec2

    model = random_wav2vec2(study.session, study.options.wav2vec2, sample_rate=study.audio.sample_rate)
    features = _network(study, entry_source(model)).features(study, RANDOM_WAV2VEC2.name)
    return Made(trained=(model,), features=features)


def _network(study: Study, model: Source) -> Network:
    from pipelines.stages.networks import speech

    return speech(study, model, study.options.wav2vec2.finetuning)


PRETRAINING = Training(
    option="wav2vec2.pretraining",
    loss="nats per masked frame, among its negatives",
    network="wav2vec2.model",
    what="wav2vec 2.0",
    parameters=lambda options: options.wav2vec2.model.parameters,
)
WAV2VEC2 = Method(
    row=Row(
        name="wav2vec2",
        kind="self_supervised",
        title="wav2vec 2.0",
        explanation="layers of wav2vec 2.0, HuBERT, WavLM or data2vec-audio",
        line=Line(marker="P"),
        places=("learning curves", "groups", "summary", "key figures"),
    ),
    vector_size=_size,
    features=_features,
    training=PRETRAINING,
    require_options=partial(_require_weights, "wav2vec2"),
    shortest=_shortest,
)
RANDOM_WAV2VEC2 = Method(
    row=Row(
        name="random_wav2vec2",
        kind="untrained",
        title="wav2vec 2.0, untrained",
        line=Line(marker="X", dashes=":"),
    ),
    vector_size=partial(_size, untrained=True),
    features=_untrained_features,
    require_options=partial(refuse_input, "random_wav2vec2"),
    shortest=partial(_shortest, untrained=True),
)
FINETUNED = Method(
    row=Row(
        name="wav2vec2_finetuned",
        kind="supervised",
        title="wav2vec 2.0, fine-tuned",
        explanation="layers of `wav2vec2`, fine-tuned with the labels",
        line=Line(marker="P", filled=False, dashes="--"),
        places=("learning curves",),
    ),
    head=Row(
        name="wav2vec2_finetuned_head",
        kind="supervised",
        title="wav2vec 2.0, fine-tuned, own head",
        line=Line(marker="*"),
        places=("groups", "summary", "key figures"),
    ),
    labels="train",
    vector_size=_size,
    features=_finetuned_features,
    training=replace(PRETRAINING, option="wav2vec2.finetuning", loss="nats per clip"),
    require_options=partial(_require_weights, "wav2vec2_finetuned"),
    shortest=_shortest,
)
