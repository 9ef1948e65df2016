"""The features of each method of the comparison: which stages make them, from the entries of a study."""

from collections.abc import Callable
from functools import partial
from pkgutil import resolve_name

from pipelines.bodies.body_options import NetworkSettings
from pipelines.chain.study import Study, rate_prefix
from pipelines.methods.method import Method
from pipelines.stages.features import (
    UntrainedGPT,
    bottleneck_features,
    code_features,
    frame_features,
    gpt_features,
    log_mel_features,
    own_features,
)
from pipelines.stages.mfcc import chroma_frames, mfcc_frames
from pipelines.stages.networks import Network
from pipelines.stages.stored_arrays import HeardClips, filter_banks, waveforms
from pipelines.store.store import Entry

MakeFeatures = Callable[[Study, Method], Entry]


def features_of(study: Study, method: Method) -> Entry:
    """Make the features of a method, with the models that it trains."""
    if method.file is not None:
        names = [clip.name for clip in study.manifest.clips]
        return own_features(study.session, method.name, names, method.file)
    if method.features:
        make: MakeFeatures = resolve_name(method.features)
        return make(study, method)
    own = study.settings.body(method)
    assert isinstance(own, NetworkSettings)
    network = own.network(study, method, study.statistics if own.inputs == "log_mel" else None)
    if not method.learns_labels:
        return network.features(study, method.name)
    return learned_features(study, method, network, inputs_of(study, own))


def inputs_of(study: Study, own: NetworkSettings) -> HeardClips:
    """Store what a network reads of the clips that it is trained on."""
    match own.inputs:
        case "log_mel":
            return study.heard(study.manifest, study.spectrograms, own.copies)
        case "filter_banks":
            return HeardClips(entry=filter_banks(study.session, study.manifest))
        case "waveforms":
            return HeardClips(entry=waveforms(study.session, study.manifest, study.audio.sample_rate))


def learned_features(study: Study, method: Method, network: Network, inputs: HeardClips) -> Entry:
    """Train a network on the labels of clips, and read its layers."""
    study.add(inputs.entry)
    separator = study.settings.probe.label_separator
    trained = network.train(study, inputs, study.task.classes, separator, title=method.title)
    return network.features(study, method.name, study.add(trained, method.name))  # methods may share the training


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


def log_mel(study: Study, method: Method) -> Entry:
    return log_mel_features(study, study.entries["tokenizer"])


def bottleneck(study: Study, method: Method) -> Entry:
    return bottleneck_features(study, study.entries["tokenizer"], study.autoencoder.key)


def mfcc(study: Study, method: Method) -> Entry:
    rate, window, hop = study.audio.sample_rate, study.audio.window_length, study.audio.hop_length
    frames = partial(mfcc_frames, sample_rate=rate, window_length=window, hop_length=hop)
    return frame_features(study, frames, method=method.name)


def chroma(study: Study, method: Method) -> Entry:
    frames = partial(chroma_frames, sample_rate=study.audio.sample_rate, hop_length=study.audio.hop_length)
    return frame_features(study, frames, method=method.name)
