"""The stages for sound: vocoder, sounds and their figures; language models of samples, their sounds and speed."""

import time
from collections.abc import Mapping
from dataclasses import replace

import torch

from lm.probing.task import ProbeTask
from lm.samples.model import SampleLanguageModel
from pipelines.chain.study import Study
from pipelines.methods.table import METHODS
from pipelines.pages.phrasing import sentences
from pipelines.results.language_figures import Speeds
from pipelines.results.sound_figures import weak_judge
from pipelines.settings.run import RunSettings
from pipelines.stages.features import ClipReading, CodedViews, code_features, log_mel_features
from pipelines.stages.judging import (
    PROBED,
    Judge,
    create_network_judge,
    create_probe_judge,
    judge_speech,
    label_task,
    recognise_labels,
)
from pipelines.stages.listening import LISTENING, Playback, choose_clips, decode_clips, listening, measure_clips
from pipelines.stages.next_sample import NEXT_SAMPLE, score_sample_models, train_sample_model
from pipelines.stages.probe import probed
from pipelines.stages.rates import continuations, long_clips, window_labels
from pipelines.stages.stored_arrays import spectrograms, test_waveforms, waveforms
from pipelines.stages.vocoder import CodedIn, vocoder
from pipelines.store.store import Entry
from tokenizer.encoder import Encoder
from vocoder.options import Sampling
from vocoder.speech_judges import SPEECH_JUDGES
from wordless.audio.recordings.manifest import Clips, choose_randomly

LONG_ENOUGH = 0.1  # seconds that a measurement of speed takes at least
SAMPLES, MOST_SAMPLES = 500, 50_000  # of the shortest and the longest measurement


def make_sounds(study: Study) -> None:
    """Train the vocoder, and make sounds to listen to, and the figures of a larger number of clips."""
    session, manifest, settings, entries = study.session, study.manifest, study.settings, study.entries
    config, tokens, coded = settings.listening, entries["tokenizer"], entries["codes"]
    sound = study.add(waveforms(session, manifest, settings.audio.sample_rate))
    wavenet = vocoder(session, manifest, CodedIn(tokens, coded), sound, settings.vocoder)
    playback = Playback(
        clips=choose_clips(manifest, config.clips, seed=config.seed, prompt_seconds=config.prompt_seconds),
        tokenizer=tokens,
        vocoder=study.add(wavenet),
        audio=settings.audio,
        config=config,
        device=session.gang.device,
    )
    if config.judged_clips:
        judged = choose_clips(manifest, config.judged_clips, seed=config.seed)
        decoded = study.add(decode_clips(session, replace(playback, clips=judged)))
        study.add(measure_clips(session, playback, decoded))
        for name in SPEECH_JUDGES:
            if config.asks(name):
                study.add(judge_speech(session, decoded, name))
    if "rate_lm" in entries:
        study.add(listening(session, playback, entries["rate_lm"], entries["rate_tokenizer"], coded))
    elif "lm" in entries:
        study.add(listening(session, playback, entries["lm"], None, coded))
    else:
        study.add(listening(session, playback))
    if config.judged_clips and config.asks("recognised") and (task := label_task(session, manifest, settings.probe)):
        judge = _judge(study, task)
        labels = study.add(recognise_labels(session, judge, decoded, entries["listening"], task.classes))

        def warning(made: Entry) -> str:
            return "".join(f"WARNING   {line}" for line in sentences("weak_judge", weak_judge(made, manifest)))

        session.when_made(labels, warning)


def comb_notice(played: Entry, wavenet: Entry, settings: RunSettings) -> str:
    """Say whether a pitch comb follows the vocoder's network, and why if not."""
    own, strength = settings.listening, settings.listening.postfilter
    if played.read_json(LISTENING)["pitch_comb"]:
        return "WaveNet's sound passes a pitch comb, which makes its voice more periodic"
    if not (strength and settings.audio.keeps_levels):
        why = f"its post-filter is off (listening.postfilter={strength:g})"
    elif not own.pitch_comb:
        why = "listening.pitch_comb is false"
    else:
        why = "its codes or its training recordings have too little of a voice"
    return f"WaveNet's sound has no pitch comb, because {why}"


def make_continuations(study: Study) -> None:
    """Continue test clips at all rates and by a flat GPT, and name the labels of the sounds if clips have labels."""
    session, manifest, settings, entries = study.session, study.manifest, study.settings, study.entries
    # Only the flat GPT could read clips that are shorter than a coarse code.
    long = long_clips(manifest, shortest=settings.coarsest_code_seconds)
    clips = Clips.from_rows(manifest.root, choose_randomly(long, settings.rates.clips, seed=settings.rates.seed))
    tokenizer, coded, rates, flat = (entries[name] for name in ("rate_tokenizer", "codes", "rate_lm", "lm"))
    said = study.add(continuations(session, clips, tokenizer, coded, rates, flat, settings.rates))
    if task := label_task(session, manifest, settings.probe):
        study.add(window_labels(session, _judge(study, task), said, task.classes, settings.rates))


def _judge(study: Study, task: ProbeTask) -> Judge:
    """Return the classifier of labels; the comparison may have made its entries, or others of the same names."""
    settings, session, sample, tokens = study.settings, study.session, study.statistics, study.entries["tokenizer"]
    reading, name = ClipReading(session=session, manifest=study.manifest, audio=study.audio), settings.listening.judge

    def add(entry: Entry, name: str) -> None:
        own = study.entries.get(name, entry).key == entry.key
        study.add(entry, name if own else f"judging_{name}")

    if name == "supervised":
        shown = spectrograms(session, study.manifest, study.audio, sample)
        network = settings.baselines.network(reading, METHODS[name], sample)
        heard = study.heard(study.manifest, shown, settings.baselines.supervised.views)
        classifier = network.train(reading, heard, task.classes)
        add(shown, shown.stage)
        add(classifier, classifier.stage)
        return create_network_judge(network, classifier, sample)
    method, _ = PROBED[name]
    if name == "codes":
        features = code_features(session, CodedViews(codes=study.entries["codes"]))
    else:
        features = log_mel_features(reading, tokens)
    # Features and probe of clips as they are alone; those of a plain comparison are the same, and computed once.
    probe = probed(session, study.manifest, settings.probe, method, {method: features})
    add(features, f"{method}_features")
    add(probe, f"probed_{method}")
    encoder = Encoder(folder=tokens.place, root=study.manifest.root, device=str(session.gang.device))
    return create_probe_judge(name, encoder, probe)


def train_on_samples(study: Study) -> None:
    """Train every wanted model on the same crops, and score all of them on the same test crops."""
    session, rate, options = study.session, study.audio.sample_rate, study.settings.next_sample
    training = study.add(waveforms(session, study.manifest, rate))
    test = study.add(test_waveforms(session, study.manifest, rate))
    models = {}
    for name in options.models:
        config = options.config(name)
        models[str(name)] = study.add(train_sample_model(session, name, config, options.crops, options.fit, training))
    crops = replace(options.crops, seed=options.test_seed)
    study.add(score_sample_models(session, models, training, test, crops, options.test_crops))


def measure_speed(settings: RunSettings, entries: Mapping[str, Entry], device: torch.device) -> Speeds:
    """Measure the samples per second that each model generates for one sound, on this machine as it is now."""
    engine, speeds = settings.next_sample.sounds.engine, dict[str, tuple[float, str]]()
    for name in settings.next_sample.models:
        folder = entries[f"{NEXT_SAMPLE}_{name}"].folder
        model = SampleLanguageModel.from_pretrained(folder, device=str(device))

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
