"""The stages for sound: vocoder, sounds and their figures; language models of samples, their sounds and speed."""

import time
from dataclasses import replace

import torch

from lm.probing.task import ProbeTask
from lm.samples.model import SampleLanguageModel
from pipelines.commandline.choices import EMBEDDED
from pipelines.methods.study import RunEntries
from pipelines.results.language_figures import Speeds
from pipelines.results.sound_figures import weak_judge
from pipelines.settings.run import RunSettings
from pipelines.stages.codes import codes
from pipelines.stages.features import ClipReading, CodedViews, code_features, log_mel_features
from pipelines.stages.judging import (
    PROBED,
    Judge,
    Spoken,
    create_network_judge,
    create_probe_judge,
    judge_speech,
    label_task,
    recognise_labels,
)
from pipelines.stages.listening import Playback, decode_clips, listening, measure_clips
from pipelines.stages.networks import convolutional
from pipelines.stages.next_sample import score_sample_models, train_sample_model
from pipelines.stages.probe import probe_methods
from pipelines.stages.rates import continuations, window_labels
from pipelines.stages.stored_arrays import spectrograms, test_waveforms, waveforms
from pipelines.stages.tokenizer import codebook
from pipelines.stages.vocoder import CodedIn, vocoder
from pipelines.store.session import Session
from pipelines.store.store import Entry
from vocoder.options import Sampling
from vocoder.speech_judges import SPEECH_JUDGES
from wordless.audio.recordings.manifest import Clips
from wordless.base.saved_models import CONFIG

LONG_ENOUGH = 0.1  # seconds that a measurement of speed takes at least
SAMPLES, MOST_SAMPLES = 500, 50_000  # of the shortest and the longest measurement


def make_sounds(session: Session, manifest: Clips, settings: RunSettings, entries: RunEntries) -> RunEntries:
    """Make the vocoder, sounds to listen to, and the figures of a larger number of clips."""
    playback, entries = make_vocoder(session, manifest, settings, entries)
    entries = measure_sounds(playback, settings, entries)
    if entries.rates is None:
        sounds = listening(playback, entries.lm, coded=entries.finest.codes)
    else:
        sounds = listening(playback, entries.rates.together, entries.rate_tokenizer, coded=entries.finest.codes)
    return _recognise(playback, settings, replace(entries, listening=sounds))


def make_vocoder(
    session: Session, manifest: Clips, settings: RunSettings, entries: RunEntries
) -> tuple[Playback, RunEntries]:
    """Train the vocoder; return the models that decode test clips, too. No language model is needed."""
    sound = waveforms(session, manifest, settings.audio.sample_rate)
    sized = {size: _coded(session, manifest, settings, entries, size) for size in settings.vocoder.codebook_sizes or ()}
    coded = [*sized.values()] or [CodedIn(entries.finest.tokenizer, entries.finest.codes)]
    wavenet = vocoder(session, manifest, coded, sound, settings.vocoder)
    playback = Playback(
        session=session,
        manifest=manifest,
        tokenizer=entries.finest.tokenizer,
        vocoder=wavenet,
        audio=settings.audio,
        config=settings.listening,
    )
    return playback, replace(entries, waveforms=sound, sized=sized, vocoder=wavenet)


def comb_notice(wavenet: Entry, settings: RunSettings) -> str:
    """Say whether the vocoder's sound has a pitch comb, from which most of its voice comes, and why if not."""
    strength = settings.listening.postfilter
    if wavenet.read_json(CONFIG).get("voice") is None:
        why = "its codes or its training recordings have too little of a voice"
    elif not settings.listening.pitch_comb:
        why = "listening.pitch_comb is false"
    elif not (strength and settings.audio.keeps_levels):
        why = f"its post-filter is off (listening.postfilter={strength:g})"
    else:
        return "WaveNet's sound passes a pitch comb, from which most of its voice comes"
    return f"WaveNet's sound has no pitch comb, because {why}"


def measure_sounds(playback: Playback, settings: RunSettings, entries: RunEntries) -> RunEntries:
    """Decode the clips that are judged, if any, and measure their sounds."""
    config, session = playback.config, playback.session
    if not config.judged_clips:
        return entries
    decoded = decode_clips(playback)
    judged = measure_clips(session, playback.tokenizer, playback.vocoder, decoded, config)
    spoken = known_speech(playback.manifest, settings)
    paths = [clip.name for clip in playback.choose(config.judged_clips)]
    heard = {name: judge_speech(session, decoded, paths, name, spoken) for name in SPEECH_JUDGES if config.asks(name)}
    return replace(entries, decoded=decoded, judged=judged, judged_speech=heard)


def known_speech(manifest: Clips, settings: RunSettings) -> Spoken:
    """Return what judges of speech know of the recordings: words, and the groups as people."""
    embedded = settings.embedded if settings.corpus.root == EMBEDDED else None
    free, separator = settings.listening.grammar == "free", settings.probe.label_separator
    return Spoken.of(manifest, embedded, free=free, separator=separator)


