"""Codes of a layer of a speech model: a sample of its states and their log-mel, and the decoder from one to the other.

The stages have the names of those that an autoencoder's bottleneck takes, whose place they take in a run:
`stages.tokenizer.codebook` and all later stages are the same for both.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file

from pipelines.stages.options import TokenizerSettings
from pipelines.stages.stored_arrays import TRAINED_ON
from pipelines.stages.tokenizer import AUTOENCODER, SAMPLE, STATES, columns_config, patches_of
from pipelines.store.session import Session
from pipelines.store.store import CURVE, Entry, Recipe, some_options, write_json
from tokenizer.autoencoder import PatchBatch, reconstruction_loss
from tokenizer.fitting import FrameSample, PatchBatches, draw_states, read_speech_states
from tokenizer.speech_layer import ChosenLayer, SpeechLayer
from wordless.audio.options import SpectrogramConfig
from wordless.audio.recordings.manifest import Manifest, Split, audio_hash
from wordless.base.errors import InputError
from wordless.base.saved_models import write_tensors
from wordless.base.text import counted
from wordless.base.threads import one_thread


def state_sample(
    session: Session, manifest: Manifest, audio: SpectrogramConfig, settings: TokenizerSettings, layer: ChosenLayer
) -> Entry:
    """Compute statistics of all training frames, and sample states with their columns of log-mel."""
    found = layer.config
    inputs = {"recordings": audio_hash(manifest, TRAINED_ON), "speech model": found.files}
    recipe = Recipe("sample", 1, config={**columns_config(audio, settings), "layer": layer.layer}, inputs=inputs)

    @one_thread()
    def make(folder: Path) -> None:
        opened = layer.open(str(session.gang.device))
        train, held_out = (_draw(session, manifest, split, audio, settings, opened) for split in TRAINED_ON)
        if not train.seen:
            raise InputError(
                f"no training recording is as long as one state of {found.model} ({opened.stride} samples); choose "
                "longer recordings"
            )
        tensors = {"mean": train.mean, "std": train.std}
        for split, drawn in zip(TRAINED_ON, (train, held_out), strict=True):
            assert drawn.states is not None, "draw_states samples states"
            tensors |= {split: drawn.columns, STATES[split]: drawn.states}
        write_tensors(folder / SAMPLE, tensors)
        write_json(folder / "sample.json", {"columns": len(train.columns), "drawn_from": train.seen})

    title = f"states of layer {found.layer} of {found.model}, of {counted(len(manifest.of('train')), 'training clip')}"
    return session.obtain(recipe, title, make, files=[SAMPLE, "sample.json"])


def _draw(
    session: Session,
    manifest: Manifest,
    split: Split,
    audio: SpectrogramConfig,
    settings: TokenizerSettings,
    layer: SpeechLayer,
) -> FrameSample:
    clips = manifest.of(split)
    with session.terminal.working(f"reading {split} clips", len(clips), "clips") as progress:
        recordings = read_speech_states(manifest.root, clips, audio, layer, progress=progress.advance_to)
        return draw_states(
            recordings,
            frames=settings.patch.frames,
            n_mels=audio.n_mels,
            width=layer.width,
            capacity=settings.sample_size(split),
            seed=settings.seed,
        )


def state_decoder(
    session: Session, sample: Entry, audio: SpectrogramConfig, settings: TokenizerSettings, layer: ChosenLayer
) -> Entry:
    """Train the decoder of states to log-mel on the sample, in one process and thread, as the autoencoder is."""
    described, fit = settings.config(audio, layer), settings.fit
    height = described.height
    decoder = {"autoencoder": some_options(settings.autoencoder, "hidden")}
    config = {"tokenizer": {**decoder, **some_options(settings, "patch", "batch_size", "fit")}}
    recipe = Recipe("autoencoder", 1, config=config, inputs={"sample": sample})

    def make(folder: Path) -> None:
        drawn = load_file(sample.folder / SAMPLE)
        train, held_out = (patches_of(sample, split, height) for split in TRAINED_ON)
        torch.manual_seed(fit.seed)
        model = described.create_autoencoder()
        batches = PatchBatches(
            patches=train,
            batch_size=settings.batch_size,
            seed=fit.seed,
            frames=settings.patch.frames,
            inputs=drawn[STATES["train"]],
        )
        parts = (torch.split(each, 4096) for each in (held_out, drawn[STATES["validation"]]))
        validation = [PatchBatch(patches=patches, inputs=states) for patches, states in zip(*parts, strict=True)]
        with one_thread():
            session.alone().train(
                "autoencoder", "tokenizer.fit", model, batches, validation, reconstruction_loss, fit, folder
            )
        write_tensors(folder / AUTOENCODER, model.state_dict())

    return session.obtain(recipe, f"decoder of states, {fit.summary}", make, files=[AUTOENCODER, CURVE])
