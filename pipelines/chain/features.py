"""The features of each method of the comparison: which stages make them, from the entries of a study."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lm.bodies.options import Variant
from lm.bodies.wav2vec2 import speech_source
from pipelines.chain.study import Study
from pipelines.commandline.commands import imported
from pipelines.methods.method import Method
from pipelines.stages import pretraining
from pipelines.stages.features import (
    BAG_OF_CODES,
    MakeFrames,
    UntrainedGPT,
    bottleneck_features,
    code_features,
    frame_features,
    gpt_features,
    log_mel_features,
    own_features,
)
from pipelines.stages.frames import chroma_frames, mfcc_frames
from pipelines.stages.networks import Network, ast, audio_transformer, convolutional, speech
from pipelines.stages.options import OPTION
from pipelines.stages.stored_arrays import HeardClips, filter_banks, waveforms
from pipelines.store.session import rate_prefix
from pipelines.store.store import Entry
from tokenizer.options import HeardConfig
from wordless.audio.options import SpectrogramConfig

MakeFeatures = Callable[[Study, Method], Entry]


def features_of(study: Study, method: Method) -> Entry:
    """Make the features of a method, with the models that it trains."""
    if method.file is not None:
        names = [clip.name for clip in study.manifest.clips]
        return own_features(study.session, method.name, names, method.file)
    make: MakeFeatures = imported(method.features)
    return make(study, method)


def bag(study: Study, method: Method) -> Entry:
    coded = study.coded_at(method.rate) if method.rate else study.read_codes
    return code_features(study.session, coded, of=method.name)


def states(study: Study, method: Method) -> Entry:
    """Pool the states of the language model of a rate, or of the run's GPT."""
    coded = study.coded_up_to(method.rate) if method.rate else study.read_codes
    model = study.entries[f"{rate_prefix(method.rate)}lm" if method.rate else "lm"]
    return gpt_features(study.session, coded, model, states=study.settings.compare.states, of=method.name)


def untrained_states(study: Study, method: Method) -> Entry:
    own, compare = study.settings.lm, study.settings.compare
    untrained = UntrainedGPT(gpt=own.gpt, seed=own.fit.seed)
    return gpt_features(study.session, study.read_codes, untrained, states=compare.states, of=method.name)


def _frames(make: Callable[[SpectrogramConfig], MakeFrames]) -> MakeFeatures:
    """Pool frames over each clip; ``make`` returns what computes them: samples ``(num_samples,)`` -> (time, dims)."""
    return lambda study, method: frame_features(study, make(study.audio), method=method.name)


def _network(make: Callable[[Study], Network]) -> MakeFeatures:
    return lambda study, method: make(study).features(study, method.name)


def _taught(make: Callable[[Study], Network], data: Callable[[Study], HeardClips]) -> MakeFeatures:
    """Train a network on the labels of clips, whose stored inputs are ``data``, and read its layers."""

    def features(study: Study, method: Method) -> Entry:
        network, separator, name, inputs = make(study), study.settings.probe.label_separator, method.name, data(study)
        study.add(inputs.entry)
        trained = network.train(study, inputs, study.task.classes, separator, method=name)
        return network.features(study, name, study.add(trained, name))  # methods of one network may share the training

    return features


def _conv(study: Study, trained: Entry | None = None) -> Network:
    return convolutional(study, study.statistics, study.settings.baselines, simclr=trained)


def simclr_layers(study: Study, method: Method) -> Entry:
    own = study.settings.baselines
    views = own.simclr.views
    clips, extra = study.heard(study.manifest, study.spectrograms, views), study.heard_unlabelled(views)
    trained = study.add(pretraining.simclr(study.session, clips, extra, own))
    return _conv(study, trained).features(study, method.name)


def _audio_transformer(study: Study, variant: Variant | None = None) -> Network:
    own = study.settings.audio_transformer
    return audio_transformer(study, replace(own, model=replace(own.model, variant=variant or own.model.variant)))


def _waveforms(study: Study) -> HeardClips:
    return HeardClips(entry=waveforms(study.session, study.manifest, study.audio.sample_rate))


