"""Training of the tokenizer: sample, autoencoder and codebook are separate artifacts, so sweeps share the first two.

Nothing is fitted on validation or test clips; validation clips only choose the kept weights.
With ``tokenizer.start`` a run has the tokenizer of an earlier one, and keys have its hash, not its place.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipelines.stages.stage_options import TokenizerSettings
from pipelines.stages.stored_arrays import TRAINED_ON
from pipelines.store.stage import Session, StageRun, stage
from pipelines.store.start_models import TOKENS, read_start, require_equal, start_folder
from pipelines.store.store import CachedArtifact, some_options, write_json
from tokenizer.autoencoder import Autoencoder
from tokenizer.autoencoder_training import PatchBatch, PatchBatches, normalised_patches, reconstruction_loss
from tokenizer.frame_sample import FrameSample, LogMelReader, OpenVectors, VectorSource, draw_sample, read_log_mel
from tokenizer.gain import measure_gain
from tokenizer.health import measure_health
from tokenizer.kmeans import TOGETHER, by_loudness, fit_codebook, write_bottlenecks
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from tokenizer.tokenizer_config import SavedTokenizer, TokenizerConfig, fingerprint
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.pitch_contour import LOWEST, resolves_pitch, track_pitch
from wordless.audio.reading import read_beginning
from wordless.audio.recordings.manifest import Clip, Clips, Split, choose_evenly
from wordless.audio.spectrogram import SAMPLE, frame_statistics, mel_power
from wordless.audio.views import View
from wordless.base.arrays import DoubleArray, FloatArray
from wordless.base.devices import local_gpus
from wordless.base.messages import InputError, counted, within
from wordless.base.options import leaves
from wordless.base.pools import Pool, in_order
from wordless.base.saved_models import TOKENIZER, write_tensors
from wordless.base.threads import one_thread
from wordless.training import Examples

_AUTOENCODER, KMEANS = "autoencoder.safetensors", "kmeans.json"
DRAWN_PATCHES = "sample.json"  # how many columns the sample has, and from how many it was drawn
TOGETHER_JUDGED = 4096  # validation patches of a batch
_STATES = {"train": "train_states", "validation": "validation_states"}  # tensors of the sample, with a speech layer


def _columns(settings: TokenizerSettings) -> list[object]:
    return [settings.patch.frames, settings.sample_patches, settings.sample_hours, settings.seed]


@stage(
    "sample",
    title="statistics and a sample of {clips} clips",
    splits=TRAINED_ON,
    keys={"settings": _columns},
)
@one_thread()
def frame_sample(
    run: StageRun,
    clips: Clips,
    audio: SpectrogramConfig,
    settings: TokenizerSettings,
    layer: VectorSource | None = None,
) -> None:
    """Compute statistics of training frames, and sample training and validation columns of `sampled_clips`.

    With the ``layer`` of a speech model, its states are sampled with them. If the front end follows a level, there are
    also statistics of sound as loud as recorded, and the power of the training columns in it.
    """
    sampled, opened = sampled_clips(clips, settings), None if layer is None else layer.open(str(run.gang.device))
    if left_out := len(clips.clips) - len(sampled.clips):
        run.terminal.say(f"  {settings.sample_hours:g} hours are sampled, without {counted(left_out, 'clip')}")
    with run.pool(gpu=False) if opened is None else nullcontext() as pool:
        train = _draw(run, sampled, "train", audio, settings, pool, layer=opened)
        if not train.seen:
            patch, smaller = (
                f"patch ({settings.patch.frames} frames of {audio.hop_length} samples)",
                "smaller patches or ",
            )
            if opened is not None and layer is not None:
                patch, smaller = f"state of {layer.config.model} ({opened.stride} samples)", ""
            raise InputError(f"no training recording is as long as one {patch}; choose {smaller}longer recordings")
        # Apart from train: the statistics that normalise all sound are those of training frames alone.
        held_out = _draw(run, sampled, "validation", audio, settings, pool, layer=opened)
    n_mels, tensors = audio.n_mels, dict[str, Tensor]()
    if audio.levelling is not None:
        tensors["absolute"] = torch.stack([train.mean[n_mels:], train.std[n_mels:]])
        tensors["power"] = mel_power(train.columns[..., n_mels:], audio).sum((1, 2))
        columns = train.columns[..., :n_mels].contiguous()
        train = replace(train, mean=train.mean[:n_mels].clone(), std=train.std[:n_mels].clone(), columns=columns)
    tensors |= {"mean": train.mean, "std": train.std}
    for split, drawn in zip(TRAINED_ON, (train, held_out), strict=True):
        tensors |= {split: drawn.columns} | ({} if drawn.states is None else {_STATES[split]: drawn.states})
    write_tensors(run.folder / SAMPLE, tensors)
    write_json(run.folder / DRAWN_PATCHES, {"columns": len(train.columns), "drawn_from": train.seen})
    of, number = f"{len(train.columns):,} of {train.seen:,} patches", len(sampled.of("train"))
    run.terminal.say(f"  sample: {of}, drawn from {'all ' * (not left_out)}{counted(number, 'training clip')}")


def sample_statistics(sample: CachedArtifact) -> CachedArtifact:
    """Return the sample under a key of its mean and deviation alone, which are the same for patches of any size."""
    mean, std = frame_statistics(sample.folder)
    return replace(sample, key=fingerprint(None, {"mean": mean, "std": std}))


def sampled_clips(manifest: Clips, settings: TokenizerSettings) -> Clips:
    """Return the clips that the sample is drawn from: of each split some, until they fill ``sample_hours``."""
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


def _changed_columns(settings: TokenizerSettings) -> list[object]:
    return [*_columns(settings), settings.views]


@stage(
    "augmented_sample",
    title="the same sample, of changed sound",
    splits=("train",),
    keys={"settings": _changed_columns},
)
@one_thread()
def augmented_sample(run: StageRun, clips: Clips, audio: SpectrogramConfig, settings: TokenizerSettings) -> None:
    """Draw the same columns, as the seed says, of a view of each clip."""
    sampled, views = sampled_clips(clips, settings), partial(settings.views.input_of, seed=settings.seed)
    with run.pool(gpu=False) as pool:
        sample = _draw(run, sampled, "train", audio, settings, pool, views=views)
    write_tensors(run.folder / SAMPLE, {"train": sample.columns})


def _draw(
    run: StageRun,
    manifest: Clips,
    split: Split,
    audio: SpectrogramConfig,
    settings: TokenizerSettings,
    pool: Pool | None,
    *,
    views: Callable[[Clip], View] = View,
    layer: OpenVectors | None = None,
) -> FrameSample:
    """Draw columns of a split, of each clip or of a view of it, and states of a ``layer``."""
    clips, frames, seed = manifest.of(split), settings.patch.frames, settings.seed
    # Other splits than training give a tenth of its patches.
    capacity = settings.sample_patches if split == "train" else max(settings.sample_patches // 10, 1)
    n_mels, width = audio.n_mels, 0 if layer is None else layer.width
    with run.terminal.working(f"reading {split} clips", len(clips), "clips") as progress:
        if layer is not None:
            read = layer.read_clips(manifest.root, clips, audio, progress=progress.advance_to)
        else:
            assert pool is not None, "a pool reads log-mel"
            both = audio.levelling is not None and split == "train" and views is View
            n_mels *= 1 + both
            reader = LogMelReader(root=manifest.root, audio=audio, views=views, beside_absolute=both)
            read = ((piece, None) for piece in read_log_mel(reader, clips, pool, progress=progress.advance_to))
        return draw_sample(read, frames=frames, n_mels=n_mels, capacity=capacity, seed=seed, width=width)


@stage(
    "autoencoder",
    title="autoencoder, {settings.fit.summary}",
    keys={"settings": lambda own: some_options(own, "autoencoder", "patch", "batch_size", "fit")},
)
def autoencoder(
    run: StageRun,
    sample: CachedArtifact,
    audio: SpectrogramConfig,
    settings: TokenizerSettings,
    inputs: CachedArtifact | None = None,
    layer: VectorSource | None = None,
) -> None:
    """Train the autoencoder in one process and thread; more would change last bits, and so codes.

    Its inputs are the columns of ``inputs``, or states of a ``layer``; its targets are the columns of ``sample``. A
    denoising autoencoder learns which changes of its input do not matter (Vincent et al., "Stacked denoising
    autoencoders", JMLR 11, 2010). Gat et al. (arXiv:2209.15483) train units of speech to be the same after changes.
    Babble is no such change: a patch does not say whose voice it is, and clean patches are worse by 5 %.
    """
    described, fit, drawn = settings.config(audio, layer), settings.fit, load_file(sample.folder / SAMPLE)
    patches_of = partial(normalised_patches, mean=drawn["mean"], std=drawn["std"], height=described.height)
    train, held_out = (patches_of(drawn[split]) for split in TRAINED_ON)
    torch.manual_seed(fit.seed)  # right before the weights are drawn, so that nothing above takes part in the draw
    model = described.create_autoencoder()
    heard = patches_of(load_file(inputs.folder / SAMPLE)["train"]) if inputs else drawn.get(_STATES["train"])
    batches = PatchBatches(patches=train, batch_size=settings.batch_size, seed=fit.seed, inputs=heard)
    states = drawn.get(_STATES["validation"])
    own_inputs = repeat(None) if states is None else torch.split(states, TOGETHER_JUDGED)
    parts = zip(torch.split(held_out, TOGETHER_JUDGED), own_inputs, strict=False)
    validation = [PatchBatch(patches=patches, inputs=own) for patches, own in parts]
    drawn_from, columns = (int(sample.read_json(DRAWN_PATCHES)[name]) for name in ("drawn_from", "columns"))
    bands = len(train) // max(columns, 1)
    # A patch begins with every frame, or with every state of the layer.
    step = audio.hop_length * (1 if layer is None else settings.patch.frames) / audio.sample_rate
    examples = Examples(batch_size=settings.batch_size, seconds=step / max(bands, 1), hours=drawn_from * step / 3600)
    with one_thread():
        run.alone().fit("tokenizer.fit", model, batches, validation, reconstruction_loss, fit, examples)
    write_tensors(run.folder / _AUTOENCODER, model.state_dict())


PITCHES = "pitches.json"
MAX_SECONDS = 30.0  # that are read of a clip where its beginning is enough
PITCH_CLIPS = 400  # training clips whose pitch is measured, of each its beginning
_INNER = (0.5, 99.5)  # percentiles of the pitch that have codes of their own; what lies beyond has the nearest code
FEW_VOICED = 0.4  # share of hops with a voice below which there is no stream; speech has 0.65 to 0.8, ESC-10 0.27


def beginning(root: Path, sample_rate: int, clip: Clip) -> FloatArray:
    """Read the first `MAX_SECONDS` of a clip below ``root``."""
    return read_beginning(root / clip.path, sample_rate, MAX_SECONDS, part=clip.part).samples


def wants_pitch(audio: SpectrogramConfig, settings: TokenizerSettings) -> bool:
    """Return whether codes of recordings with voices have a stream of pitch."""
    return bool(settings.pitch.levels) and settings.start is None and resolves_pitch(audio.sample_rate)


def pitches(
    session: Session, manifest: Clips, audio: SpectrogramConfig, settings: TokenizerSettings
) -> CachedArtifact | None:
    """Measure the range of the pitch of training clips, for its codes.

    None if no such stream is wanted, the sample rate resolves no pitch, or few recordings have voices.
    """
    if not wants_pitch(audio, settings):
        return None
    artifact = _measured_pitches(session, manifest, audio.sample_rate, audio.hop_length)
    if (share := artifact.read_json(PITCHES)["voiced"]) < FEW_VOICED:
        session.terminal.say(f"pitch     codes have no pitch: {share:.0%} of the training recordings have a voice")
        return None
    return artifact


def _pitch_of_beginning(root: Path, sample_rate: int, hop_length: int, clip: Clip) -> DoubleArray:
    return track_pitch(beginning(root, sample_rate, clip), sample_rate, hop_length)


@stage("pitches", title="pitch of training clips", splits=("train",))
def _measured_pitches(run: StageRun, clips: Clips, sample_rate: int, hop_length: int) -> None:
    chosen = choose_evenly(clips.clips, PITCH_CLIPS)
    read = partial(_pitch_of_beginning, clips.root, sample_rate, hop_length)
    with run.terminal.working("pitch", len(chosen), "clips") as progress, run.pool(gpu=False) as pool:
        hops = [*progress.each(in_order(read, chosen, pool))]
    octaves = np.concatenate([np.zeros(0), *hops])
    voiced = octaves[~np.isnan(octaves)]
    low, high = np.percentile(voiced if len(voiced) else [np.log2(LOWEST)], _INNER)
    quarter = 1 / 24  # of a tone, in octaves, so that equal pitches have a range, too
    extremes = {"lowest": round(float(2 ** (low - quarter)), 1), "highest": round(float(2 ** (high + quarter)), 1)}
    known = {"voiced": len(voiced) / max(len(octaves), 1), "hops": len(octaves)}
    write_json(run.folder / PITCHES, {**extremes, **known})


@stage(
    "tokenizer",
    title="k-means, {settings.codebook_size} codes",
    keys={"settings": lambda own: some_options(own, "codebook_size", "kmeans_iterations", "pitch", "seed")},
)
def codebook(
    run: StageRun,
    sample: CachedArtifact,
    trained: CachedArtifact,
    audio: SpectrogramConfig,
    settings: TokenizerSettings,
    layer: VectorSource | None = None,
    pitched: CachedArtifact | None = None,
) -> None:
    """Cluster the sample's bottlenecks, or states of a ``layer``: a complete tokenizer folder.

    With ``pitched``, of `pitches`, the codes have one more stream.
    """
    found = pitched.read_json(PITCHES) if pitched else None
    extremes = (found["lowest"], found["highest"]) if found else None
    drawn, config = load_file(sample.folder / SAMPLE), settings.config(audio, layer, extremes)
    model = config.create_autoencoder()
    model.load_state_dict(load_file(trained.folder / _AUTOENCODER))
    mean, std, written = drawn["mean"], drawn["std"], run.folder / "bottlenecks"
    if isinstance(model, Autoencoder):
        columns, height = drawn["train"], config.height  # of the file, where they are read
        blocks = (normalised_patches(block, mean, std, height=height) for block in torch.split(columns, TOGETHER))
        shape = (len(columns) * config.bands, settings.autoencoder.bottleneck)
        points = write_bottlenecks(model, blocks, written, shape)
    else:
        points = drawn[_STATES["train"]].numpy()
    with within("tokenizer"):
        centroids, report = fit_codebook(
            points,
            size=config.codebook_size,
            iterations=settings.kmeans_iterations,
            seed=settings.seed,
            gpus=local_gpus(run.gang.device),
        )
        create: Callable[..., Tokenizer] = Tokenizer if layer is None else layer.open().constructor
        ordered = by_loudness(model, centroids)
        tokenizer = create(config, mean, std, model, ordered, absolute=drawn.get("absolute"))
    written.unlink(missing_ok=True)
    states = None if layer is None else drawn[_STATES["train"]]
    tokenizer.gain = measure_gain(tokenizer, drawn["train"], states, drawn.get("power"))
    tokenizer.save_pretrained(run.folder)
    write_json(run.folder / KMEANS, report)


def tokenizer_hash(start: str) -> str:
    """Return what decides the codes of ``tokenizer.start``, as its config says, which loading checks.

    They do not depend on its code decoder, so a start with another decoder has the same codes and language model.
    """
    saved = _saved_tokenizer(start)
    own = (saved.fingerprints.get(name, "") for name in ("tokenizer", "codebook"))
    return f"{' '.join(own)} {saved.gain_without_decoder}"


def decoder_hash(start: str) -> str:
    """Return the fingerprint and the gain of the code decoder of ``tokenizer.start``."""
    saved = _saved_tokenizer(start)
    return f"{saved.fingerprints.get('decoder', '')} {saved.gain}"


def start_has_decoder(start: str) -> bool:
    """Return whether ``tokenizer.start`` decodes codes in context."""
    return _saved_tokenizer(start).decoder is not None


def require_same_tokenizer(start: str, wanted: TokenizerConfig) -> None:
    """Refuse a tokenizer of other sizes or another front end than those of the run."""
    found = _saved_tokenizer(start).config
    if found.speech_layer is not None:
        raise InputError(f"{TOKENS}={start} makes codes of a speech model, which a run trains itself; name another one")
    # A run takes the side streams, such as the range of the pitch, from the tokenizer itself.
    plain = (asdict(replace(each, pitch=None, decoder=None, audio=each.audio.absolute)) for each in (wanted, found))
    own, other = (dict(leaves({"audio": each.pop("audio"), "tokenizer": each})) for each in plain)
    require_equal(TOKENS, start, {name: (value, other[name]) for name, value in own.items()})


def _saved_tokenizer(start: str) -> SavedTokenizer:
    return read_start(SavedTokenizer, start_folder(start, TOKENIZER, option=TOKENS), TOKENS, start)


@stage("tokenizer", title="copy of {start}", keys={"start": tokenizer_hash})
def started_tokenizer(run: StageRun, start: str) -> None:
    """Copy the tokenizer of an earlier run, without its code decoder."""
    tokenizer = _loaded_start(start)
    if tokenizer.decoder is not None:
        tokenizer.drop_decoder()
    tokenizer.save_pretrained(run.folder)


@stage("code_decoder", title="copy of the code decoder of {start}", keys={"start": decoder_hash})
def started_decoder(run: StageRun, tokenizer: CachedArtifact, start: str) -> None:
    """Copy the tokenizer of an earlier run with its code decoder: it has the codes of ``tokenizer``."""
    _loaded_start(start).save_pretrained(run.folder)


def _loaded_start(start: str) -> Tokenizer:
    return Tokenizer.from_pretrained(start_folder(start, TOKENIZER, option=TOKENS))


@stage("rate_tokenizer", title="tokenizers of {tokenizers} rates")
def rate_tokenizer(run: StageRun, tokenizers: Sequence[CachedArtifact]) -> None:
    """Write the tokenizers of all rates, coarse to fine, as one folder."""
    Tokenizer.of_rates([Tokenizer.from_pretrained(each.folder) for each in tokenizers]).save_pretrained(run.folder)


HEALTH = "health.json"
_MAX_CLIPS = 200  # validation clips, at most; of each its beginning


def health(
    session: Session, manifest: Clips, tokenizer: CachedArtifact, codes: CachedArtifact, *, seed: int
) -> CachedArtifact:
    """Measure the codebook's usage, fidelity and robustness, and warn of a collapse."""
    artifact = _measured_health(session, manifest, tokenizer, codes, seed)
    session.when_made(artifact, lambda made: (verdict := made.read_json(HEALTH)["verdict"]) and f"WARNING   {verdict}")
    return artifact


@stage("health", title="codebook health on validation clips", splits=("validation",))
@one_thread()
def _measured_health(run: StageRun, clips: Clips, tokenizer: CachedArtifact, codes: CachedArtifact, seed: int) -> None:
    coder = Tokenizer.from_pretrained(tokenizer.folder, device=str(run.gang.device))
    held_out = (clip.codes for clip in read_codes(codes.folder)[1] if clip.split == "validation")
    chosen = choose_evenly(clips.clips, _MAX_CLIPS)
    read = partial(beginning, clips.root, coder.config.audio.sample_rate)
    write_json(run.folder / HEALTH, measure_health(coder, held_out, lambda: map(read, chosen), seed=seed))
