"""The stages for sound: vocoder, sounds and their figures, and the judge of their labels."""

from collections.abc import Callable
from dataclasses import replace

from lm.probing.task import ProbeTask
from pipelines.bodies.table_of_bodies import JUDGE
from pipelines.chain.study import Study
from pipelines.extras.table import imported
from pipelines.methods.method import Method
from pipelines.methods.methods_table import METHODS
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.features import CodedViews, code_features, log_mel_features
from pipelines.stages.listening import (
    LISTENING,
    PROBED,
    Judge,
    Playback,
    choose_clips,
    create_probe_judge,
    decode_clips,
    label_task,
    listening,
    measure_clips,
    recognise_labels,
)
from pipelines.stages.probing import probed
from pipelines.stages.stored_arrays import waveforms
from pipelines.stages.voices import CodedIn, vocoder
from pipelines.store.store import Entry
from tokenizer.encoder import Encoder


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
    if "rate_lm" in entries:
        study.add(listening(session, playback, entries["rate_lm"], entries["rate_tokenizer"], coded))
    elif "lm" in entries:
        study.add(listening(session, playback, entries["lm"], None, coded))
    else:
        study.add(listening(session, playback))
    if config.judged_clips and config.asks("recognised") and (task := label_task(session, manifest, settings.probe)):
        judge = create_judge(study, task)
        study.add(recognise_labels(session, judge, decoded, entries["listening"], task.classes))


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


def create_judge(study: Study, task: ProbeTask) -> Judge:
    """Return the classifier of labels, of clips as they are; a comparison may have made its entries."""
    name, session, tokens = study.settings.listening.judge, study.session, study.entries["tokenizer"]
    if name not in PROBED:
        of_network: Callable[[Study, Method, ProbeTask], Judge] = imported(JUDGE)
        return of_network(study, METHODS[name], task)
    method, _ = PROBED[name]
    if name == "codes":
        features = code_features(session, CodedViews(codes=study.entries["codes"]))
    else:
        features = log_mel_features(study.plain, tokens)
    probe = probed(session, study.manifest, study.settings.probe, method, {method: features})
    study.add_for_judge(features, f"{method}_features")
    study.add_for_judge(probe, f"probed_{method}")
    encoder = Encoder(folder=tokens.place, root=study.manifest.root, device=str(session.gang.device))
    return create_probe_judge(name, encoder, probe)
