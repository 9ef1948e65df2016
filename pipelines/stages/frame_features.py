"""Recordings -> frames that any function computes, pooled over each clip: features that need no training."""

import inspect
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from audio.reading import read_blocks
from audio.recordings.inspection import require_finite
from audio.recordings.manifest import Clip, Manifest, recordings_hash
from lm.pooling import POOLINGS, FloatArray, pool
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, text_hash
from pipelines.store.stored_features import FEATURES, stacked_rows, write_features

Frames = partial[FloatArray]  # of a function of a module: samples (num_samples,) -> (time, dims)


def frame_features(session: Session, manifest: Manifest, frames: Frames, *, method: str, sample_rate: int) -> Entry:
    """Compute the frames of each clip, and pool them under the keys ``method:pooling``.

    A clip is in memory as a whole. All folds share the entry. The key contains the options and the source code of the
    function, so that a changed function is computed again; it does not contain the code of functions that it calls.

    Args:
        session: store and terminal.
        manifest: clips.
        frames: the function and its options.
        method: name of the method.
        sample_rate: Hz of the samples.
    """
    recipe = Recipe(
        stage=f"{method}_features",
        version=1,
        config={"poolings": POOLINGS, **frames.keywords, "sample_rate": sample_rate},
        inputs={"recordings": recordings_hash(manifest), "function": text_hash(inspect.getsource(frames.func))},
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
