"""Networks of sound: a CNN, two transformers, wav2vec 2.0 and a GPT that reads log-mel, trained and untrained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipelines.methods.method import Line, Method, PictureRecord

if TYPE_CHECKING:
    from lm.bodies.body import Source
    from lm.bodies.options import Variant
    from pipelines.methods.study import Study
    from pipelines.settings.run import RunSettings
    from pipelines.stages.networks import Network
    from pipelines.store.store import Entry

MakeNetwork = Callable[["Study"], "Network"]


def _taught(study: Study, name: str, network: MakeNetwork, data: Callable[[Study], Entry]) -> Entry:
    """Train a network on the labels of the clips, whose stored inputs are ``data``, and read its layers."""
    own, separator = network(study), study.settings.probe.label_separator
    trained = own.train(study, data(study), study.task.classes, separator, method=name)
    return own.features(study, name, study.add(trained, name))  # methods of one network may share the training


def _learning_labels(name: str, network: MakeNetwork, data: Callable[[Study], Entry], **about: Any) -> Method:
    """Describe the method of a network that learns labels."""
    features = partial(_taught, name=name, network=network, data=data)
    return Method(
        name=name, kind="supervised", places=("learning curves",), learns_labels=True, features=features, **about
    )


def _untrained(name: str, title: str, line: Line, network: MakeNetwork, **about: Any) -> Method:
    """Describe the method of a network with random weights."""

    def features(study: Study) -> Entry:
        return network(study).features(study, name)

    return Method(name=name, kind="untrained", title=f"{title}, untrained", line=line, features=features, **about)


def _conv(study: Study, simclr: Entry | None = None) -> Network:
    from pipelines.stages.networks import convolutional

    return convolutional(study, study.statistics, study.settings.baselines, simclr=simclr)


def _simclr(study: Study) -> Entry:
    from pipelines.stages.pretraining import simclr

    extra = study.unlabelled_spectrograms
    trained = study.add(simclr(study.session, study.spectrograms, extra, study.settings.baselines))
    return _conv(study, trained).features(study, SIMCLR.name)


SIMCLR = Method(
    name="simclr",
    untrained="random_conv",
    kind="self_supervised",
    title="SimCLR",
    explanation="blocks of a convolutional network that was trained without labels, by contrast of two augmented "
    "versions",
    line=Line(marker="s"),
    places=("learning curves", "groups"),
    input="log_mel",
    features=_simclr,
    training="baselines.simclr",
    loss="nats per view, among all of its batch",
)
SUPERVISED = _learning_labels(
    "supervised",
    _conv,
    attrgetter("spectrograms"),
    untrained="random_conv",
    title="supervised CNN",
    explanation="blocks of the convolutional network of `simclr`, trained with the labels",
    line=Line(marker="^"),
    input="log_mel",
    training="baselines.supervised",
)
RANDOM_CONV = _untrained("random_conv", "CNN", Line(marker="s", filled=False, dashes=":"), _conv, input="log_mel")


def _ast(study: Study) -> Network:
    from pipelines.stages.networks import ast

    return ast(study, study.settings.ast)


def _filter_banks(study: Study) -> Entry:
    from pipelines.stages.stored_arrays import filter_banks

    return study.add(filter_banks(study.session, study.manifest))


def _require_ast(settings: RunSettings) -> None:
    """Refuse a folder of weights that do not fit, where one is given."""
    from lm.bodies.spectrogram_transformer import require_weights

    if (folder := settings.ast.model.weights) is not None:
        require_weights(Path(folder), settings.ast.model.size)


AST = _learning_labels(
    "ast",
    _ast,
    _filter_banks,
    untrained="random_ast",
    title="AST",
    explanation="layers of an Audio Spectrogram Transformer, trained with the labels",
    line=Line(marker="v", filled=False, dashes="--"),
    training="ast",
    require_options=_require_ast,
)
RANDOM_AST = _untrained("random_ast", "AST", Line(marker="H", filled=False, dashes=":"), _ast)


NAME, TITLE = "audio_transformer", "Audio Transformer"


def _patch_seconds(settings: RunSettings) -> float:
    """Return the seconds of a patch."""
    return settings.audio_transformer.model.patch_ms / 1000


def _audio_transformer(study: Study, variant: Variant | None = None) -> Network:
    from pipelines.stages.networks import audio_transformer

    own = study.settings.audio_transformer
    return audio_transformer(study, own if variant is None else replace(own, model=replace(own.model, variant=variant)))


def _waveforms(study: Study) -> Entry:
    from pipelines.stages.stored_arrays import waveforms

    return study.add(waveforms(study.session, study.manifest, study.audio.sample_rate))


def _pictures(title: str, trained: Entry) -> list[PictureRecord]:
    from pipelines.methods.front_end_pictures import front_end_pictures

    body = cast(dict[str, int], trained.read_json("config.json")["body_config"])
    return front_end_pictures(trained.folder, "body.front_end.0.weight", body["sample_rate"], title=title)


def _variant(variant: Variant | None, line: Line) -> Method:
    """Describe the method of a variant; None: the variant of the options."""
    name, title = (NAME, TITLE) if variant is None else (f"{NAME}_{variant}", f"{TITLE}, {variant}")
    return _learning_labels(
        name,
        partial(_audio_transformer, variant=variant),
        _waveforms,
        untrained=f"random_{NAME}",
        title=title,
        explanation="layers of an Audio Transformer of raw samples, trained with the labels",
        line=line,
        training=NAME,
        shortest=_patch_seconds,
        pictures=partial(_pictures, title),
    )


AUDIO_TRANSFORMER = _variant(None, Line(marker="<"))
# They differ in what happens between layers and have the same parameters, so a comparison can name several.
AUDIO_TRANSFORMER_VARIANTS = (
    _variant("wavelet", Line(marker="<", filled=False)),
    _variant("pooling", Line(marker=">", filled=False, dashes="--")),
    _variant("plain", Line(marker="h", filled=False, dashes=":")),
)
RANDOM_AUDIO_TRANSFORMER = _untrained(
    f"random_{NAME}",
    TITLE,
    Line(marker="8", filled=False, dashes=":"),
    _audio_transformer,
    shortest=_patch_seconds,
)


def _require_wav2vec2(settings: RunSettings) -> None:
    """Refuse a folder of weights that cannot be used, where one is given."""
    settings.wav2vec2.require_weights(settings.audio.sample_rate)


def _receptive_field(settings: RunSettings, *, untrained: bool = False) -> float:
    """Return the seconds that one frame depends on; an untrained model has the sizes of one that is pre-trained."""
    own = settings.wav2vec2.model if untrained else settings.wav2vec2
    return own.convolutions.receptive_field / settings.audio.sample_rate


def _speech(study: Study, model: Source) -> Network:
    from pipelines.stages.networks import speech

    return speech(study, model, study.settings.wav2vec2.finetuning)


def _pretrained(study: Study) -> Network:
    """Return the speech model of the user's folder, or one that is pre-trained."""
    from pipelines.stages.pretraining import speech_body

    model, trained, unlabelled = speech_body(study, study.unlabelled, study.settings.wav2vec2)
    for entry in trained:
        study.add(entry)
    study.add_unlabelled(unlabelled)
    return _speech(study, model)


