"""wav2vec 2.0 and its kin: pre-training on the corpus's own clips, fine-tuning, and features of the layers.

A model is a folder in the layout of Hugging Face: the user's, or an entry of the store.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lm.bodies.clips import StoredClips
from lm.bodies.wav2vec2 import (
    MaskedLoss,
    SpeechReader,
    as_read,
    create_masked_prediction,
    create_speech_classifier,
    long_enough,
    masked_batches,
    measure_targets,
    save_pretrained,
    save_speech_classifier,
    validation_batches,
)
from pipelines.stages.features import Reading, network_features, own_scores
from pipelines.stages.labels import LabelledTraining, Labels, train_classifier
from pipelines.stages.options import OPTION, FinetuningSettings, Wav2vec2Settings
from pipelines.stages.stored_arrays import TRAINED_ON, Sound
from pipelines.store.session import Session
from pipelines.store.store import TRAINED, Entry, Recipe, some_options, write_json
from wordless.audio.recordings.manifest import Manifest
from wordless.base.errors import InputError
from wordless.base.saved_models import CONFIG, PREPROCESSOR, WEIGHTS, hugging_face_hash
from wordless.base.text import counted

TARGETS = "targets.json"  # use of the codes of targets, on validation clips
COLLAPSED = 0.05  # perplexity of the codes of targets, as a share of their number: below it few are used
VALIDATION_SECONDS = 30.0  # of a clip, from its beginning, at most


@dataclass(frozen=True, kw_only=True)
class Body:
    """A speech model, pre-trained here or elsewhere."""

    folder: Path
    key: str  # of what it holds

    @classmethod
    def of_weights(cls, folder: Path) -> "Body":
        """Return the model of the user's folder."""
        return cls(folder=folder, key=hugging_face_hash(folder))

    @classmethod
    def of_entry(cls, entry: Entry) -> "Body":
        """Return a model of the store."""
        return cls(folder=entry.folder, key=entry.key)


@dataclass(frozen=True, kw_only=True)
class TrainedBody:
    """A speech model with the entries of its pre-training; none if it was pre-trained elsewhere."""

    model: Body
    trained: tuple[Entry, ...] = ()
    unlabelled: tuple[tuple[Entry, ...], ...] = ()


def speech_body(reading: Reading, unlabelled: Sequence[Manifest], settings: Wav2vec2Settings) -> TrainedBody:
    """Return the model of the user's folder, or one that is pre-trained, with the entries that it is made from."""
    session, rate = reading.session, reading.audio.sample_rate
    if settings.weights is not None:
        found = settings.described
        session.terminal.say(f"wav2vec2  {OPTION}: {found.name}, {found.layers} layers of {found.width} dimensions")
        return TrainedBody(model=Body.of_weights(found.folder))
    sound, *extra = (Sound.of(session, each, rate) for each in (reading.manifest, *unlabelled))
    trained = wav2vec2(session, sound, extra, settings)
    data = tuple((each.waveforms,) for each in extra)
    return TrainedBody(model=Body.of_entry(trained), trained=(sound.waveforms, trained), unlabelled=data)


def wav2vec2(session: Session, sound: Sound, extra: Sequence[Sound], settings: Wav2vec2Settings) -> Entry:
    """Pre-train wav2vec 2.0 on the training clips and on each ``extra`` source of clips.

    The entry is a folder of `wordless.audio.speech_models`. Clips in which no span of frames can be hidden are left
    out, and counted in the log.
    """
    own, sizes = settings.pretraining, settings.model
    config = {"wav2vec2": some_options(settings, "model", "pretraining"), **sound.audio}
    inputs = {"waveforms": sound.waveforms, "unlabelled": [each.waveforms for each in extra]}
    recipe = Recipe("wav2vec2", 3, config=config, inputs=inputs)

    def make(folder: Path) -> None:
        train, held_out = (sound.of_split(split)[0] for split in TRAINED_ON)
        for source in extra:
            train = train.followed_by(source.of_split("train")[0])
        train, held_out = (_maskable(session, clips, settings) for clips in (train, held_out))
        batch_config = own.batches.at_rate(sound.sample_rate)
        batches = masked_batches(train, batch_config, sizes.convolutions, own.targets, steps=own.fit.steps)
        validation = validation_batches(held_out, batch_config, sizes.convolutions, own.targets)
        weight = own.targets.diversity_weight
        model = create_masked_prediction(sizes, diversity_weight=weight, seed=own.fit.seed)
        objective = MaskedLoss(diversity_weight=weight)
        option = "wav2vec2.pretraining.fit"
        session.train("wav2vec2", option, model, batches, validation, objective, own.fit, folder)
        if session.gang.rank == 0:
            used = measure_targets(model, validation)
            write_json(folder / TARGETS, used)
            if used["perplexity"] < COLLAPSED * used["codes"]:
                session.terminal.say(_collapse(used))
            save_pretrained(model, folder, sample_rate=sound.sample_rate)

    files = [*TRAINED, PREPROCESSOR, TARGETS]
    return session.obtain(recipe, f"wav2vec 2.0, {own.fit.summary}", make, files=files, together=True)


