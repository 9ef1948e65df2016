"""What each code stands for: its nearest patches, its mean spectrum, and how codes go with labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from tokenizer.autoencoder import to_patches
from tokenizer.tokenizer import Tokenizer
from wordless.audio.waveform import FloatArray

IntArray = npt.NDArray[np.int64]
Counts = npt.NDArray[np.float64]
SHUFFLES = 20  # of the labels among the clips, for the values that chance gives


class Occurrence(NamedTuple):
    """A patch that became a code; occurrences sort by their distance."""

    distance: float  # squared, from the bottleneck to the centroid
    clip: int  # index of the clip
    step: int  # time step in the clip


@dataclass(kw_only=True, eq=False)
class CodeTable:
    """Statistics of the codes of several clips; of several residual levels, of the first."""

    tokenizer: Tokenizer
    examples: int  # nearest occurrences that are kept for each code, at most one of each clip
    histograms: list[IntArray] = field(default_factory=list)  # uses of each code (codes,), clip by clip
    nearest: dict[int, list[Occurrence]] = field(default_factory=dict)  # of each code

    def __post_init__(self) -> None:
        config = self.tokenizer.config
        self._spectra = np.zeros((len(self.tokenizer.codebooks[0]), config.height))

    @torch.inference_mode()
    def add(self, samples: FloatArray) -> None:
        """Add the whole patches of a clip: samples ``(num_samples,)`` at the tokenizer's rate."""
        tokenizer, clip = self.tokenizer, len(self.histograms)
        size, bands = len(tokenizer.codebooks[0]), tokenizer.config.bands
        self.histograms.append(np.zeros(size, np.int64))
        if len(samples) < tokenizer.config.samples_per_code:  # the front end needs a whole hop
            return
        spectrogram = tokenizer.normalise(tokenizer.log_mel(torch.from_numpy(samples)[None]))
        bottlenecks = tokenizer.bottlenecks_of(samples, spectrogram)[0]  # (T, B, D), or states of a speech model
        steps = len(bottlenecks)
        codes = tokenizer.nearest(bottlenecks).reshape(steps, bands, -1)[..., 0].flatten().numpy()  # (T * B,)
        distances = (bottlenecks.flatten(0, 1) - tokenizer.codebooks[0][codes]).square().sum(-1).numpy()
        patches = to_patches(spectrogram, frames=tokenizer.patch_frames, height=tokenizer.config.height)[0, :steps]
        shapes = patches.reshape(steps * bands, tokenizer.patch_frames, -1).mean(1)  # (T * B, height)
        self.histograms[clip] += np.bincount(codes, minlength=size)
        np.add.at(self._spectra, codes, shapes.numpy())
        for code in np.unique(codes):
            places = np.flatnonzero(codes == code)
            place = int(places[distances[places].argmin()])
            found = [*self.nearest.get(int(code), []), Occurrence(float(distances[place]), clip, place // bands)]
            self.nearest[int(code)] = sorted(found)[: self.examples]

    @property
    def counts(self) -> IntArray:
        """Uses of each code ``(codes,)``."""
        counts: IntArray = np.sum(self.histograms, axis=0, dtype=np.int64)
        return counts

    @property
    def spectra(self) -> Counts:
        """Mean normalised log-mel of each code's patches ``(codes, mels of a patch)``; zeros for a code without use."""
        spectra: Counts = self._spectra / np.maximum(self.counts, 1)[:, None]
        return spectra


@dataclass(frozen=True, kw_only=True)
class Information:
    """Purity of codes, and their mutual information with labels."""

    purity: float  # ratio of patches whose label is the most frequent one of their code
    mutual_information: float  # between the code and the label of a patch, in bits


def label_counts(histograms: Sequence[IntArray], labels: Sequence[int], classes: int) -> Counts:
    """Count the labels of each code's patches ``(codes, classes)``; a patch has the label of its clip."""
    counts: Counts = np.stack(histograms, axis=1).astype(np.float64) @ np.eye(classes)[list(labels)]
    return counts


def information(counts: Counts) -> Information:
    """Measure purity and mutual information of counts ``(codes, classes)``."""
    joint = counts / counts.sum()
    expected = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    known = joint > 0
    bits = float((joint[known] * np.log2(joint[known] / expected[known])).sum())
    return Information(purity=float(joint.max(1).sum()), mutual_information=bits)


def chance(histograms: Sequence[IntArray], labels: Sequence[int], classes: int, *, seed: int) -> Information:
    """Measure `information` with the labels shuffled among the clips: the mean of `SHUFFLES` shuffles.

    Few patches of many codes have some purity and some mutual information by chance alone.
    """
    found = list(_shuffled(histograms, labels, classes, seed))
    return Information(
        purity=float(np.mean([each.purity for each in found])),
        mutual_information=float(np.mean([each.mutual_information for each in found])),
    )


def _shuffled(histograms: Sequence[IntArray], labels: Sequence[int], classes: int, seed: int) -> Iterator[Information]:
    random = np.random.default_rng(seed)
    for _ in range(SHUFFLES):
        yield information(label_counts(histograms, random.permutation(labels).tolist(), classes))
