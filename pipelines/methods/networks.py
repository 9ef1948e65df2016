"""Networks of sound: a CNN, two transformers, wav2vec 2.0 and a GPT that reads log-mel, trained and untrained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pipelines.methods.method import Line, Made, Method, PictureRecord, Row, Training, refuse_input

if TYPE_CHECKING:
    from lm.bodies.body import Source
    from lm.bodies.options import Variant
    from pipelines.methods.study import Study
    from pipelines.settings.run import RunSettings
    from pipelines.stages.networks import Network
    from pipelines.store.store import Entry


def _trained(name: str, network: Callable[[Study], Network], data: Callable[[Study], Entry], study: Study) -> Made:
    """Train a network on the labels of the clips, whose stored inputs are ``data``, and read its layers."""
    own, inputs = network(study), data(study)
    trained = own.train(study, inputs, study.task.classes, study.options.probe.label_separator, method=name)
    # methods of one network may share the entry of their training
    return Made(trained=(inputs, replace(trained, stage=name)), features=own.features(study, name, trained))


def _untrained(name: str, title: str, marker: str, network: Callable[[Study], Network]) -> Method:
    """Describe the method of a network with random weights."""
    line = Line(marker=marker, filled=False, dashes=":")
    row = Row(name=name, kind="untrained", title=f"{title}, untrained", line=line)
    return Method(row=row, features=lambda study: Made(features=network(study).features(study, name)))


def _conv(study: Study, simclr: Entry | None = None) -> Network:
    from pipelines.stages.networks import convolutional

    return convolutional(study, study.entries.finest.statistics, study.options.baselines, simclr=simclr)


def _simclr(study: Study) -> Made:
    from pipelines.stages.pretraining import simclr

    extra = study.unlabelled_spectrograms
    trained = simclr(study.session, study.spectrograms, extra, study.options.baselines)
    features = _conv(study, trained).features(study, SIMCLR.name)
    return Made(trained=(study.spectrograms, trained), unlabelled=tuple((each,) for each in extra), features=features)


SIMCLR = Method(
    row=Row(
        name="simclr",
        untrained="random_conv",
        kind="self_supervised",
        title="SimCLR",
        explanation="blocks of a convolutional network that was trained without labels, by contrast of two augmented "
        "versions",
        line=Line(marker="s"),
        places=("learning curves", "groups"),
    ),
    input="log_mel",
    features=_simclr,
    training=Training(option="baselines.simclr", loss="nats per view, among all of its batch"),
)
SUPERVISED = Method(
    row=Row(
        name="supervised",
        untrained="random_conv",
        kind="supervised",
        title="supervised CNN",
        explanation="blocks of the convolutional network of `simclr`, trained with the labels",
        line=Line(marker="^"),
        places=("learning curves",),
    ),
    head=Row(
        name="supervised_head",
        untrained="random_conv",
        kind="supervised",
        title="supervised CNN, own head",
        line=Line(marker="^", filled=False),
        places=("groups",),
    ),
    labels="train",
    input="log_mel",
    features=partial(_trained, "supervised", _conv, attrgetter("spectrograms")),
    training=Training(option="baselines.supervised", loss="nats per clip"),
)
RANDOM_CONV = replace(_untrained("random_conv", "CNN", "s", _conv), input="log_mel")


def _ast(study: Study) -> Network:
    from pipelines.stages.networks import ast

    return ast(study, study.options.ast)


def _filter_banks(study: Study) -> Entry:
    from pipelines.stages.stored_arrays import filter_banks

    return filter_banks(study.session, study.manifest)


def _require_ast(options: RunSettings) -> None:
    """Refuse a folder of weights that do not fit, where one is given, and the input beside the layers."""
    from lm.bodies.spectrogram_transformer import require_weights

    refuse_input("ast", options)
    own = options.ast.model
    if own.weights is not None:
        require_weights(Path(own.weights), own.size)


AST = Method(
    row=Row(
        name="ast",
        untrained="random_ast",
        kind="supervised",
        title="AST",
        explanation="layers of an Audio Spectrogram Transformer, trained with the labels",
        line=Line(marker="v", filled=False, dashes="--"),
        places=("learning curves",),
    ),
    head=Row(name="ast_head", untrained="random_ast", kind="supervised", title="AST, own head"),
    labels="train",
    features=partial(_trained, "ast", _ast, _filter_banks),
    training=Training(option="ast", loss="nats per clip"),
    require_options=_require_ast,
)
RANDOM_AST = replace(_untrained("random_ast", "AST", "H", _ast), require_options=partial(refuse_input, "random_ast"))


NAME, TITLE = "audio_transformer", "Audio Transformer"


def _patch_seconds(options: RunSettings) -> float:
    """Return the seconds of a patch."""
    return options.audio_transformer.model.patch_ms / 1000


def _audio_transformer(study: Study, variant: Variant | None = None) -> Network:
    from pipelines.stages.networks import audio_transformer

    own = study.options.audio_transformer
    return audio_transformer(study, own if variant is None else replace(own, model=replace(own.model, variant=variant)))


def _waveforms(study: Study) -> Entry:
    from pipelines.stages.stored_arrays import waveforms

    return waveforms(study.session, study.manifest, study.audio.sample_rate)


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
            untrained=f"random_{NAME}",
            kind="supervised",
            title=title,
            explanation="layers of an Audio Transformer of raw samples, trained with the labels",
            line=line,
            places=("learning curves",),
        ),
        head=Row(name=f"{name}_head", untrained=f"random_{NAME}", kind="supervised", title=f"{title}, own head"),
        labels="train",
        features=partial(_trained, name, partial(_audio_transformer, variant=variant), _waveforms),
        training=Training(option=NAME, loss="nats per clip"),
        shortest=_patch_seconds,
        require_options=partial(refuse_input, name),
        pictures=partial(_pictures, title),
    )


AUDIO_TRANSFORMER = _describe(None, Line(marker="<"))
# They differ in what happens between layers and have the same parameters, so a comparison can name several.
AUDIO_TRANSFORMER_VARIANTS = (
    _describe("wavelet", Line(marker="<", filled=False)),
    _describe("pooling", Line(marker=">", filled=False, dashes="--")),
    _describe("plain", Line(marker="h", filled=False, dashes=":")),
)
RANDOM_AUDIO_TRANSFORMER = replace(
    _untrained(f"random_{NAME}", TITLE, "8", _audio_transformer),
    shortest=_patch_seconds,
    require_options=partial(refuse_input, f"random_{NAME}"),
)


def _require_wav2vec2(name: str, options: RunSettings) -> None:
    """Refuse a folder of weights that cannot be used, where one is given, and the input beside the layers."""
    refuse_input(name, options)
    options.wav2vec2.require_weights(options.audio.sample_rate)


def _receptive_field(options: RunSettings, *, untrained: bool = False) -> float:
    """Return the seconds that one frame depends on; an untrained model has the sizes of one that is pre-trained."""
    own = options.wav2vec2.model if untrained else options.wav2vec2
    return own.convolutions.receptive_field / options.audio.sample_rate


def _wav2vec2(study: Study) -> Made:
    from pipelines.stages.pretraining import speech_body

    model, trained, unlabelled = speech_body(study, study.unlabelled, study.options.wav2vec2)
    features = _speech(study, model).features(study, WAV2VEC2.name)
    return Made(trained=trained, unlabelled=unlabelled, features=features)


def _finetuned_wav2vec2(study: Study) -> Made:
    from pipelines.stages.pretraining import speech_body

    model, trained, unlabelled = speech_body(study, study.unlabelled, study.options.wav2vec2)
    made = _trained(FINETUNED.name, partial(_speech, model=model), _waveforms, study)
    return replace(made, trained=(*trained, *made.trained), unlabelled=unlabelled)


def _untrained_wav2vec2(study: Study) -> Made:
    from pipelines.stages.pretraining import entry_source, random_wav2vec2

    model = random_wav2vec2(study.session, study.options.wav2vec2, sample_rate=study.audio.sample_rate)
    features = _speech(study, entry_source(model)).features(study, RANDOM_WAV2VEC2.name)
    return Made(trained=(model,), features=features)


def _speech(study: Study, model: Source) -> Network:
    from pipelines.stages.networks import speech

    return speech(study, model, study.options.wav2vec2.finetuning)


PRETRAINING = Training(option="wav2vec2.pretraining", loss="nats per masked frame, among its negatives")
WAV2VEC2 = Method(
    row=Row(
        name="wav2vec2",
        untrained="random_wav2vec2",
        kind="self_supervised",
        title="wav2vec 2.0",
        explanation="layers of wav2vec 2.0, HuBERT, WavLM or data2vec-audio",
        line=Line(marker="P"),
        places=("learning curves", "groups"),
    ),
    features=_wav2vec2,
    training=PRETRAINING,
    require_options=partial(_require_wav2vec2, "wav2vec2"),
    shortest=_receptive_field,
)
RANDOM_WAV2VEC2 = Method(
    row=Row(
        name="random_wav2vec2", kind="untrained", title="wav2vec 2.0, untrained", line=Line(marker="X", dashes=":")
    ),
    features=_untrained_wav2vec2,
    require_options=partial(refuse_input, "random_wav2vec2"),
    shortest=partial(_receptive_field, untrained=True),
)
FINETUNED = Method(
    row=Row(
        name="wav2vec2_finetuned",
        untrained="random_wav2vec2",
        kind="supervised",
        title="wav2vec 2.0, fine-tuned",
        explanation="layers of `wav2vec2`, fine-tuned with the labels",
        line=Line(marker="P", filled=False, dashes="--"),
        places=("learning curves",),
    ),
    head=Row(
        name="wav2vec2_finetuned_head",
        untrained="random_wav2vec2",
        kind="supervised",
        title="wav2vec 2.0, fine-tuned, own head",
        line=Line(marker="*"),
        places=("groups",),
    ),
    labels="train",
    features=_finetuned_wav2vec2,
    training=replace(PRETRAINING, option="wav2vec2.finetuning", loss="nats per clip"),
    require_options=partial(_require_wav2vec2, "wav2vec2_finetuned"),
    shortest=_receptive_field,
)


def _gpt_sound(study: Study) -> Made:
    from pipelines.stages.codes import codes

    # A run without a language model has no codes of these clips yet.
    extra = [codes(study.session, each, study.entries.finest.tokenizer) for each in study.unlabelled]
    coded = tuple(zip(study.unlabelled_spectrograms, extra, strict=True))
    return replace(_gpt_sound_made(GPT_SOUND.name, coded, False, study), unlabelled=coded)


def _gpt_sound_made(method: str, coded: tuple[tuple[Entry, Entry], ...], untrained: bool, study: Study) -> Made:
    from pipelines.stages.pretraining import sound_gpt, sound_gpt_features

    options, finest = study.options, study.entries.finest
    trained = sound_gpt(
        study.session,
        (study.spectrograms, finest.codes),
        coded,
        options.gpt_sound,
        sample=finest.sample.folder,
        patch_frames=options.tokenizer.patch.frames,
        frame_rate=options.audio.sample_rate / options.audio.hop_length,
        untrained=untrained,
    )
    return Made(trained=(study.spectrograms, trained), features=sound_gpt_features(study, method, trained))


GPT_SOUND = Method(
    row=Row(
        name="gpt_sound",
        untrained="random_gpt_sound",
        kind="self_supervised",
        title="GPT that reads sound",
        explanation="layers of a GPT that reads log-mel of changed copies and predicts the codes of the unchanged "
        "clips",
        line=Line(marker="X"),
        places=("learning curves", "groups"),
    ),
    input="log_mel",
    features=_gpt_sound,
    training=Training(option="gpt_sound", loss="nats per code"),
)
RANDOM_GPT_SOUND = Method(
    row=Row(
        name="random_gpt_sound",
        kind="untrained",
        title="GPT that reads sound, untrained",
        line=Line(marker="d", filled=False, dashes=":"),
    ),
    input="log_mel",
    features=partial(_gpt_sound_made, "random_gpt_sound", (), True),
)
