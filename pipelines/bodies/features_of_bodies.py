"""The features of networks in a run: what a network reads of the clips, its training on labels, and its layers."""

from functools import partial

from lm.finetuned import LayerReader, head_scores
from lm.probing.task import ProbeTask
from pipelines.bodies.network_options import NetworkSettings
from pipelines.bodies.networks import HeardClips, Network, changed_spectrograms, filter_banks, spectrograms
from pipelines.chain.study import Study, unlabelled_prefix
from pipelines.methods.method import Method
from pipelines.stages.features import ClipReading
from pipelines.stages.listening import Judge
from pipelines.stages.stored_arrays import waveforms
from pipelines.store.store import Entry
from tokenizer.tokenizer_options import HeardConfig
from wordless.audio.recordings.manifest import Clips
from wordless.audio.views import View
from wordless.base.arrays import FloatArray


def network_features(study: Study, method: Method) -> Entry:
    """Pool the layers of the network that a body describes for a method, untrained or trained on labels."""
    own, network = _described(study, study, method)
    if not method.learns_labels:
        return network.features(study, method.name)
    return learned_features(study, method, network, _inputs_of(study, own))


def _described(study: Study, reading: ClipReading, method: Method) -> tuple[NetworkSettings, Network]:
    own = study.settings.body(method)
    assert isinstance(own, NetworkSettings)
    return own, own.network(reading, method, study.statistics if own.inputs == "log_mel" else None)


def _inputs_of(study: Study, own: NetworkSettings) -> HeardClips:
    """Store what a network reads of the clips that it is trained on."""
    match own.inputs:
        case "log_mel":
            return heard(study, own.copies)
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


def spectrograms_of(study: Study) -> Entry:
    """Store the spectrograms of the corpus, once."""
    return _spectrograms(study, study.manifest)


def unlabelled_spectrograms(study: Study) -> tuple[Entry, ...]:
    """Store the spectrograms of each source of clips without labels, once."""
    numbered = enumerate(study.unlabelled, 1)
    return tuple(_spectrograms(study, clips, unlabelled_prefix(number)) for number, clips in numbered)


def _spectrograms(study: Study, clips: Clips, prefix: str = "") -> Entry:
    name = f"{prefix}spectrograms"
    if name not in study.entries:
        study.add(spectrograms(study.session, clips, study.audio, study.statistics), name)
    return study.entries[name]


def heard(study: Study, views: HeardConfig) -> HeardClips:
    """Return the spectrograms of the corpus with those of changed copies, if there are any."""
    return _with_copies(study, study.manifest, spectrograms_of(study), views)


def heard_unlabelled(study: Study, views: HeardConfig) -> tuple[HeardClips, ...]:
    """Return the same of each source of clips without labels."""
    pairs = zip(study.unlabelled, unlabelled_spectrograms(study), strict=True)
    return tuple(_with_copies(study, *each, views) for each in pairs)


def _with_copies(study: Study, clips: Clips, entry: Entry, views: HeardConfig) -> HeardClips:
    numbers, changes = range(views.copies if views.changed else 0), views.of_copies
    make = partial(changed_spectrograms, study.session, clips, study.audio, study.statistics, changes)
    made = map(make, numbers)  # those of other options or clips are others
    copies = tuple(study.add(each, f"changed_spectrograms_{each.key}") for each in made)
    return HeardClips(entry=entry, copies=copies, changed=views.changed)


def network_judge(study: Study, method: Method, task: ProbeTask) -> Judge:
    """Return a network with its own head as the judge of labels, of clips as they are."""
    own, network = _described(study, study.plain, method)
    inputs = _inputs_of(study, own)
    classifier = network.train(study.plain, inputs, task.classes)
    study.add_for_judge(inputs.entry, inputs.entry.stage)
    study.add_for_judge(classifier, classifier.stage)
    describe = partial(_layers_of, network.reader_of(classifier, ()))
    scores = partial(head_scores, classifier.place, body=type(network.reader.body))
    name, read = study.settings.listening.judge, (classifier, study.statistics)
    return Judge(name=name, inputs=read, describe=describe, scores=scores)


def _layers_of(reader: LayerReader, view: View) -> dict[str, FloatArray]:
    [features] = reader([view])
    return features
