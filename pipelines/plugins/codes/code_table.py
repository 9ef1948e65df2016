"""What each code stands for: its nearest patches, their sounds, its mean spectrum, and the labels that it goes with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from pipelines.chain.trial import Trial
from pipelines.results.run_record import Made, Section
from pipelines.stages.codebooks import beginning
from pipelines.store.stage import StageRun, stage
from pipelines.store.store import CachedArtifact, write_json
from tokenizer.patches import to_patches
from tokenizer.tokenizer import Tokenizer
from wordless.audio.recordings.manifest import Clip, Clips, choose_evenly
from wordless.audio.waveform import Waveform
from wordless.base.arrays import DoubleArray, FloatArray, IndexArray
from wordless.base.threads import one_thread

SHUFFLES = 20  # of the labels among the clips, for the values that chance gives


class Occurrence(NamedTuple):
    """A patch that became a code; occurrences sort by their distance."""

    distance: float  # squared, from the bottleneck to the centroid
    clip: int  # index of the clip
    step: int  # time step in the clip


@dataclass(kw_only=True, eq=False)
class CodeTable:
    """Statistics of the codes of several clips."""

    tokenizer: Tokenizer
    examples: int  # nearest occurrences that are kept for each code, at most one of each clip
    histograms: list[IndexArray] = field(default_factory=list)  # uses of each code (codes,), clip by clip
    nearest: dict[int, list[Occurrence]] = field(default_factory=dict)  # of each code

    def __post_init__(self) -> None:
        self._spectra = np.zeros((len(self.tokenizer.centroids), self.tokenizer.config.height))

    @torch.inference_mode()
    def add(self, samples: FloatArray) -> None:
        """Add the whole patches of a clip: samples ``(num_samples,)`` at the tokenizer's rate."""
        tokenizer, clip = self.tokenizer, len(self.histograms)
        size, bands = len(tokenizer.centroids), tokenizer.config.bands
        self.histograms.append(np.zeros(size, np.int64))
        if len(samples) < tokenizer.config.samples_per_code:  # the front end needs a whole hop
            return
        spectrogram, (bottlenecks,) = tokenizer.signals_of(samples)  # (1, time, mels), (T, B, D)
        steps = len(bottlenecks)
        codes = tokenizer.nearest(bottlenecks).flatten().numpy()  # (T * B,)
        distances = (bottlenecks.flatten(0, 1) - tokenizer.centroids[codes]).square().sum(-1).numpy()
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
    def counts(self) -> IndexArray:
        """Uses of each code ``(codes,)``."""
        return np.asarray(np.sum(self.histograms, axis=0, dtype=np.int64))

    @property
    def spectra(self) -> DoubleArray:
        """Mean normalised log-mel of each code's patches ``(codes, mels of a patch)``; zeros for a code without use."""
        spectra: DoubleArray = self._spectra / np.maximum(self.counts, 1)[:, None]
        return spectra


def label_counts(histograms: Sequence[IndexArray], labels: Sequence[int], classes: int) -> DoubleArray:
    """Count the labels of each code's patches ``(codes, classes)``; a patch has the label of its clip."""
    counts: DoubleArray = np.stack(histograms, axis=1).astype(np.float64) @ np.eye(classes)[list(labels)]
    return counts


def information(counts: DoubleArray) -> dict[str, float]:
    """Measure from counts ``(codes, classes)`` the share of the codes' most frequent labels, and bits on labels."""
    joint = counts / counts.sum()
    expected = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    known = joint > 0
    bits = float((joint[known] * np.log2(joint[known] / expected[known])).sum())
    return {"purity": float(joint.max(1).sum()), "mutual_information": bits}


def chance(histograms: Sequence[IndexArray], labels: Sequence[int], classes: int, *, seed: int) -> dict[str, float]:
    """Measure `information` with labels shuffled among clips, which is not 0: the mean of `SHUFFLES` shuffles."""
    random = np.random.default_rng(seed)
    shuffled = (random.permutation(labels).tolist() for _ in range(SHUFFLES))
    found = [information(label_counts(histograms, each, classes)) for each in shuffled]
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


