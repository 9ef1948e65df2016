"""Features of recordings: one vector per clip for each compared representation. Those of codes: `code_features`.

Each stage's entry holds ``features.safetensors``: tensors ``(clips, dim)``, rows in the order of the manifest, named
``method[/layer]:pooling``. The method is a row of the comparison; its layers and poolings are what validation may
choose from.
"""

import inspect
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from audio.reading import read_blocks, resampled_length
from audio.recordings.heard_frames import HeardFrames
from audio.recordings.hearings import Hearing, hearings
from audio.recordings.inspection import require_finite
from audio.recordings.manifest import SPLITS, Clip, Manifest, audio_hash, recordings_hash
from lm.pooling import POOLINGS, FloatArray, Pooling, RunningPools, pool
from lm.vectors import CLASS_SCORES, ONE_HEARING, VectorConfig, average
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, text_hash
from pipelines.store.stored_features import FEATURES, SCORES, method_of_key, stacked_rows, write_features
from tokenizer.encoder import Encoder
from tokenizer.signals import PATCHES_AT_ONCE, log_mel_pieces, signals, whole_patches
from tokenizer.tokenizer import Tokenizer

ReadClip = Callable[[Clip], dict[str, FloatArray]]  # vectors (dim,) by layer and pooling
Frames = partial[FloatArray]  # of a function of a module: samples (num_samples,) -> (time, dims)


def signal_features(
    session: Session,
    manifest: Manifest,
    tokenizer_entry: Entry,
    autoencoder: str,
    methods: Collection[str],
    vectors: VectorConfig = ONE_HEARING,
    heard: HeardFrames | None = None,
) -> Entry:
    """Compute log-mel, which needs only a learned normalisation, and the autoencoder's bottlenecks, pooled.

    They are the same for every codebook of an autoencoder; ``autoencoder`` is its key or fingerprint.
    """
    inputs = {"autoencoder": autoencoder, "manifest": audio_hash(manifest, SPLITS)}
    inputs |= heard_key(heard)
    recipe = Recipe("signal_features", 3, config={**vectors.key, "methods": sorted(methods)}, inputs=inputs)

    def make(folder: Path) -> None:
        encoder = Encoder(folder=tokenizer_entry.folder, root=manifest.root, device=str(session.gang.device))
        work = partial(audio_vectors, encoder, heard, vectors.poolings)
        rows = session.each("log-mel and bottlenecks", work, manifest.clips)
        wanted = ({key: vector for key, vector in row.items() if method_of_key(key) in methods} for row in rows)
        write_features(folder, stacked_rows(wanted))

    return session.obtain(recipe, f"log-mel and bottlenecks of {len(manifest.clips)} clips", make, files=[FEATURES])


def audio_vectors(
    encoder: Encoder, heard: HeardFrames | None, poolings: Sequence[Pooling], clip: Clip
) -> dict[str, FloatArray]:
    """Average `audio_features` over a clip and its stored hearings."""
    others = [] if heard is None else heard.of(clip)
    rows = (_stored_features(encoder.tokenizer, frames, poolings) for frames in others)
    return average(chain([audio_features(encoder, clip, poolings=poolings)], rows))


def audio_features(encoder: Encoder, clip: Clip, *, poolings: Sequence[Pooling] = POOLINGS) -> dict[str, FloatArray]:
    """Compute each pooling of a clip's normalised log-mel and bottlenecks while the clip is read.

    With ``audio.remove_mean`` there are two versions of log-mel: the tokenizer's, and the recorded one. The recorded
    one has the level of each band above the front end's floor, so its largest magnitude is its loudest frame. With
    ``remove_mean=clip`` the mean of the first is constant, and left out.
    """
    tokenizer = encoder.tokenizer
    audio = tokenizer.config.audio
    num_samples = resampled_length(clip.num_samples, clip.sample_rate, audio.sample_rate)
    blocks = read_blocks(encoder.root / clip.path, audio.sample_rate, part=clip.part)
    pieces, steps = log_mel_pieces(tokenizer, blocks, num_samples), tokenizer.format.steps(num_samples)
    features = _pool_signals(tokenizer, pieces, steps, poolings)
    for row in features.values():
        require_finite(row, clip, "pooled log-mel and bottlenecks")
    return features


