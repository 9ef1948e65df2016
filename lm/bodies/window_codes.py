"""Codes of windows of log-mel that are longer than a patch: further targets of a network that predicts codes.

A patch of 20 ms hardly says which word it belongs to. Each window around a patch is clustered as a whole. A network
that predicts the codes of these windows has to know more of the word::

    patches    [ 0 ][ 1 ][ 2 ][ 3 ][ 4 ][ 5 ]
    window 2     <------- . ------->              centred on the middle of patch 2; it may reach beyond the clip

A window is reduced to `BANDS` mel bands and `BINS` times, projected onto the principal components of the training
clips' windows, and quantised by k-means. Verma (2021, arXiv:2110.03183) describes sound by codes of patches of several
lengths; here such codes are targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lm.bodies.clips import FrameArray, StoredClips
from tokenizer.codebook import fit_codebook, nearest
from tokenizer.codes import IntArray

FloatArray = npt.NDArray[np.float32]

BANDS, BINS = 20, 8
COMPONENTS = 24
SAMPLE = 100_000  # windows that components and codes are fitted to
ITERATIONS = 25


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowCodebook:
    """The codes of windows of one length."""

    frames: int  # of a window
    patch_frames: int
    mean: FloatArray  # (bins * bands,)
    components: FloatArray  # (bins * bands, components)
    centroids: FloatArray  # (codes, components)

    def codes(self, log_mel: FrameArray) -> IntArray:
        """Return the code ``(patches,)`` of the window around each patch of ``(time, mels)`` log-mel."""
        vectors = window_vectors(log_mel, frames=self.frames, patch_frames=self.patch_frames)
        points = np.asarray((vectors - self.mean) @ self.components, np.float32)
        return nearest(points, self.centroids).astype(np.int32)


def fit_window_codebook(clips: StoredClips, *, frames: int, patch_frames: int, size: int, seed: int) -> WindowCodebook:
    """Fit ``size`` codes to windows of ``frames`` frames of some clips, which the seed draws.

    Raises:
        InputError: the clips have fewer windows than codes.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(clips))
    patches = accumulate((-(-clips.lengths[order] // patch_frames)).tolist())
    drawn = order[: 1 + sum(count < SAMPLE for count in patches)]
    windows = np.concatenate(
        [window_vectors(clips.clip(row), frames=frames, patch_frames=patch_frames) for row in drawn]
    )
    mean = windows.mean(0, dtype=np.float64).astype(np.float32)
    windows -= mean
    covariance = windows.T @ windows  # (dim, dim)
    components = np.ascontiguousarray(np.linalg.eigh(covariance)[1][:, : -COMPONENTS - 1 : -1])  # the largest first
    centroids, _ = fit_codebook(windows @ components, size=size, iterations=ITERATIONS, seed=seed)
    return WindowCodebook(
        frames=frames, patch_frames=patch_frames, mean=mean, components=components, centroids=centroids
    )


def window_vectors(log_mel: FrameArray, *, frames: int, patch_frames: int) -> FloatArray:
    """Average the window around each patch of ``(time, mels)`` log-mel to ``(patches, bins * bands)``.

    Beyond the clip a window has the clip's smallest value, as silence has. The averages are differences of one running
    sum, so their cost does not depend on the length of the window.
    """
    frames_32 = torch.from_numpy(log_mel.astype(np.float32))
    bands = nn.functional.adaptive_avg_pool1d(frames_32, min(BANDS, log_mel.shape[1])).numpy()
    padded = np.pad(bands, ((frames, frames + patch_frames), (0, 0)), constant_values=bands.min())
    sums = np.concatenate([np.zeros((1, bands.shape[1])), padded.cumsum(0, dtype=np.float64)])
    middles = np.arange(0, len(log_mel), patch_frames) + patch_frames // 2
    bins = min(BINS, frames)
    borders = np.arange(bins + 1) * frames // bins  # within a window
    edges = (middles - frames // 2 + frames)[:, None] + borders  # (patches, bins + 1), in the padded frames
    means = (sums[edges[:, 1:]] - sums[edges[:, :-1]]) / np.diff(borders)[None, :, None]
    return np.asarray(means.reshape(len(middles), -1), np.float32)


def with_window_codes(log_mel: StoredClips, codes: StoredClips, codebooks: Sequence[WindowCodebook]) -> StoredClips:
    """Append a stream ``(time, streams + 1)`` for each codebook to the codes of the same clips."""
    if not codebooks:
        return codes
    rows = []
    for row in range(len(codes)):
        own, frames = codes.clip(row), log_mel.clip(row)
        further = [each.codes(frames)[: len(own)] for each in codebooks]
        rows.append(np.column_stack([own, *further]).astype(np.int32))
    return StoredClips.together(rows)