def random_wav2vec2(session: Session, settings: Wav2vec2Settings, *, sample_rate: int) -> Entry:
    """Write the model before its pre-training: the same random weights."""
    seed, sizes = settings.pretraining.fit.seed, settings.model
    own = {"model": sizes, "pretraining": {"fit": {"seed": seed}}}
    config = {"wav2vec2": own, "audio": {"sample_rate": sample_rate}}
    recipe = Recipe("random_wav2vec2", 1, config=config, inputs={})

    def make(folder: Path) -> None:
        model = create_masked_prediction(sizes, diversity_weight=0.0, seed=seed)
        save_pretrained(model, folder, sample_rate=sample_rate)

    return session.obtain(recipe, "wav2vec 2.0 with random weights", make, files=[CONFIG, WEIGHTS, PREPROCESSOR])


def _maskable(session: Session, clips: StoredClips, settings: Wav2vec2Settings) -> StoredClips:
    """Select the clips that pre-training can use, and say how many it cannot."""
    targets, convolutions = settings.pretraining.targets, settings.model.convolutions
    used = long_enough(clips, convolutions, targets)
    least = convolutions.samples(targets.least_frames)
    if left_out := len(clips) - len(used):
        session.terminal.say(
            f"wav2vec2  {left_out} of {counted(len(clips), 'clip')} left out of the pre-training: they have fewer than "
            f"{least} samples, of which wav2vec2.pretraining.targets.masking.length frames are to be hidden"
        )
    if len(used) < 2:
        raise InputError(
            f"wav2vec2.pretraining.targets.masking.length is {targets.masking.length}: {len(used)} of "
            f"{counted(len(clips), 'clip')} of training or validation have the {least} samples that it takes; choose "
            "shorter spans, add recordings, or leave wav2vec2 out of compare.methods"
        )
    return used


def _collapse(used: dict[str, float]) -> str:
    return (
        f"WARNING   wav2vec 2.0 uses few of its targets (perplexity {used['perplexity']:.1f} of {used['codes']:.0f} "
        "codes), and learned little: raise wav2vec2.pretraining.targets.diversity_weight, or lower "
        "wav2vec2.pretraining.fit.lr"
    )


def wav2vec2_finetuned(
    session: Session, sound: Sound, labels: Labels, body: Body, settings: FinetuningSettings
) -> Entry:
    """Fine-tune a speech model on the training clips that have a label; the entry is a folder of transformers."""
    fit = settings.fit
    return train_classifier(
        session,
        "wav2vec 2.0 fine-tuned",
        Recipe(
            "wav2vec2_finetuned",
            5,
            config={"wav2vec2": {"finetuning": settings}, **sound.audio},
            inputs={"waveforms": sound.waveforms, "body": body.key},
        ),
        labels,
        [sound.of_split(split) for split in TRAINED_ON],
        LabelledTraining(
            option="wav2vec2.finetuning.fit",
            batches=settings.batches.at_rate(sound.sample_rate),
            make_view=as_read,
            label_smoothing=settings.label_smoothing,
            fit=fit,
            at_most=round(VALIDATION_SECONDS * sound.sample_rate),
        ),
        create=lambda _: create_speech_classifier(
            body.folder,
            labels.classes,
            multi_label=labels.multi_label,
            masking=settings.masking,
            freeze_convolutions=settings.freeze_convolutions,
            option=OPTION,
            seed=fit.seed,
        ),
        save=lambda model, folder: save_speech_classifier(model, folder, inputs=body.folder),
        files=[*TRAINED, "preprocessor*.json"],
    )


def speech_features(reading: Reading, body: Body, *, method: str, classifier: bool = False) -> Entry:
    """Compute pooled states of the layers of a speech model for every clip; with a head also its class ``scores``.

    A clip is in memory as a whole. Models that were trained on no clip of the corpus give all folds the same entry.
    """
    vectors, rate = reading.vectors, reading.audio.sample_rate
    reader = SpeechReader(
        root=reading.manifest.root,
        model=body.folder,
        classifier=classifier,
        sample_rate=rate,
        device=str(reading.session.gang.device),
        option=OPTION,
        vectors=vectors,
    )
    return network_features(
        reading,
        method,
        1,
        {"compare": vectors.network_key, "audio": {"sample_rate": rate}},
        {**reading.sound, "body": body.key},
        lambda: reading.session.each(method, reader, reading.manifest.clips),
        head=own_scores if classifier else None,
    )
