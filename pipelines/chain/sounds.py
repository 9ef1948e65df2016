"""The stages for sound: a vocoder, sounds to listen to, and their figures."""

from collections.abc import Iterator
from dataclasses import replace

from lm.options import ONE_HEARING
from lm.probing.task import ProbeTask
from pipelines.methods.signals import SIGNALS
from pipelines.methods.study import Codec
from pipelines.rates.continuations import continuations
from pipelines.rates.labels import window_labels
from pipelines.results.classifier_check import fair_classifier, unreliable_classifier
from pipelines.settings.run import RunSettings
from pipelines.stages.baselines import supervised
from pipelines.stages.codes import codes
from pipelines.stages.decoded import decode_clips, measure_clips
from pipelines.stages.features import HeardCodes, code_features, signal_features
from pipelines.stages.labels import Labels
from pipelines.stages.listening import listening
from pipelines.stages.playback import Playback
from pipelines.stages.probe import probe_methods
from pipelines.stages.recognition import (
    LOG_MEL,
    PROBED,
    Judge,
    create_network_judge,
    create_probe_judge,
    label_task,
    recognise_labels,
)
from pipelines.stages.stored_arrays import spectrograms, waveforms
from pipelines.stages.tokenizer import codebook
from pipelines.stages.vocoder import CodedIn, vocoder
from pipelines.store.session import Session
from pipelines.store.store import Entry
from vocoder.postfilter import in_force
from wordless.audio.recordings.manifest import Manifest
from wordless.base.saved_models import CONFIG


def make_sounds(session: Session, manifest: Manifest, settings: RunSettings, codec: Codec) -> list[Entry]:
    """Make the vocoder, sounds to listen to, and the figures of a larger number of clips."""
    playback, made = make_vocoder(session, manifest, settings, codec)
    measured = measure_sounds(playback, codec)
    if codec.rates is None:
        sounds_entry = listening(playback, codec.lm)
    else:
        sounds_entry = listening(playback, codec.rates.together, codec.rate_tokenizer)
    made += [*measured, sounds_entry]
    if measured:
        decoded, *_ = measured
        made += _recognise(playback, settings, codec, decoded, sounds_entry)
    return made


def make_vocoder(
    session: Session, manifest: Manifest, settings: RunSettings, codec: Codec
) -> tuple[Playback, list[Entry]]:
    """Train the vocoder; return the models that decode test clips, and the entries. No language model is needed."""
    sound = waveforms(session, manifest, settings.audio.sample_rate)
    coded = list(_coded(session, manifest, settings, codec))
    wavenet = vocoder(session, manifest, coded, sound, settings.vocoder)
    playback = Playback(
        session=session,
        manifest=manifest,
        tokenizer=codec.tokenizer,
        vocoder=wavenet,
        audio=settings.audio,
        config=settings.listening,
    )
    others = [entry for each in coded for entry in (each.tokenizer, each.codes) if settings.vocoder.codebook_sizes]
    return playback, [sound, *others, wavenet]


def comb_notice(wavenet: Entry, settings: RunSettings) -> str:
    """Say whether the vocoder's sound has a pitch comb, from which most of its voice comes, and why if not."""
    strength = settings.listening.postfilter
    if wavenet.read_json(CONFIG).get("voice") is None:
        why = "its codes or its training recordings have too little of a voice"
    elif not in_force(strength, settings.audio):
        why = f"its post-filter is off (listening.postfilter={strength:g})"
    else:
        return "WaveNet's sound passes a pitch comb, from which most of its voice comes"
    return f"WaveNet's sound has no pitch comb, because {why}"


def measure_sounds(playback: Playback, codec: Codec) -> list[Entry]:
    """Decode the clips that are judged, and measure their sounds; no entries if none are judged."""
    if not playback.config.judged_clips:
        return []
    decoded = decode_clips(playback)
    return [decoded, measure_clips(playback.session, codec.tokenizer, playback.vocoder, decoded)]


