"""Training of the tokenizer: sample, autoencoder and codebook are separate entries, so sweeps share the first two.

Nothing is fitted on validation or test clips; validation clips only choose the kept weights.
"""

from contextlib import nullcontext
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from pipelines.stages.codes import beginning
from pipelines.stages.options import TokenizerSettings
from pipelines.stages.start import TOKENS, start_folder, tokenizer_hash
from pipelines.stages.stored_arrays import TRAINED_ON
from pipelines.store.session import Session
from pipelines.store.store import CURVE, MODEL, Entry, Recipe, some_options, write_json
from tokenizer.fitting import (
    TOGETHER,
    FrameSample,
    LogMelReader,
    PatchBatches,
    draw_sample,
    draw_states,
    fit_codebooks,
    measure_gain,
    normalised_patches,
    read_log_mel,
    read_speech_states,
    write_bottlenecks,
)
from tokenizer.health import measure_health
from tokenizer.parquet import read_codes
from tokenizer.sources import FOLDER, Autoencoder, ChosenLayer, PatchBatch, SpeechLayer, reconstruction_loss
from tokenizer.tokenizer import Tokenizer
from wordless.audio.options import SpectrogramConfig
from wordless.audio.pitch import LOWEST, resolves_pitch, track_pitch
from wordless.audio.recordings.manifest import Clip, Clips, Split, audio_hash, choose_evenly
from wordless.base.errors import InputError, within
from wordless.base.machine import local_gpus, one_thread
from wordless.base.pools import Pool, in_order
from wordless.base.saved_models import TOKENIZER, write_tensors
from wordless.base.text import counted

SAMPLE, AUTOENCODER = "sample.safetensors", "autoencoder.safetensors"
TOGETHER_JUDGED = 4096  # validation patches of a batch
STATES = {"train": "train_states", "validation": "validation_states"}  # tensors of the sample, with a speech layer


def frame_sample(
    session: Session,
    manifest: Clips,
    audio: SpectrogramConfig,
    settings: TokenizerSettings,
    layer: ChosenLayer | None = None,
) -> Entry:
    """Compute statistics of training frames, and sample training and validation columns: see `sampled_clips`.

    With the ``layer`` of a speech model, columns of its states are sampled, and its states with them.
    """
    every, manifest = len(manifest.of("train")), sampled_clips(manifest, settings)
    recipe, model = _sample_recipe(manifest, audio, settings, layer), None if layer is None else layer.config

    @one_thread()
    def make(folder: Path) -> None:
        opened = None if layer is None else layer.open(str(session.gang.device))
        with session.pool(gpu=False) if opened is None else nullcontext() as pool:
            train = _draw(session, manifest, "train", audio, settings, pool, layer=opened)
            if not train.seen:
                patch = f"one patch ({settings.patch.frames} frames of {audio.hop_length} samples)"
                remedy = "choose smaller patches or longer recordings"
                if opened is not None and model is not None:
                    patch, remedy = f"one state of {model.model} ({opened.stride} samples)", "choose longer recordings"
                raise InputError(f"no training recording is as long as {patch}; {remedy}")
            held_out = _draw(session, manifest, "validation", audio, settings, pool, layer=opened)
        tensors = {"mean": train.mean, "std": train.std}
        for split, drawn in zip(TRAINED_ON, (train, held_out), strict=True):
            tensors |= {split: drawn.columns} | ({} if drawn.states is None else {STATES[split]: drawn.states})
        write_tensors(folder / SAMPLE, tensors)
        write_json(folder / "sample.json", {"columns": len(train.columns), "drawn_from": train.seen})

    what = "statistics and a sample" if model is None else f"states of layer {model.layer} of {model.model},"
    read = len(manifest.of("train"))
    some = "" if read == every else f"{read:,} ({settings.sample_hours:g} hours of sound) of "
    title = f"{what} of {some}{counted(every, 'training clip')}"
    return session.obtain(recipe, title, make, files=[SAMPLE, "sample.json"])


def statistics_key(
    manifest: Clips, audio: SpectrogramConfig, settings: TokenizerSettings, layer: ChosenLayer | None, *, seed: int
) -> str:
    """Return the key of the sample for those who read only the mean and the deviation of all its frames.

    The key has the run's seed, and the default size and number of patches, because these change no frame.
    """
    return _sample_recipe(sampled_clips(manifest, settings), audio, TokenizerSettings(seed=seed), layer).key