def _filter_banks(study: Study) -> HeardClips:
    return HeardClips(entry=filter_banks(study.session, study.manifest))


def _log_mel(study: Study) -> HeardClips:
    return study.heard(study.manifest, study.spectrograms, study.settings.baselines.supervised.views)


def _speech(study: Study, folder: Path, key: str | None = None) -> Network:
    return speech(study, speech_source(folder, key=key, option=OPTION), study.settings.wav2vec2.finetuning)


def _pretrained(study: Study) -> Network:
    """Return the speech model of the user's folder, or one that is pre-trained."""
    settings, rate = study.settings.wav2vec2, study.audio.sample_rate
    if settings.weights is not None:
        found, say = settings.described, study.session.terminal.say
        say(f"wav2vec2  {OPTION}: {found.name}, {found.layers} layers of {found.width} dimensions")
        return _speech(study, settings.folder)
    own, *extra = (waveforms(study.session, each, rate) for each in (study.manifest, *study.unlabelled))
    trained = pretraining.wav2vec2(study.session, [own, *extra], settings, sample_rate=rate)
    study.add(own)
    study.add(trained)
    study.add_unlabelled((each,) for each in extra)
    return _speech(study, trained.folder, trained.key)


def _random_wav2vec2(study: Study) -> Network:
    settings, rate = study.settings.wav2vec2, study.audio.sample_rate
    made = study.add(pretraining.random_wav2vec2(study.session, settings, sample_rate=rate))
    return _speech(study, made.folder, made.key)


def sound_states(study: Study, method: Method) -> Entry:
    own = study.settings.gpt_sound
    trained = pretraining.sound_gpt(
        study.session,
        method.name,
        study.heard(study.manifest, study.spectrograms, own.views if method.training else HeardConfig()),
        study.heard_unlabelled(own.views) if method.training else (),
        own,
        tokenizer=study.entries["tokenizer"] if method.input == BAG_OF_CODES else None,
        **_windows(study),
    )
    return pretraining.sound_gpt_features(study, method.name, study.add(trained))


def bag_of_targets(study: Study, method: Method) -> Entry:
    return pretraining.window_bags(
        study.session,
        study,
        method.name,
        study.spectrograms,
        study.unlabelled_spectrograms,
        seed=study.settings.gpt_sound.fit.seed,
        **_windows(study),
    )


def _windows(study: Study) -> dict[str, Any]:
    """Return what decides the codes of windows."""
    settings, audio, patch_frames = study.settings, study.audio, study.settings.tokenizer.patch.frames
    patches = settings.gpt_sound.window_patches(patch_frames * audio.hop_length / audio.sample_rate)
    sizes = {"patch_frames": patch_frames, "patches": patches, "codebook_size": settings.tokenizer.codebook_size}
    return {"sample": study.statistics, **sizes}


def _ast(study: Study) -> Network:
    return ast(study, study.settings.ast)


def log_mel(study: Study, method: Method) -> Entry:
    return log_mel_features(study, study.entries["tokenizer"])


def bottleneck(study: Study, method: Method) -> Entry:
    return bottleneck_features(study, study.entries["tokenizer"], study.autoencoder.key)


mfcc = _frames(
    lambda of: partial(
        mfcc_frames, sample_rate=of.sample_rate, window_length=of.window_length, hop_length=of.hop_length
    )
)
chroma = _frames(lambda of: partial(chroma_frames, sample_rate=of.sample_rate, hop_length=of.hop_length))
conv_layers, taught_conv = _network(_conv), _taught(_conv, _log_mel)
ast_layers, taught_ast = _network(_ast), _taught(_ast, _filter_banks)
speech_layers, taught_speech = _network(_pretrained), _taught(_pretrained, _waveforms)
random_speech_layers = _network(_random_wav2vec2)
audio_transformer_layers = _network(_audio_transformer)
taught_audio_transformer = _taught(_audio_transformer, _waveforms)
taught_wavelet = _taught(partial(_audio_transformer, variant="wavelet"), _waveforms)
taught_pooling = _taught(partial(_audio_transformer, variant="pooling"), _waveforms)
taught_plain = _taught(partial(_audio_transformer, variant="plain"), _waveforms)