def _stored_features(tokenizer: Tokenizer, frames: Tensor, poolings: Sequence[Pooling]) -> dict[str, FloatArray]:
    """Compute the features of stored log-mel ``(time, mels)``."""
    whole = whole_patches(frames, tokenizer.patch_frames)
    pieces = torch.split(whole, PATCHES_AT_ONCE * tokenizer.patch_frames)
    return _pool_signals(tokenizer, pieces, len(whole) // tokenizer.patch_frames, poolings)


def _pool_signals(
    tokenizer: Tokenizer, pieces: Iterable[Tensor], steps: int, poolings: Sequence[Pooling]
) -> dict[str, FloatArray]:
    """Pool log-mel and bottlenecks of the pieces ``(time, mels)`` of a recording of ``steps`` patches."""
    how = tokenizer.config.audio.remove_mean
    frames, twice = steps * tokenizer.patch_frames, how != "none"
    own, recorded = "log_mel/as_heard" if twice else "log_mel", "log_mel/as_recorded"
    pools = RunningPools({own: frames, **({recorded: frames} if twice else {}), "bottleneck": steps}, poolings)
    floor = math.log(tokenizer.config.audio.floor)
    pool_recorded = (lambda piece: pools.add(recorded, piece.cpu().numpy() - floor)) if twice else (lambda piece: None)
    for spectrogram, bottlenecks in signals(tokenizer, pieces, as_recorded=pool_recorded):
        pools.add(own, spectrogram.cpu().numpy())
        pools.add("bottleneck", bottlenecks.cpu().numpy())
    features = pools.pooled
    if how == "clip":
        features.pop(f"{own}:mean", None)
    return features


def network_features(
    session: Session, recipe: Recipe, manifest: Manifest, read: ReadClip, *, method: str, has_head: bool
) -> Entry:
    """Compute the vectors of each clip by a network, under the keys ``method/layer:pooling``.

    A network that ``has_head`` also gives class probabilities: ``scores (clips, classes)``.
    """

    def make(folder: Path) -> None:
        rows = stacked_rows(session.each(method, read, manifest.clips))
        scores = rows.pop(CLASS_SCORES, None)
        write_features(folder, rows, of=method, scores=scores)

    files = [FEATURES, SCORES] if has_head else [FEATURES]
    return session.obtain(recipe, f"{method} on {len(manifest.clips)} clips", make, files=files)


def frame_features(
    session: Session,
    manifest: Manifest,
    frames: Frames,
    *,
    method: str,
    sample_rate: int,
    vectors: VectorConfig = ONE_HEARING,
) -> Entry:
    """Compute the frames of each clip, and pool them under the keys ``method:pooling``.

    A clip is in memory as a whole. All folds share the entry. The key contains the options and the source code of the
    function, so that a changed function is computed again; it does not contain the code of functions that it calls.
    """
    config = {**vectors.key, **frames.keywords, "sample_rate": sample_rate}
    inputs = {"recordings": recordings_hash(manifest), "function": text_hash(inspect.getsource(frames.func))}
    inputs |= hearings_key(vectors)
    recipe = Recipe(f"{method}_features", 1, config=config, inputs=inputs)
    work = partial(_pooled, frames, method, sample_rate, manifest.root, vectors)

    def make(folder: Path) -> None:
        write_features(folder, stacked_rows(session.each(method, work, manifest.clips)))

    return session.obtain(recipe, f"{method} of {len(manifest.clips)} clips", make, files=[FEATURES])


def _pooled(
    frames: Frames, method: str, sample_rate: int, root: Path, vectors: VectorConfig, clip: Clip
) -> dict[str, FloatArray]:
    def hear(hearing: Hearing) -> dict[str, FloatArray]:
        made = frames(hearing.samples(root, clip, sample_rate))
        require_finite(made, clip, method)
        return {f"{method}:{pooling}": pool(made, pooling) for pooling in vectors.poolings}

    with threadpool_limits(1):  # more threads round sums in another way
        return average(map(hear, hearings(vectors.hearings, spread=vectors.hearing_rates)))


def heard_key(heard: HeardFrames | None) -> dict[str, str]:
    """Return the input of a recipe; without other hearings there is none."""
    return {} if heard is None else {"heard": heard.key}


def hearings_key(vectors: VectorConfig) -> dict[str, str]:
    """Return the input of a recipe of a method that reads recordings; a single hearing adds nothing.

    The numbers of `VectorConfig.key` do not say what the hearings are.
    """
    if vectors.hearings == 1:
        return {}
    return {"hearings": text_hash(repr(hearings(vectors.hearings, spread=vectors.hearing_rates)))}