def _sample_recipe(
    sampled: Clips, audio: SpectrogramConfig, settings: TokenizerSettings, layer: ChosenLayer | None
) -> Recipe:
    config = columns_config(audio, settings) | ({} if layer is None else {"layer": layer.layer})
    model = None if layer is None else layer.config.files
    inputs = {"recordings": audio_hash(sampled, TRAINED_ON), "speech model": model}
    return Recipe("sample", 1, config=config, inputs=inputs)


def sampled_clips(manifest: Clips, settings: TokenizerSettings) -> Clips:
    """Return the clips that the sample is drawn from: of more than ``sample_hours`` of a split, some.

    Clips are drawn until the hours are full, so the last one may exceed them.
    """
    left_out, most = set[Clip](), 3600 * settings.sample_hours
    for number, split in enumerate(TRAINED_ON):
        clips = manifest.of(split)
        if sum(clip.seconds for clip in clips) > most:
            order = np.random.default_rng([settings.seed, number]).permutation(len(clips))
            ends = np.cumsum([clips[place].seconds for place in order])
            left_out.update(clips[place] for place in order[1 + np.sum(ends < most) :])
    if not left_out:  # a million clips need not be hashed
        return manifest
    return manifest.where(each not in left_out for each in manifest.clips)


def input_sample(
    session: Session, manifest: Clips, audio: SpectrogramConfig, settings: TokenizerSettings
) -> Entry | None:
    """Draw the same columns with a random dynamic range for each clip; None without ``dynamic_ranges``.

    The same seed draws the same columns, because a reservoir depends on their number and not on their values.
    """
    ranges = settings.dynamic_ranges
    if ranges is None:
        return None
    config, manifest = columns_config(audio, settings, "dynamic_ranges"), sampled_clips(manifest, settings)
    recipe = Recipe("heard_sample", 1, config=config, inputs={"recordings": audio_hash(manifest, ["train"])})

    @one_thread()
    def make(folder: Path) -> None:
        with session.pool(gpu=False) as pool:
            sample = _draw(session, manifest, "train", audio, settings, pool, ranges=ranges)
        write_tensors(folder / SAMPLE, {"train": sample.columns})

    return session.obtain(recipe, "the same sample, in other dynamic ranges", make, files=[SAMPLE])


def _draw(
    session: Session,
    manifest: Clips,
    split: Split,
    audio: SpectrogramConfig,
    settings: TokenizerSettings,
    pool: Pool | None,
    *,
    ranges: tuple[float, float] | None = None,
    layer: SpeechLayer | None = None,
) -> FrameSample:
    """Draw columns of a split, with states of a ``layer`` if there is one.

    With ``ranges`` each clip gets a random dynamic range between them.
    """
    clips, frames, seed = manifest.of(split), settings.patch.frames, settings.seed
    capacity, n_mels = settings.sample_size(split), audio.n_mels
    with session.terminal.working(f"reading {split} clips", len(clips), "clips") as progress:
        if layer is not None:
            read = read_speech_states(manifest.root, clips, audio, layer, progress=progress.advance_to)
            width = layer.width
            return draw_states(read, frames=frames, n_mels=n_mels, width=width, capacity=capacity, seed=seed)
        assert pool is not None, "a pool reads log-mel"
        reader = LogMelReader(root=manifest.root, audio=audio, ranges=ranges, seed=seed)
        pieces = read_log_mel(reader, clips, pool, progress=progress.advance_to)
        return draw_sample(pieces, frames=frames, n_mels=n_mels, capacity=capacity, seed=seed)


def columns_config(audio: SpectrogramConfig, settings: TokenizerSettings, *names: str) -> dict[str, object]:
    """Return the options that decide the sample's columns and their values, and others by their names."""
    columns = some_options(settings, "sample_patches", "seed", *names)
    return {"audio": audio, "tokenizer": {"patch": some_options(settings.patch, "frames"), **columns}}


