"""The table of what makes the vectors of methods: for the clips of a run, and for new sound.

A row of `pipelines.methods.methods_table` names its function by a word, `Method.features`: options read these rows, and
the functions read a run with its options.
"""

from collections.abc import Callable, Mapping

from pipelines.bodies.features_of_bodies import (
    bag_of_targets,
    features_of_network,
    simclr_layers,
    sound_gpt_vectors,
    sound_states,
    speech_features,
)
from pipelines.chain.study import Study, rate_prefix
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
from pipelines.store.store import Entry
from wordless.base.arrays import FloatArray

MakeFeatures = Callable[[Study, Method], Entry]
# folder of the model in a run, views, front end, recipe -> vectors (views, dim) by layer and pooling
VectorsOfSound = Callable[..., dict[str, FloatArray]]


def bag(study: Study, method: Method) -> Entry:
    coded = study.coded_at(method.rate) if method.rate else study.codes_of(method)
    return code_features(study.session, coded, of=method.name)


def states(study: Study, method: Method) -> Entry:
    """Pool the states of the language model of a rate, or of the run's GPT."""
    coded = study.coded_up_to(method.rate) if method.rate else study.codes_of(method)
    model = study.entries[f"{rate_prefix(method.rate)}lm" if method.rate else "lm"]
    return gpt_features(
        study.session, coded, model, states=study.settings.compare.reading_of(method).states, of=method.name
    )


def untrained_states(study: Study, method: Method) -> Entry:
    own, states = study.settings.lm, study.settings.compare.reading_of(method).states
    if method.rate:
        own = own.divided(len(study.by_rate))[method.rate - 1]
    coded = study.coded_up_to(method.rate) if method.rate else study.codes_of(method)
    untrained = UntrainedGPT(gpt=own.gpt, seed=own.fit.seed, look_ahead=own.look_ahead)
    return gpt_features(study.session, coded, untrained, states=states, of=method.name)


def log_mel(study: Study, method: Method) -> Entry:
    return log_mel_features(study, study.entries["tokenizer"])


def bottleneck(study: Study, method: Method) -> Entry:
    return bottleneck_features(study, study.entries["tokenizer"], study.autoencoder.key)


def frames(study: Study, method: Method) -> Entry:
    """Pool MFCC or chroma."""
    return frame_features(study, FRAMES[method.name](study.audio), method=method.name)


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
    "sound_states": sound_states,
    "bag_of_targets": bag_of_targets,
}
# Of networks that the folder of a run keeps under the names of their methods (`Method.of_sound`).
OF_SOUND: Mapping[FeaturesOf, VectorsOfSound] = {"sound_states": sound_gpt_vectors}


def features_of(study: Study, method: Method) -> Entry:
    """Make the features of a method, with the models that it trains."""
    if method.file is not None:
        names = [clip.name for clip in study.manifest.clips]
        return own_features(study.session, method.name, names, VectorFile(method.file))
    assert method.features is not None, "rows of the user's features have a file, and heads are scored"
    return VECTORS_OF_METHODS[method.features](study, method)