CODE_TABLE = "code_table.json"
_MAX_CLIPS = 400  # test clips, at most; of each its beginning
_SHOWN, _EXAMPLES = 12, 3  # codes with sounds, and sounds of each
SOUND_SECONDS = 0.3  # around the middle of a patch
_MAX_CLASSES = 100  # more labels are names of clips rather than classes


@stage("code_table", title="sounds and labels of the codes", splits=("test",))
@one_thread()
def code_table(run: StageRun, clips: Clips, labels: Sequence[str | None] | None, tokenizer: CachedArtifact) -> None:
    """Describe the codes of test clips and their only ``labels``; WAV files hold sounds of the most frequent codes."""
    coder, chosen = Tokenizer.from_pretrained(tokenizer.folder), choose_evenly(clips.clips, _MAX_CLIPS)
    table = CodeTable(tokenizer=coder, examples=_EXAMPLES)
    for clip in chosen:
        table.add(beginning(clips.root, coder.format.sample_rate, clip))
    shown = np.argsort(-table.counts, kind="stable")[:_SHOWN].tolist()
    for code in shown:
        for number, found in enumerate(table.nearest.get(code, [])):
            samples = beginning(clips.root, coder.format.sample_rate, chosen[found.clip])
            around(samples, found.step, coder).write(run.folder / sound_name(code, number))
    described = _describe(table, chosen, labels and choose_evenly(labels, _MAX_CLIPS))
    write_json(run.folder / CODE_TABLE, {**described, "shown": shown, "sound_seconds": SOUND_SECONDS})


def sound_name(code: int, number: int) -> str:
    return f"{code}_{number}.wav"


def around(samples: FloatArray, step: int, tokenizer: Tokenizer) -> Waveform:
    """Cut `SOUND_SECONDS` of a clip whose middle is the middle of time step ``step``; silence stands beyond the clip.

    ::

        codes    [   ][   ][step][   ][   ]
        sound        [      ^^      ]
    """
    rate, size = tokenizer.format.sample_rate, tokenizer.format.samples_per_code
    length = round(SOUND_SECONDS * rate)
    start = step * size + size // 2 - length // 2
    padded = np.pad(samples, (length, length))  # sample i of the clip is sample i + length
    return Waveform(samples=padded[start + length : start + 2 * length], sample_rate=rate)


def _describe(table: CodeTable, clips: Sequence[Clip], labels: Sequence[str | None] | None) -> dict[str, object]:
    counts, spectra = table.counts, table.spectra
    rows = list[dict[str, object]]()
    for code, count in enumerate(counts):
        nearest = [
            {"clip": clips[each.clip].name, "step": each.step, "file": sound_name(code, number)}
            for number, each in enumerate(table.nearest.get(code, []))
        ]
        shown = {"share": float(count / max(counts.sum(), 1)), "spectrum": spectra[code].round(3).tolist()}
        rows.append({"code": code, **shown, "nearest": nearest, "label": None, "purity": None})
    classes = sorted({label for label in labels or () if label is not None})
    if labels is None or None in labels or not 2 <= len(classes) <= _MAX_CLASSES or not counts.any():
        return {"clips": len(clips), "codes": rows, "labels": None}
    indices = [classes.index(label) for label in labels if label is not None]
    by_label = label_counts(table.histograms, indices, len(classes))
    for row, of_code in zip(rows, by_label, strict=True):
        if of_code.any():
            row |= {"label": classes[int(of_code.argmax())], "purity": float(of_code.max() / of_code.sum())}
    found = {"": information(by_label), "chance_": chance(table.histograms, indices, len(classes), seed=0)}
    known = {f"{of}{name}": value for of, each in found.items() for name, value in each.items()}
    return {"clips": len(clips), "codes": rows, "labels": {"classes": len(classes), **known}}


def describe_codes(trial: Trial) -> None:
    """Describe the codes of the test clips."""
    if test := trial.manifest.of("test"):
        labels = None if trial.settings.probe.label_separator else [clip.label for clip in test]
        trial.add(code_table(trial.session, trial.manifest, labels, trial.artifacts["tokenizer"]))


def code_table_section(made: Made) -> Section:
    [artifacts] = made.values()
    return artifacts["code_table"].read_json(CODE_TABLE) if "code_table" in artifacts else {}