def autoencoder(
    session: Session,
    sample: Entry,
    audio: SpectrogramConfig,
    settings: TokenizerSettings,
    inputs: Entry | None = None,
    layer: ChosenLayer | None = None,
) -> Entry:
    """Train the autoencoder on the sample, in one process and thread; more would change last bits, and so codes.

    Its inputs are the columns of ``inputs``, its targets those of ``sample``. With the ``layer`` of a speech model, the
    decoder of its states to log-mel is trained.
    """
    described, fit = settings.config(audio, layer), settings.fit
    network = settings.autoencoder if layer is None else some_options(settings.autoencoder, "hidden")
    config = {"autoencoder": network, **some_options(settings, "patch", "batch_size", "fit")}
    recipe = Recipe("autoencoder", 1, config={"tokenizer": config}, inputs={"sample": sample, "other ranges": inputs})

    def make(folder: Path) -> None:
        drawn, seed = load_file(sample.folder / SAMPLE), fit.seed
        patches_of = partial(normalised_patches, mean=drawn["mean"], std=drawn["std"], height=described.height)
        train, held_out = (patches_of(drawn[split]) for split in TRAINED_ON)
        torch.manual_seed(seed)
        model = described.create_autoencoder()
        heard = patches_of(load_file(inputs.folder / SAMPLE)["train"]) if inputs else drawn.get(STATES["train"])
        batches = PatchBatches(patches=train, batch_size=settings.batch_size, seed=seed, inputs=heard)
        states = drawn.get(STATES["validation"])
        own_inputs = repeat(None) if states is None else torch.split(states, TOGETHER_JUDGED)
        parts = zip(torch.split(held_out, TOGETHER_JUDGED), own_inputs, strict=False)
        validation = [PatchBatch(patches=patches, inputs=own) for patches, own in parts]
        with one_thread():
            session.alone().train(
                "autoencoder", "tokenizer.fit", model, batches, validation, reconstruction_loss, fit, folder
            )
        write_tensors(folder / AUTOENCODER, model.state_dict())

    title = f"{'autoencoder' if layer is None else 'decoder of states'}, {fit.summary}"
    return session.obtain(recipe, title, make, files=[AUTOENCODER, CURVE])


PITCHES = "pitches.json"
PITCH_CLIPS = 400  # training clips whose pitch is measured, of each its beginning
INNER = (0.5, 99.5)  # percentiles of the pitch that have codes of their own; what lies beyond has the nearest code
FEW_VOICED = 0.4  # share of hops with a voice below which there is no stream; speech has 0.65 to 0.8, ESC-10 0.27


def pitches(session: Session, manifest: Clips, audio: SpectrogramConfig, settings: TokenizerSettings) -> Entry | None:
    """Measure the range of the pitch of training clips, for the codes of the stream of pitch.

    None if there is no such stream: none is wanted, the sample rate resolves no pitch, or few recordings have voices.
    """
    if not settings.pitch.levels or settings.start is not None or not resolves_pitch(audio.sample_rate):
        return None
    clips = choose_evenly(manifest.of("train"), PITCH_CLIPS)
    config = {"clips": [clip.name for clip in clips], "audio": some_options(audio, "sample_rate", "hop_length")}
    recipe = Recipe("pitches", 1, config=config, inputs={"recordings": audio_hash(manifest, ["train"])})

    def make(folder: Path) -> None:
        read = partial(_pitch_of_beginning, manifest, audio)
        with session.terminal.working("pitch", len(clips), "clips") as progress, session.pool(gpu=False) as pool:
            hops = [*progress.each(in_order(read, clips, pool))]
        octaves = np.concatenate([np.zeros(0), *hops])
        voiced = octaves[~np.isnan(octaves)]
        low, high = np.percentile(voiced if len(voiced) else [np.log2(LOWEST)], INNER)
        quarter = 1 / 24  # of a tone, in octaves, so that equal pitches have a range, too
        extremes = {"lowest": round(float(2 ** (low - quarter)), 1), "highest": round(float(2 ** (high + quarter)), 1)}
        known = {"voiced": len(voiced) / max(len(octaves), 1), "hops": len(octaves)}
        write_json(folder / PITCHES, {**extremes, **known})

    entry = session.obtain(recipe, f"pitch of {len(clips)} training clips", make, files=[PITCHES])
    if (share := float(str(entry.read_json(PITCHES)["voiced"]))) < FEW_VOICED:
        session.terminal.say(f"pitch     codes have no pitch: {share:.0%} of the training recordings have a voice")
        return None
    return entry


def _pitch_of_beginning(manifest: Clips, audio: SpectrogramConfig, clip: Clip) -> npt.NDArray[np.float64]:
    return track_pitch(beginning(manifest, audio.sample_rate, clip), audio.sample_rate, audio.hop_length)


