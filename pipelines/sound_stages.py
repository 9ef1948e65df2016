"""The stages that make sound of codes: a vocoder, sounds to listen to, and how good they are."""

from audio.manifest import Manifest
from pipelines.baseline_stage import supervised
from pipelines.comparison_stages import Codec, labels_of
from pipelines.decoded_stage import decoded
from pipelines.judging_stage import judged
from pipelines.listening_stage import listening
from pipelines.recognition_stage import label_task, recognised
from pipelines.session import Session
from pipelines.settings import RunSettings
from pipelines.spectrogram_stage import spectrograms
from pipelines.store import Entry
from pipelines.vocoder_stage import vocoder, waveforms


def sounds(session: Session, manifest: Manifest, settings: RunSettings, codec: Codec) -> list[Entry]:
    """Vocoder, sounds to listen to, and the figures of more clips than anyone listens to."""
    sound = waveforms(session, manifest, settings.audio.sample_rate)
    wavenet = vocoder(session, manifest, codec.tokenizer, codec.codes, sound, settings.vocoder)
    heard = listening(session, manifest, codec.tokenizer, wavenet, codec.lm, settings.listening)
    made = [sound, wavenet, heard]
    if settings.listening.judged_clips:
        made += _figures(session, manifest, settings, codec, wavenet, heard)
    return made


def _figures(
    session: Session, manifest: Manifest, settings: RunSettings, codec: Codec, wavenet: Entry, heard: Entry
) -> list[Entry]:
    """Decoded clips, what is measured of them, and, where clips have labels, what a classifier recognises."""
    again = decoded(session, manifest, codec.tokenizer, wavenet, settings.listening)
    made = [again, judged(session, codec.tokenizer, again)]
    task = label_task(session, manifest, settings.probe.label_separator)
    if task is None:
        return made
    shown = spectrograms(session, manifest, settings.audio, codec.sample)
    told = labels_of(manifest, task)
    classifier = supervised(session, shown, told, task.classes, settings.baselines)
    labels = recognised(
        session, classifier, codec.sample, again, heard, task.classes, settings.audio, settings.baselines
    )
    return [*made, shown, classifier, labels]
