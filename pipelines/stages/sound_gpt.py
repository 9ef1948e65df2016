"""The causal transformer that reads log-mel and predicts codes: its training, and features of its layers for probes."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from lm.bodies.clips import StoredClips
from lm.bodies.convolutional import SAMPLE, SpectrogramReader, statistics
from lm.bodies.sound_gpt import (
    CodedClips,
    SoundBatches,
    SoundShape,
    create_sound_gpt,
    fit_window_codebook,
    loss,
    saved_layers,
    validation_batches,
)
from lm.layers import LayerReader
from pipelines.stages.features import ClipReading, network_features
from pipelines.stages.options import SoundGPTSettings
from pipelines.stages.stored_arrays import TRAINED_ON, stored_spectrograms
from pipelines.store.session import Session
from pipelines.store.store import TRAINED, Entry, Recipe
from tokenizer.parquet import read_codes
from wordless.audio.recordings.manifest import Split
from wordless.base.errors import InputError
from wordless.base.saved_models import CONFIG, WEIGHTS, write_model

NAME = "gpt_sound"
Coded = tuple[Entry, Entry]  # of `spectrograms`, and of the codes of the same clips


def sound_gpt(
    session: Session,
    corpus: Coded,
    extra: Sequence[Coded],
    settings: SoundGPTSettings,
    *,
    sample: Path,
    patch_frames: int,
    frame_rate: float,
    untrained: bool = False,
) -> Entry:
    """Train on the training clips and on each ``extra`` source of clips; the entry holds the weights.

    It also holds mean and standard deviation of the log-mel, which follow from the folder ``sample``.
    ``patch_frames`` are those of the tokenizer, and ``frame_rate`` are the frames of log-mel in a second. ``untrained``
    writes the initial weights.
    """
    inputs = {"spectrograms": corpus[0], "codes": corpus[1], "unlabelled": [entry for each in extra for entry in each]}
    config = {NAME: settings, "patch_frames": patch_frames}
    recipe = Recipe(f"random_{NAME}" if untrained else NAME, 3, config=config, inputs=inputs)
    files = (*((WEIGHTS, CONFIG) if untrained else TRAINED), SAMPLE)  # a model that took no step has no curve

    def make(folder: Path) -> None:
        format = read_codes(corpus[1].folder)[0]
        train, held_out = (_coded_clips(corpus, split, patch_frames) for split in TRAINED_ON)
        for more in (_coded_clips(source, "train", patch_frames) for source in extra):
            together = train.spectrograms.followed_by(more.spectrograms)
            train = replace(train, spectrograms=together, codes=train.codes.followed_by(more.codes))
        # As many codes as those of patches, because one layer predicts all of them.
        fit_windows = partial(fit_window_codebook, train.spectrograms, patch_frames=patch_frames)
        windows = [
            fit_windows(frames=max(round(seconds * frame_rate), 1), size=format.codebook_size, seed=settings.fit.seed)
            for seconds in settings.windows
        ]
        train, held_out = train.with_windows(windows), held_out.with_windows(windows)
        shape = SoundShape(
            frames=settings.longest,
            mels=train.spectrograms.width,
            patch_frames=patch_frames,
            streams=format.spectral_streams + len(windows),
            codebook_size=format.codebook_size,
        )
        model = create_sound_gpt(settings.model, shape, seed=settings.fit.seed)
        ahead, size = settings.model.ahead, settings.batches.batch_size
        mean, std = statistics(sample)
        device = session.gang.device
        batches = SoundBatches(train, settings.batches, settings.augmentation, ahead=ahead, std=std, device=device)
        fixed = validation_batches(held_out, ahead=ahead, batch_size=size, at_most=settings.batches.max_frames)
        if not sum(batch.codes for batch in fixed):
            rule = "no validation clip has a code so far ahead: choose smaller numbers, or longer recordings"
            raise InputError(option=f"{NAME}.model.ahead", value=ahead, rule=rule)
        if not untrained:
            session.train(NAME, f"{NAME}.fit", model, batches, fixed, loss, settings.fit, folder)
        if session.gang.rank == 0:
            save_file({"mean": mean, "std": std}, folder / SAMPLE)
            write_model(folder, model, {NAME: asdict(model.config), "shape": asdict(model.shape)})

    title = f"GPT of sound, {'untrained' if untrained else settings.fit.summary}"
    return session.obtain(recipe, title, make, files=files, together=True)


def _coded_clips(source: Coded, split: Split, patch_frames: int) -> CodedClips:
    """Read the clips of a split that have a code."""
    spectrograms, names = stored_spectrograms(source[0], split)
    codes = {each.name: each.codes.spectral.values for each in read_codes(source[1].folder)[1] if len(each.codes)}
    rows = [row for row, name in enumerate(names) if name in codes]
    return CodedClips(
        spectrograms=spectrograms.of_rows(rows),
        codes=StoredClips.together([codes[names[row]].astype(np.int32) for row in rows]),
        patch_frames=patch_frames,
    )


def sound_gpt_features(reading: ClipReading, method: str, trained: Entry) -> Entry:
    """Compute the pooled states of every layer, and of all layers side by side, from the recordings.

    ``method`` is gpt_sound, or the method of a model that took no step.
    """
    reader = LayerReader(
        frames=SpectrogramReader(root=reading.manifest.root, audio=reading.audio, sample=trained.place),
        device=str(reading.session.gang.device),
        vectors=reading.vectors,
        weights=trained.place,
    )
    return network_features(
        reading,
        method,
        4,
        reader,
        layers=partial(saved_layers, trained.place),
        config={"compare": reading.vectors.network_key, "audio": reading.audio},
        inputs={"encoder": trained, **reading.sound},
    )