def make_continuations(session: Session, manifest: Clips, settings: RunSettings, entries: RunEntries) -> RunEntries:
    """Continue test clips at all rates and by a flat GPT, and name the labels of the sounds if clips have labels."""
    assert entries.rates is not None, "the chain trains the models of all rates before they continue anything"
    assert entries.rate_tokenizer is not None, "a run of several rates has a tokenizer of all rates"
    assert entries.lm is not None, "the chain trains the flat GPT before it continues anything"
    models = (entries.rate_tokenizer, entries.finest.codes, entries.rates.together, entries.lm)
    said = continuations(session, manifest, *models, settings.rates, shortest=settings.coarsest_code_seconds)
    task = label_task(session, manifest, settings.probe)
    if task is None:
        return replace(entries, continuations=said)
    judge, learned = _judge(session, manifest, settings, entries, task)
    labels = window_labels(session, judge, said, task.classes, settings.rates)
    return replace(entries, continuations=said, judge=learned, continuation_labels=labels)


def _coded(session: Session, manifest: Clips, settings: RunSettings, entries: RunEntries, size: int) -> CodedIn:
    """Make the codes of another codebook of the run's tokenizer."""
    sized, own = settings.tokenizer.with_codebook(size), entries.finest
    tokens = codebook(session, own.sample, own.autoencoder, settings.audio, sized, settings.speech_layer, own.pitches)
    return CodedIn(tokens, codes(session, manifest, tokens))


def _recognise(playback: Playback, settings: RunSettings, entries: RunEntries) -> RunEntries:
    """If clips are judged and have labels, recognise the labels of decoded clips by a classifier."""
    session, manifest, decoded, sounds = playback.session, playback.manifest, entries.decoded, entries.listening
    if decoded is None or sounds is None or not settings.listening.asks("recognised"):
        return entries
    if (task := label_task(session, manifest, settings.probe)) is None:
        return entries
    judge, learned = _judge(session, manifest, settings, entries, task)
    labels = recognise_labels(session, judge, decoded, sounds, task.classes)
    session.when_made(labels, lambda made: (why := weak_judge(made, manifest)) and f"WARNING   {why}")
    return replace(entries, judge=learned, recognised=labels)


def _judge(
    session: Session, manifest: Clips, settings: RunSettings, entries: RunEntries, task: ProbeTask
) -> tuple[Judge, dict[str, Entry]]:
    """Return the classifier of labels and the entries it is made from, which the comparison may have made."""
    name, own = settings.listening.judge, entries.finest
    reading = ClipReading(session=session, manifest=manifest, audio=settings.audio)
    if name == "supervised":
        shown = spectrograms(session, manifest, settings.audio, own.statistics)
        network = convolutional(reading, own.statistics, settings.baselines)
        classifier = network.train(reading, shown, task.classes)
        judge = create_network_judge(network, classifier, own.statistics)
        return judge, {entry.stage: entry for entry in (shown, classifier)}
    if name == "codes":
        features = code_features(session, CodedViews(codes=own.codes))
    else:
        features = log_mel_features(reading, own.tokenizer)
    # Features and probe of clips as they are alone; those of a plain comparison are the same, and computed once.
    method, _ = PROBED[name]
    probe = probe_methods(session, manifest, {method: features}, settings.probe, labelled=())[method]
    judge = create_probe_judge(name, own.tokenizer, features, probe, task, settings.probe)
    return judge, {features.stage: features, f"probed_{method}": probe}


def train_on_samples(session: Session, manifest: Clips, settings: RunSettings, entries: RunEntries) -> RunEntries:
    """Train every wanted model on the same crops, and score all of them on the same test crops."""
    rate, options = settings.audio.sample_rate, settings.next_sample
    sounds = waveforms(session, manifest, rate), test_waveforms(session, manifest, rate)
    models: dict[str, Entry] = {name: train_sample_model(session, sounds[0], options, name) for name in options.models}
    scores = score_sample_models(session, sounds, models, options)
    training, test = sounds
    return replace(entries, waveforms=training, test_waveforms=test, sample_models=models, sample_scores=scores)


def measure_speed(settings: RunSettings, entries: RunEntries, device: torch.device) -> Speeds:
    """Measure the samples per second that each model generates for one sound, on this machine as it is now."""
    engine, speeds = settings.next_sample.sounds.engine, dict[str, tuple[float, str]]()
    for name, entry in entries.sample_models.items():
        model = SampleLanguageModel.from_pretrained(entry.folder, device=str(device))

        def seconds(samples: int, model: SampleLanguageModel = model) -> float:
            sampling, begun = Sampling(temperature=1.0, engine=engine), time.perf_counter()
            model.generate([None], seconds=samples / model.sample_rate, sampling=sampling)
            return time.perf_counter() - begun

        seconds(1)  # loads libraries and kernels
        samples = SAMPLES
        # Reading the past takes as long for 1 sample as for many, and cancels.
        while (more := seconds(1 + samples) - seconds(1)) < LONG_ENOUGH and samples < MOST_SAMPLES:
            samples *= 10
        speeds[name] = samples / max(more, 1e-9), model.engine(engine)
    return speeds