def codebook(
    session: Session,
    sample: Entry,
    trained: Entry,
    audio: SpectrogramConfig,
    settings: TokenizerSettings,
    layer: ChosenLayer | None = None,
    pitched: Entry | None = None,
) -> Entry:
    """Cluster the sample's bottlenecks, level after level; the entry is a complete tokenizer folder.

    With the ``layer`` of a speech model, its states in the sample are clustered. With ``pitched``, of `pitches`, the
    codes have one more stream.
    """
    config = some_options(settings, "codebook_size", "kmeans_iterations", "seed", "levels")
    if pitched is not None:
        config |= {"pitch": settings.pitch}
    inputs = {"autoencoder": trained, "pitches": pitched}
    recipe = Recipe("tokenizer", 2, config={"tokenizer": config}, inputs=inputs)

    def make(folder: Path) -> None:
        found = pitched.read_json(PITCHES) if pitched else None
        extremes = (float(str(found["lowest"])), float(str(found["highest"]))) if found else None
        drawn, tokenizer_config = load_file(sample.folder / SAMPLE), settings.config(audio, layer, extremes)
        model = tokenizer_config.create_autoencoder()
        model.load_state_dict(load_file(trained.folder / AUTOENCODER))
        mean, std, written = drawn["mean"], drawn["std"], folder / "bottlenecks"
        if isinstance(model, Autoencoder):
            height, columns = tokenizer_config.height, drawn["train"]  # of the file, where they are read
            blocks = (normalised_patches(block, mean, std, height=height) for block in torch.split(columns, TOGETHER))
            shape = (len(columns) * tokenizer_config.bands, settings.autoencoder.bottleneck)
            points = write_bottlenecks(model, blocks, written, shape)
        else:
            points = drawn[STATES["train"]].numpy()
        with within("tokenizer"):
            tokenizer, report = fit_codebooks(
                tokenizer_config,
                model,
                points,
                mean=mean,
                std=std,
                iterations=settings.kmeans_iterations,
                seed=settings.seed,
                gpus=local_gpus(session.gang.device),
                overwrite=written.exists(),
                speech_layer=None if layer is None else layer.open(),
            )
        written.unlink(missing_ok=True)
        tokenizer.gain = measure_gain(tokenizer, drawn["train"], None if layer is None else drawn[STATES["train"]])
        tokenizer.save_pretrained(folder)
        write_json(folder / "kmeans.json", report)

    levels = f"{settings.levels} levels of " if settings.levels > 1 else ""
    pitch = f", {settings.pitch.levels} codes of pitch" if pitched else ""
    title = f"k-means, {levels}{settings.codebook_size} codes{pitch}"
    copied = [] if layer is None else [f"{FOLDER}/*"]
    return session.obtain(recipe, title, make, files=[*MODEL, "kmeans.json", *copied])


def started_tokenizer(session: Session, start: str) -> Entry:
    """Copy the tokenizer of an earlier run; the entry is a complete tokenizer folder, without a record of k-means."""
    recipe = Recipe("tokenizer", 2, config={}, inputs={TOKENS: tokenizer_hash(start)})

    def make(folder: Path) -> None:
        Tokenizer.from_pretrained(start_folder(start, TOKENIZER, option=TOKENS)).save_pretrained(folder)

    return session.obtain(recipe, f"copy of {start}", make, files=MODEL)


HEALTH = "health.json"
MAX_CLIPS = 200  # validation clips, at most; of each its beginning


def health(session: Session, manifest: Clips, tokenizer_entry: Entry, codes_entry: Entry, *, seed: int) -> Entry:
    """Measure the codebook's usage, fidelity and stability on validation clips, and warn of a collapse."""
    recipe = Recipe("health", 3, config={"seed": seed}, inputs={"codes": codes_entry})

    @one_thread()
    def make(folder: Path) -> None:
        tokenizer = Tokenizer.from_pretrained(tokenizer_entry.folder, device=str(session.gang.device))
        held_out = (clip.codes for clip in read_codes(codes_entry.folder)[1] if clip.split == "validation")
        chosen = choose_evenly(manifest.of("validation"), MAX_CLIPS)
        read = partial(beginning, manifest, tokenizer.config.audio.sample_rate)
        write_json(folder / HEALTH, measure_health(tokenizer, held_out, lambda: map(read, chosen), seed=seed))

    entry = session.obtain(recipe, "codebook health on validation clips", make, files=[HEALTH])
    session.when_made(entry, lambda made: (verdict := made.read_json(HEALTH)["verdict"]) and f"WARNING   {verdict}")
    return entry
