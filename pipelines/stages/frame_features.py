"""Recordings -> frames that any function computes, pooled over each clip: features that need no training."""

from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from audio.reading import read_blocks
from audio.recordings.inspection import require_finite
from audio.recordings.manifest import Clip, Manifest, recordings_hash
from lm.pooling import POOLINGS, FloatArray, pool
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe
from pipelines.store.stored_features import FEATURES, stacked_rows, write_features

Frames = partial[FloatArray]  # of a function of a module: samples (num_samples,) -> (time, dims)


def frame_features(
    session: Session, manifest: Manifest, frames: Frames, *, method: str, sample_rate: int, version: int = 1
) -> Entry:
    """Compute the frames of each clip, and pool them under the keys ``method:pooling``.

    A clip is in memory as a whole. All folds share the entry.

    Args:
        session: store and terminal.
        manifest: clips.
        frames: the function and its options; the options belong to the key.
        method: name of the method.
        sample_rate: Hz of the samples.
        version: of the function; raise it with every change of its values.
    """
    recipe = Recipe(
        stage=f"{method}_features",
        version=version,
        config={"poolings": POOLINGS, **frames.keywords, "sample_rate": sample_rate},
        inputs={"recordings": recordings_hash(manifest)},
    )
    work = partial(_pooled, frames, method, sample_rate, manifest.root)

    def make(folder: Path) -> None:
        write_features(folder, stacked_rows(session.each(method, work, manifest.clips)))

    return session.obtain(recipe, f"{method} of {len(manifest.clips)} clips", make, files=[FEATURES])


def _pooled(frames: Frames, method: str, sample_rate: int, root: Path, clip: Clip) -> dict[str, FloatArray]:
    """Compute each pooling of the frames of a clip."""
    blocks = read_blocks(root / clip.path, sample_rate, part=clip.part)
    with threadpool_limits(1):  # more threads round sums in another way
        made = frames(np.concatenate([np.zeros(0, np.float32), *blocks]))
        require_finite(made, clip, method)
        return {f"{method}:{pooling}": pool(made, pooling) for pooling in POOLINGS}
