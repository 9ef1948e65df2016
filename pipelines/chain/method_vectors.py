"""The table of what makes the vectors of methods for the clips of a run.

A row of `pipelines.methods.methods_table` names its function by a word, `Method.features`: options read these rows, and
the functions read a run with its options.
"""

from collections.abc import Callable, Mapping

from pipelines.backbones.features_of_backbones import (
    denoising_layers,
    features_of_network,
    simclr_layers,
    speech_features,
)
from pipelines.chain.trial import Trial, rate_prefix
from pipelines.methods.method import FeaturesOf, Method
from pipelines.stages.features import (
    FRAMES,
    UntrainedGPT,
    VectorFile,
    bottleneck_features,
    code_features,
    frame_features,
    gpt_features,
    log_mel_features,
    own_features,
)
from pipelines.store.store import CachedArtifact

MakeFeatures = Callable[[Trial, Method], CachedArtifact]


def bag(trial: Trial, method: Method) -> CachedArtifact:
    return code_features(trial.session, trial.coded_at(method.rate), of=method.name)


def states(trial: Trial, method: Method) -> CachedArtifact:
    """Pool the states of the language model of a rate, or of the run's GPT."""
    model = trial.artifacts[f"{rate_prefix(method.rate)}lm" if method.rate else "lm"]
    coded, states = trial.coded_up_to(method.rate), trial.settings.compare.states
    return gpt_features(trial.session, coded, model, states=states, of=method.name)


def untrained_states(trial: Trial, method: Method) -> CachedArtifact:
    own = trial.settings.lm
    if method.rate:
        own = own.divided(len(trial.by_rate))[method.rate - 1]
    coded, states = trial.coded_up_to(method.rate), trial.settings.compare.states
    untrained = UntrainedGPT(gpt=own.gpt, seed=own.fit.seed, look_ahead=own.look_ahead)
    return gpt_features(trial.session, coded, untrained, states=states, of=method.name)


def log_mel(trial: Trial, method: Method) -> CachedArtifact:
    return log_mel_features(trial.session, trial.reading, trial.artifacts["tokenizer"])


def bottleneck(trial: Trial, method: Method) -> CachedArtifact:
    return bottleneck_features(trial.session, trial.reading, trial.artifacts["tokenizer"], trial.autoencoder.key)


def frames(trial: Trial, method: Method) -> CachedArtifact:
    """Pool MFCC or chroma."""
    return frame_features(trial.session, trial.reading, FRAMES[method.name](trial.audio), method=method.name)


VECTORS_OF_METHODS: Mapping[FeaturesOf, MakeFeatures] = {
    "bag": bag,
    "states": states,
    "untrained_states": untrained_states,
    "log_mel": log_mel,
    "bottleneck": bottleneck,
    "frames": frames,
    "network": features_of_network,
    "simclr": simclr_layers,
    "speech_model": speech_features,
    "denoising": denoising_layers,
}


def features_of(trial: Trial, method: Method) -> CachedArtifact:
    """Make the features of a method, with the models that it trains."""
    if method.file is not None:
        names = trial.manifest.names
        return own_features(trial.session, method.name, names, VectorFile(method.file))
    assert method.features is not None, "rows of the user's features have a file, and heads are scored"
    return VECTORS_OF_METHODS[method.features](trial, method)
