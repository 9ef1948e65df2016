"""The stages for sound: a vocoder, sounds to listen to, and their figures."""

from collections.abc import Iterator
from dataclasses import replace

from audio.recordings.manifest import Manifest
from lm.probe_task import ProbeTask
from pipelines.methods.signals import SIGNALS, signal_entry
from pipelines.methods.study import Codec, labels_of
from pipelines.results.classifier_check import fair_classifier, unreliable_classifier
from pipelines.settings.run import RunSettings
from pipelines.stages.baselines import supervised
from pipelines.stages.codes import codes
from pipelines.stages.decoded import decoded
from pipelines.stages.judges import LOG_MEL, Judge, NetworkJudge, ProbeJudge
from pipelines.stages.judging import judged
from pipelines.stages.listening import listening
from pipelines.stages.probe import probed
from pipelines.stages.recognition import label_task, recognised
from pipelines.stages.spectrogram import spectrograms
from pipelines.stages.tokenizer import codebook
from pipelines.stages.vocoder import CodedIn, vocoder, waveforms
from pipelines.store.session import Session
from pipelines.store.store import Entry


def sounds(session: Session, manifest: Manifest, settings: RunSettings, codec: Codec) -> list[Entry]:
    """Make the vocoder, sounds to listen to, and the figures of a larger number of clips."""
    sound = waveforms(session, manifest, settings.audio.sample_rate)
    coded = list(_coded(session, manifest, settings, codec))
    wavenet = vocoder(session, manifest, coded, sound, settings.vocoder)
    heard = listening(session, manifest, codec.tokenizer, wavenet, codec.lm, settings.audio, settings.listening)
    others = [entry for each in coded for entry in (each.tokenizer, each.codes) if settings.vocoder.codebook_sizes]
    made = [sound, *others, wavenet, heard]
    if settings.listening.judged_clips:
        made += _figures(session, manifest, settings, codec, wavenet, heard)
    return made


def _coded(session: Session, manifest: Manifest, settings: RunSettings, codec: Codec) -> Iterator[CodedIn]:
    """Give the vocoder's training codes: the run's own, or those of several codebooks of its tokenizer."""
    if settings.vocoder.codebook_sizes is None:
        yield CodedIn(tokenizer=codec.tokenizer, codes=codec.codes)
    for size in settings.vocoder.codebook_sizes or ():
        sized = replace(settings.tokenizer, codebook_size=size)
        tokens = codebook(session, codec.sample, codec.autoencoder, settings.audio, sized)
        coded = codes(session, manifest, tokens)
        # Under names of their own among a run's entries.
        yield CodedIn(tokenizer=_named(tokens, size), codes=_named(coded, size))


def _named(entry: Entry, size: int) -> Entry:
    return replace(entry, stage=f"{entry.stage}_{size}")


def _figures(
    session: Session, manifest: Manifest, settings: RunSettings, codec: Codec, wavenet: Entry, heard: Entry
) -> list[Entry]:
    """Decode clips and measure them; if clips have labels, also the labels that a classifier recognises."""
    again = decoded(session, manifest, codec.tokenizer, wavenet, settings.audio, settings.listening)
    made = [again, judged(session, codec.tokenizer, wavenet, again)]
    task = label_task(session, manifest, settings.probe.label_separator)
    if task is None:
        return made
    judge, learned = _judge(session, manifest, settings, codec, task)
    labels = recognised(session, judge, again, heard, task.classes)
    if warning := unreliable_classifier(labels, again, manifest):
        session.terminal.say(f"WARNING   {warning}")
    if notice := fair_classifier(labels, manifest):
        session.terminal.say(f"vocoder   {notice}")
    return [*made, *learned, labels]


def _judge(
    session: Session, manifest: Manifest, settings: RunSettings, codec: Codec, task: ProbeTask
) -> tuple[Judge, list[Entry]]:
    """Return the classifier of labels and the entries it is made from, which the comparison may have made."""
    if settings.listening.judge == "supervised":
        shown = spectrograms(session, manifest, settings.audio, codec.sample)
        labels = labels_of(manifest, task)
        classifier = supervised(session, shown, labels, task.classes, settings.baselines)
        encoder = settings.baselines.encoder
        network = NetworkJudge(classifier=classifier, sample=codec.sample, audio=settings.audio, encoder=encoder)
        return network, [shown, classifier]
    features = signal_entry(session, manifest, codec, (SIGNALS & {*settings.compare.methods}) | {LOG_MEL})
    (chosen,) = probed(session, manifest, [features], settings.probe, told=(), only=LOG_MEL)
    probe = ProbeJudge(features=features, probe=chosen, tokenizer=codec.tokenizer, task=task, config=settings.probe)
    return probe, [features, chosen]
