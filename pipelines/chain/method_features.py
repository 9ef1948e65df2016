"""The features of each method of the comparison: which stages make them, from the entries of a study."""

from collections.abc import Callable

from pipelines.chain.study import Study, rate_prefix
from pipelines.extras.table import imported
from pipelines.methods.method import Method
from pipelines.stages.features import (
    FRAMES,
    UntrainedGPT,
    bottleneck_features,
    code_features,
    frame_features,
    gpt_features,
    log_mel_features,
    own_features,
)
from pipelines.store.store import Entry

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


def log_mel(study: Study, method: Method) -> Entry:
    return log_mel_features(study, study.entries["tokenizer"])


def bottleneck(study: Study, method: Method) -> Entry:
    return bottleneck_features(study, study.entries["tokenizer"], study.autoencoder.key)


def frames(study: Study, method: Method) -> Entry:
    """Pool MFCC or chroma."""
    return frame_features(study, FRAMES[method.name](study.audio), method=method.name)
