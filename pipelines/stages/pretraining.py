"""Networks that learn from sound without labels: SimCLR, wav2vec 2.0, and GPTs of augmented copies of clips."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial

import numpy as np
from safetensors.torch import save_file

from lm.batches import loss
from lm.bodies import convolutional
from lm.bodies import wav2vec2 as speech
from lm.bodies.clips import ClipViews, StoredClips, augment
from lm.bodies.sound_gpt import (
    TOKENIZER,
    CodedClips,
    CodePrediction,
    CodeStem,
    SoundBatches,
    SoundBody,
    SoundShape,
    WindowCodebook,
    create_sound_gpt,
    fit_window_codebook,
)
from lm.bodies.sound_gpt import validation_batches as coded_batches
from pipelines.stages.features import ClipReading, network_features
from pipelines.stages.options import BaselineSettings, SoundGPTSettings, Wav2vec2Settings
from pipelines.stages.stored_arrays import TRAINED_ON, stored_clips, stored_names, stored_std
from pipelines.store.session import Run
from pipelines.store.stage import stage
from pipelines.store.store import Entry
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from wordless.audio.recordings.manifest import Split
from wordless.base.errors import InputError
from wordless.base.saved_models import write_model
from wordless.base.text import counted


@stage(
    "simclr",
    version=5,
    title="SimCLR, {settings.simclr.fit.summary}",
    keys={"settings": lambda settings: [settings.encoder, settings.simclr]},
    together=True,
)
def simclr(run: Run, spectrograms: Entry, unlabelled: Sequence[Entry], settings: BaselineSettings) -> None:
    """Train SimCLR on the training clips and on each source of clips without labels."""
    own, train, held_out = settings.simclr, *(stored_clips(spectrograms, split) for split in TRAINED_ON)
    for source in unlabelled:
        train = train.followed_by(stored_clips(source, "train"))
    make_view = partial(augment, config=own.augmentation, std=stored_std(spectrograms))
    temperature = own.contrast.temperature
    views = ClipViews(train, own.batches, make_view, device=run.gang.device)
    pairs, objective = (
        convolutional.validation_pairs(held_out, own.batches, make_view),
        partial(convolutional.pair_loss, temperature=temperature),
    )
    model = convolutional.create_simclr(settings.encoder, own.contrast, seed=own.fit.seed)
    run.fit("baselines.simclr.fit", model, convolutional.view_pairs(views), pairs, objective, own.fit)
    if run.gang.rank == 0:
        write_model(run.folder, model, {"encoder": asdict(settings.encoder), "contrast": asdict(own.contrast)})


@stage(
    "wav2vec2",
    version=4,
    title="wav2vec 2.0, {settings.pretraining.fit.summary}",
    keys={"settings": lambda settings: [settings.model, settings.pretraining]},
    together=True,
)
def wav2vec2(run: Run, data: Sequence[Entry], settings: Wav2vec2Settings, *, sample_rate: int) -> None:
    """Pre-train wav2vec 2.0 on waveforms of the corpus and of other sources, of clips in which a span can be hidden."""
    own, sizes = settings.pretraining, settings.model
    waves, *extra = data
    train, held_out = (stored_clips(waves, split) for split in TRAINED_ON)
    for more in extra:
        train = train.followed_by(stored_clips(more, "train"))
    train, held_out = (_maskable(run, clips, settings) for clips in (train, held_out))
    batch_config = own.batches.at_rate(sample_rate)
    batches = speech.MaskedBatches(train, batch_config, sizes.convolutions, own.targets, steps=own.fit.steps)
    validation = speech.validation_batches(held_out, batch_config, sizes.convolutions, own.targets)
    weight = own.targets.diversity_weight
    model = speech.create_masked_prediction(sizes, diversity_weight=weight, seed=own.fit.seed)
    objective = partial(speech.masked_loss, diversity_weight=weight)
    run.fit("wav2vec2.pretraining.fit", model, batches, validation, objective, own.fit)
    if run.gang.rank == 0:
        speech.save_pretrained(model, run.folder, sample_rate=sample_rate)


@stage(
    "random_wav2vec2",
    version=2,
    title="wav2vec 2.0 with random weights",
    keys={"settings": lambda settings: [settings.model, settings.pretraining.fit.seed]},
)
def random_wav2vec2(run: Run, settings: Wav2vec2Settings, *, sample_rate: int) -> None:
    """Write the model before its pre-training: the same random weights."""
    model = speech.create_masked_prediction(settings.model, diversity_weight=0.0, seed=settings.pretraining.fit.seed)
    speech.save_pretrained(model, run.folder, sample_rate=sample_rate)


def _maskable(run: Run, clips: StoredClips, settings: Wav2vec2Settings) -> StoredClips:
    """Select the clips that pre-training can use, and say how many it cannot."""
    targets, convolutions = settings.pretraining.targets, settings.model.convolutions
    least = convolutions.samples(targets.masking.length + 1)  # a span, and a frame beside it
    used = clips.of_rows(np.flatnonzero(clips.lengths >= least))
    few = f"{len(clips) - len(used)} of {counted(len(clips), 'clip')}"
    problem = f"{few} have fewer than the {least} samples in which wav2vec2 masks {targets.masking.length} frames"
    if len(used) < 2:
        raise InputError(f"{problem}; add recordings, or leave wav2vec2 out of compare.methods")
    if len(used) < len(clips):
        run.terminal.say(f"wav2vec2  {problem}: they are left out of the pre-training")
    return used


SOUND, WINDOWS = "gpt_sound", "gpt_windows"  # under another name a GPT is not trained: its weights stay as they began
Coded = tuple[Entry, Entry]  # of `spectrograms`, and of the codes of the same clips


@stage("{name}", version=4, title="GPT of sound, {settings.fit.summary}", together=True)
def sound_gpt(
    run: Run,
    name: str,
    corpus: Coded,
    unlabelled: Sequence[Coded],
    settings: SoundGPTSettings,
    *,
    sample: Entry,
    patch_frames: int,
    frame_rate: float,
) -> None:
    """Train on the training clips and on clips without labels.

    The statistics of ``sample`` normalise log-mel of ``frame_rate`` frames per second; a code has ``patch_frames``.
    """
    _predict_codes(run, name, [corpus, *unlabelled], settings, sample, patch_frames, frame_rate)


@stage("{name}", version=1, title="GPT over codes that predicts windows, {settings.fit.summary}", together=True)
def window_gpt(
    run: Run,
    name: str,
    corpus: Coded,
    unlabelled: Sequence[Coded],
    settings: SoundGPTSettings,
    *,
    tokenizer: Entry,
    sample: Entry,
    patch_frames: int,
    frame_rate: float,
) -> None:
    """Train as `sound_gpt`, on the codes that the tokenizer makes of each copy, to predict windows alone."""
    settings = replace(settings, model=replace(settings.model, ahead=(0,)))
    coder = Tokenizer.from_pretrained(tokenizer.folder)
    _predict_codes(run, name, [corpus, *unlabelled], settings, sample, patch_frames, frame_rate, coder)


def _predict_codes(
    run: Run,
    name: str,
    corpora: Sequence[Coded],
    settings: SoundGPTSettings,
    sample: Entry,
    patch_frames: int,
    frame_rate: float,
    coder: Tokenizer | None = None,
) -> None:
    """Train a network that reads log-mel, or codes, which ``coder`` makes of it."""
    format = read_codes(corpora[0][1].folder)[0]
    train, held_out = (coded_clips(corpora[0], split, patch_frames) for split in TRAINED_ON)
    for more in (coded_clips(source, "train", patch_frames) for source in corpora[1:]):
        together = train.spectrograms.followed_by(more.spectrograms)
        train = replace(train, spectrograms=together, codes=train.codes.followed_by(more.codes))
    windows = window_codebooks(train, settings, size=format.codebook_size, frame_rate=frame_rate)
    train, held_out = (each.with_windows(windows, alone=coder is not None) for each in (train, held_out))
    sizes = {"streams": train.codes.width, "codebook_size": format.codebook_size, "patch_frames": patch_frames}
    shape = SoundShape(frames=settings.longest, mels=train.spectrograms.width, **sizes)
    mean, std = convolutional.statistics(sample.folder)
    codes = None if coder is None else CodeStem(coder, mean, std)
    model = create_sound_gpt(settings.model, shape, seed=settings.fit.seed, codes=codes)
    ahead, size = settings.model.ahead, settings.batches.batch_size
    device = run.gang.device
    batches = SoundBatches(train, settings.batches, settings.augmentation, ahead=ahead, std=std, device=device)
    fixed = coded_batches(held_out, ahead=ahead, batch_size=size, at_most=settings.batches.max_frames)
    if not sum(batch.codes for batch in fixed):
        raise InputError("no validation clip has a code; add longer recordings")
    if name in (SOUND, WINDOWS):
        run.fit("gpt_sound.fit", CodePrediction(model), batches, fixed, loss, settings.fit)
    if run.gang.rank == 0:
        save_file({"mean": mean, "std": std}, run.folder / convolutional.SAMPLE)
        write_model(run.folder, model, {SOUND: asdict(model.config), "shape": asdict(model.shape)})
        if coder is not None:
            coder.save_pretrained(run.folder / TOKENIZER)


def coded_clips(source: Coded, split: Split, patch_frames: int) -> CodedClips:
    """Read the clips of a split that have a code."""
    spectrograms, names = stored_clips(source[0], split), stored_names(source[0], split)
    codes = {each.name: each.codes.spectral.values for each in read_codes(source[1].folder)[1] if len(each.codes)}
    rows = [row for row, name in enumerate(names) if name in codes]
    return CodedClips(
        spectrograms=spectrograms.of_rows(rows),
        codes=StoredClips.together([codes[names[row]].astype(np.int32) for row in rows]),
        patch_frames=patch_frames,
    )


def window_codebooks(
    clips: CodedClips, settings: SoundGPTSettings, *, size: int, frame_rate: float
) -> list[WindowCodebook]:
    """Fit a codebook to each length of windows, of as many codes as patches have: one layer predicts all."""
    fit = partial(fit_window_codebook, clips.spectrograms, patch_frames=clips.patch_frames, size=size)
    frames = [max(round(seconds * frame_rate), 1) for seconds in settings.windows]
    return [fit(frames=own, seed=settings.fit.seed) for own in frames]


def sound_gpt_features(reading: ClipReading, method: str, trained: Entry) -> Entry:
    """Pool the states of the layers of a `sound_gpt` or `window_gpt`."""
    reader = reading.reader(SoundBody(folder=trained.place, audio=reading.audio), statistics=trained.place)
    return network_features(reading.session, reading, method, reader, [reading.audio, trained])