def make_continuations(session: Session, manifest: Manifest, settings: RunSettings, codec: Codec) -> list[Entry]:
    """Continue test clips at all rates and by a flat GPT, and name the labels of the sounds if clips have labels."""
    assert codec.rates is not None, "the chain trains the models of all rates before they continue anything"
    assert codec.rate_tokenizer is not None, "a run of several rates has a tokenizer of all rates"
    assert codec.lm is not None, "the chain trains the flat GPT before it continues anything"
    together, own = codec.rates.together, settings.rates
    entries = (codec.rate_tokenizer, codec.codes, together, codec.lm)
    said = continuations(session, manifest, *entries, own, shortest=settings.coarsest_code_seconds)
    task = label_task(session, manifest, settings.probe)
    if task is None:
        return [said]
    judge, learned = _judge(session, manifest, settings, codec, task)
    return [said, *learned, window_labels(session, judge, said, task.classes, own)]


def _coded(session: Session, manifest: Manifest, settings: RunSettings, codec: Codec) -> Iterator[CodedIn]:
    """Give the vocoder's training codes: the run's own, or those of several codebooks of its tokenizer."""
    if settings.vocoder.codebook_sizes is None:
        yield CodedIn(codec.tokenizer, codec.codes)
    for size in settings.vocoder.codebook_sizes or ():
        sized = replace(settings.tokenizer, codebook_size=size)
        tokens = codebook(session, codec.sample, codec.autoencoder, settings.audio, sized, settings.speech_layer)
        coded = codes(session, manifest, tokens)
        # Entries of other sizes have names of their own in a run.
        named = (replace(entry, stage=f"{entry.stage}_{size}") for entry in (tokens, coded))
        yield CodedIn(*named)


def _recognise(
    playback: Playback, settings: RunSettings, codec: Codec, decoded: Entry, sounds_entry: Entry
) -> list[Entry]:
    """If clips have labels, recognise those of decoded clips by a classifier."""
    session, manifest = playback.session, playback.manifest
    task = label_task(session, manifest, settings.probe)
    if task is None:
        return []
    judge, learned = _judge(session, manifest, settings, codec, task)
    labels = recognise_labels(session, judge, decoded, sounds_entry, task.classes)
    if warning := unreliable_classifier(labels, decoded, manifest):
        session.terminal.say(f"WARNING   {warning}")
    if notice := fair_classifier(labels, manifest):
        session.terminal.say(f"vocoder   {notice}")
    return [*learned, labels]


def _judge(
    session: Session, manifest: Manifest, settings: RunSettings, codec: Codec, task: ProbeTask
) -> tuple[Judge, list[Entry]]:
    """Return the classifier of labels and the entries it is made from, which the comparison may have made."""
    name = settings.listening.judge
    if name == "supervised":
        shown = spectrograms(session, manifest, settings.audio, codec.sample)
        classifier = supervised(session, shown, Labels.of(manifest, task), settings.baselines)
        judge = create_network_judge(classifier, codec.sample, settings.audio, settings.baselines.encoder)
        return judge, [shown, classifier]
    if name == "codes":
        features = code_features(session, HeardCodes(codes=codec.codes))
    else:
        methods = (SIGNALS & {*settings.compare.methods}) | {LOG_MEL}
        features = signal_features(session, manifest, codec.tokenizer, codec.autoencoder.key, methods)
    # Of one hearing, features and probe are those of the comparison, and computed once.
    (chosen,) = probe_methods(session, manifest, [features], settings.probe, labelled=(), only=[PROBED[name][0]])
    made, compare = [features, chosen], settings.compare
    if compare.vectors != ONE_HEARING or compare.assignments != "hard":  # the comparison has others of these names
        made = [replace(entry, stage=f"judging_{entry.stage}") for entry in made]
    return create_probe_judge(name, codec.tokenizer, features, chosen, task, settings.probe), made