def _random_wav2vec2(study: Study) -> Network:
    from pipelines.stages.pretraining import entry_source, random_wav2vec2

    settings, rate = study.settings.wav2vec2, study.audio.sample_rate
    return _speech(study, entry_source(study.add(random_wav2vec2(study.session, settings, sample_rate=rate))))


WAV2VEC2 = Method(
    name="wav2vec2",
    untrained="random_wav2vec2",
    kind="self_supervised",
    title="wav2vec 2.0",
    explanation="layers of wav2vec 2.0, HuBERT, WavLM or data2vec-audio",
    line=Line(marker="P"),
    places=("learning curves", "groups"),
    features=lambda study: _pretrained(study).features(study, "wav2vec2"),
    training="wav2vec2.pretraining",
    loss="nats per masked frame, among its negatives",
    require_options=_require_wav2vec2,
    shortest=_receptive_field,
)
RANDOM_WAV2VEC2 = _untrained(
    "random_wav2vec2",
    "wav2vec 2.0",
    Line(marker="X", dashes=":"),
    _random_wav2vec2,
    shortest=partial(_receptive_field, untrained=True),
)
FINETUNED = _learning_labels(
    "wav2vec2_finetuned",
    _pretrained,
    _waveforms,
    untrained="random_wav2vec2",
    title="wav2vec 2.0, fine-tuned",
    explanation="layers of `wav2vec2`, fine-tuned with the labels",
    line=Line(marker="P", filled=False, dashes="--"),
    training="wav2vec2.finetuning",
    require_options=_require_wav2vec2,
    shortest=_receptive_field,
)


def _gpt_sound(study: Study, name: str) -> Entry:
    from pipelines.stages.codes import codes
    from pipelines.stages.pretraining import sound_gpt, sound_gpt_features

    settings, untrained, extra = study.settings, name != GPT_SOUND.name, []
    if not untrained:  # a run without a language model has no codes of these clips yet
        coded = [codes(study.session, each, study.entries["tokenizer"]) for each in study.unlabelled]
        extra = [*zip(study.unlabelled_spectrograms, coded, strict=True)]
        study.add_unlabelled(extra)
    trained = sound_gpt(
        study.session,
        name,
        (study.spectrograms, study.entries["codes"]),
        extra,
        settings.gpt_sound,
        sample=study.entries["sample"],
        patch_frames=settings.tokenizer.patch.frames,
        frame_rate=settings.audio.sample_rate / settings.audio.hop_length,
    )
    return sound_gpt_features(study, name, study.add(trained))


GPT_SOUND = Method(
    name="gpt_sound",
    untrained="random_gpt_sound",
    kind="self_supervised",
    title="GPT that reads sound",
    explanation="layers of a GPT that reads log-mel of changed copies and predicts the codes of the unchanged clips",
    line=Line(marker="X"),
    places=("learning curves", "groups"),
    input="log_mel",
    features=partial(_gpt_sound, name="gpt_sound"),
    training="gpt_sound",
    loss="nats per code",
)
RANDOM_GPT_SOUND = Method(
    name="random_gpt_sound",
    kind="untrained",
    title="GPT that reads sound, untrained",
    line=Line(marker="d", filled=False, dashes=":"),
    input="log_mel",
    features=partial(_gpt_sound, name="random_gpt_sound"),
)
