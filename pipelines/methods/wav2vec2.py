"""wav2vec 2.0 and models of its kind: pre-trained here or elsewhere, frozen, and fine-tuned end to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Made, Method, Network, Row, Training, refuse_input

if TYPE_CHECKING:
    from pipelines.methods.study import Options, Study
    from pipelines.stages.options import Wav2vec2Settings
    from pipelines.stages.wav2vec2 import TrainedBody


def _settings(options: Options) -> Wav2vec2Settings:
    from pipelines.stages.options import Wav2vec2Settings

    return options.group(Wav2vec2Settings)


def _without_weights(options: Options) -> Wav2vec2Settings:
    """Return the settings of the model that would be pre-trained, also beside weights of a folder."""
    return replace(_settings(options), weights=None)


def _size(settings: Callable[[Options], Wav2vec2Settings], options: Options) -> int:
    own = settings(options)
    return options.compare.vectors.network_size(own.layers, own.width)


def _require_weights(name: str, options: Options) -> None:
    """Refuse a folder of weights that cannot be used, where one is given, and the input beside the layers."""
    refuse_input(name, options)
    _settings(options).require_weights(options.audio.sample_rate)


def _network(options: Options) -> Network:
    """Describe the model that is pre-trained; weights of a folder have their own size."""
    own = _settings(options).model
    return Network(what="wav2vec 2.0", option="wav2vec2.model", config=own, parameters=own.parameters)


def _shortest(settings: Callable[[Options], Wav2vec2Settings], options: Options) -> float:
    """Return the seconds that one frame depends on."""
    return settings(options).convolutions.receptive_field / options.audio.sample_rate


def _features(study: Study) -> Made:
    from pipelines.stages.wav2vec2 import speech_features

    rate = study.options.audio.sample_rate
    body = _body(study)
    entry = speech_features(
        study.session, study.manifest, body.model, method=WAV2VEC2.name, sample_rate=rate, vectors=study.vectors
    )
    return Made(trained=body.trained, unlabelled=body.unlabelled, features=entry)


def _finetuned_features(study: Study) -> Made:
    from pipelines.stages.wav2vec2 import Body, Sound, speech_features, wav2vec2_finetuned

    session, rate = study.session, study.options.audio.sample_rate
    body = _body(study)
    sound, finetuning = Sound.of(session, study.manifest, rate), _settings(study.options).finetuning
    tuned = wav2vec2_finetuned(session, sound, study.labels, body.model, finetuning, sample_rate=rate)
    entry = speech_features(
        session,
        study.manifest,
        Body.of_entry(tuned),
        method=FINETUNED.name,
        classifier=True,
        sample_rate=rate,
        vectors=study.vectors,
    )
    return Made(trained=(*body.trained, sound.waveforms, tuned), unlabelled=body.unlabelled, features=entry)


def _untrained_features(study: Study) -> Made:
    from pipelines.stages.wav2vec2 import Body, random_wav2vec2, speech_features

    session, rate = study.session, study.options.audio.sample_rate
    model = random_wav2vec2(session, _settings(study.options), sample_rate=rate)
    body, name = Body.of_entry(model), RANDOM_WAV2VEC2.name
    entry = speech_features(session, study.manifest, body, method=name, sample_rate=rate, vectors=study.vectors)
    return Made(trained=(model,), features=entry)


def _body(study: Study) -> TrainedBody:
    from pipelines.stages.wav2vec2 import speech_body

    own, rate = _settings(study.options), study.options.audio.sample_rate
    return speech_body(study.session, study.manifest, study.unlabelled, own, sample_rate=rate)


WAV2VEC2 = Method(
    row=Row(
        name="wav2vec2",
        kind="self_supervised",
        title="wav2vec 2.0",
        explanation="layers of wav2vec 2.0, HuBERT, WavLM or data2vec-audio",
        line=Line(marker="P"),
        places=("learning curves", "groups", "summary", "key figures"),
    ),
    vector_size=partial(_size, _settings),
    features=_features,
    training=Training(
        option="wav2vec2.pretraining",
        options=lambda options: _settings(options).pretraining,
        loss="nats per masked frame, among its negatives",
        network=_network,
    ),
    require_options=partial(_require_weights, "wav2vec2"),
    shortest=partial(_shortest, _settings),
)
RANDOM_WAV2VEC2 = Method(
    row=Row(
        name="random_wav2vec2",
        kind="untrained",
        title="wav2vec 2.0, untrained",
        line=Line(marker="X", dashes=":"),
    ),
    vector_size=partial(_size, _without_weights),
    features=_untrained_features,
    require_options=partial(refuse_input, "random_wav2vec2"),
    shortest=partial(_shortest, _without_weights),
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
    vector_size=partial(_size, _settings),
    features=_finetuned_features,
    training=Training(
        option="wav2vec2.finetuning",
        options=lambda options: _settings(options).finetuning,
        loss="nats per clip",
        network=_network,
    ),
    require_options=partial(_require_weights, "wav2vec2_finetuned"),
    shortest=partial(_shortest, _settings),
)
