"""The clips of a fine-tuning: those that body and head can read, and what the body's weights know of them already.

Weights know the training clips of the run that made them, which its ``manifest.tsv`` lists. Some bodies have learned
the labels of these clips, too; the others also know the clips of the run's ``unlabelled.tsv``.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from lm.batches import IndexArray
from lm.bodies.body import Body, Source
from lm.bodies.clips import StoredClips
from lm.finetuning import HeadOptions
from lm.heads import Groups, Task
from lm.probing.comparison import whole_groups
from pipelines.chain.corpus import MANIFEST
from pipelines.chain.unlabelled import unlabelled_of_run
from pipelines.finetune import FinetuneConfig
from pipelines.stages.labels import LabelledInputs
from tokenizer.tokenizer import Tokenizer
from wordless.audio.decoding import Channel
from wordless.audio.reading import resampled_length
from wordless.audio.recordings.manifest import (
    SPLITS,
    Clip,
    Manifest,
    Rejected,
    Split,
    overlap_notices,
    read_manifest,
    trained_on,
)
from wordless.base.errors import InputError, named
from wordless.base.saved_models import CONFIG
from wordless.base.text import counted


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledClips:
    """Clips with labels; a row is the number of a clip."""

    manifest: Manifest  # of these clips alone
    set_aside: tuple[Rejected, ...]

    @cached_property
    def labels(self) -> list[str]:
        """The label of each clip."""
        return [clip.label or "" for clip in self.manifest.clips]

    @cached_property
    def rows(self) -> Mapping[Split, IndexArray]:
        """The rows of each split."""
        splits = np.array([clip.split for clip in self.manifest.clips])
        return {split: np.flatnonzero(splits == split) for split in SPLITS}

    @cached_property
    def test_groups(self) -> Groups | None:
        """The group of each test clip, if there are so many that whole groups are resampled."""
        return whole_groups([self.manifest.clips[row].group for row in self.rows["test"]])

    def labels_of(self, rows: IndexArray) -> list[str]:
        """Return the labels of some clips."""
        return [self.labels[row] for row in rows]

    def inputs_of(self, rows: IndexArray, stored: StoredClips) -> LabelledInputs:
        """Return the inputs of some clips with their labels."""
        return LabelledInputs(clips=stored.of_rows(rows), names=self.names_of(rows), labels=self.labels_of(rows))

    def names_of(self, rows: IndexArray) -> list[str]:
        """Return the names of some clips."""
        return [self.manifest.clips[row].name for row in rows]

    @property
    def notices(self) -> list[str]:
        """How many clips were set aside, and why."""
        reasons = Counter(each.reason for each in self.set_aside)
        return [f"{counted(count, 'clip')} set aside: {reason}" for reason, count in reasons.items()]

    def without(self, reasons: Mapping[str, str]) -> "LabelledClips":
        """Set aside the clips that ``reasons`` names."""
        kept = tuple(clip for clip in self.manifest.clips if clip.name not in reasons)
        more = tuple(Rejected(path=name, reason=reason) for name, reason in reasons.items())
        return LabelledClips(manifest=replace(self.manifest, clips=kept), set_aside=(*self.set_aside, *more))


def labelled_clips(
    manifest: Manifest, body: Body, options: HeadOptions, *, max_seconds: float, upsample: bool
) -> LabelledClips:
    """Return the clips that have a label and that the body can read; of the others, return the reasons.

    Raises:
        InputError: recordings have a lower rate than the body, or a split has no clip.
    """
    if not upsample:
        _require_rate(manifest, body.reading.sample_rate)
    clips = LabelledClips(manifest=manifest, set_aside=())
    checked = {clip.name: _fault(clip, body, options, max_seconds) for clip in manifest.clips}
    fit = clips.without({name: reason for name, reason in checked.items() if reason})
    _require_filled(fit)
    return fit


def with_room(clips: LabelledClips, body: Body, task: Task) -> LabelledClips:
    """Set aside the training clips that are too short for their label."""
    reading = body.reading
    rate = reading.states_per_second
    short = {
        clip.name: f"too short for its label at {rate:g} states per second"
        for clip in clips.manifest.of("train")
        if not task.fits(clip.label or "", reading.num_states(num_inputs(clip, body)), states_per_second=rate)
    }
    if not short:
        return clips
    fit = clips.without(short)
    _require_filled(fit)
    return fit


def num_inputs(clip: Clip, body: Body) -> int:
    """Count the inputs that the body makes of a clip."""
    return body.num_inputs(resampled_length(clip.num_samples, clip.sample_rate, body.reading.sample_rate))


def _fault(clip: Clip, body: Body, options: HeadOptions, max_seconds: float) -> str:
    """Return why a clip cannot be used; empty if it can."""
    if clip.label is None:
        return "it has no label"
    samples = resampled_length(clip.num_samples, clip.sample_rate, body.reading.sample_rate)
    if samples < body.reading.least_samples:
        milliseconds = 1000 * body.reading.least_samples / body.reading.sample_rate
        return f"shorter than the {milliseconds:g} ms of a state"
    if options.reads_whole_clips and clip.split == "train" and clip.seconds > max_seconds:
        return f"longer than body.batches.max_seconds={max_seconds:g}, and a part of it would not fit its label"
    return ""


def _require_rate(manifest: Manifest, rate: int) -> None:
    low = [clip for clip in manifest.clips if clip.sample_rate < rate]
    if low:
        raise InputError(
            f"{counted(len(low), 'clip')} of {len(manifest.clips)} have a lower sample rate than the body's {rate} Hz "
            f"({low[0].path}: {low[0].sample_rate} Hz); choose a body of that rate (a run with audio.sample_rate="
            f"{low[0].sample_rate}), or allow it with upsample=true"
        )


def _require_filled(clips: LabelledClips) -> None:
    empty = [split for split in SPLITS if not len(clips.rows[split])]
    if empty:
        why = f" ({'; '.join(clips.notices)})" if clips.set_aside else ""
        raise InputError(
            f"no {' and no '.join(empty)} clip can be used{why}; fine-tuning needs some of each split: label more "
            "recordings, or change corpus.split"
        )


def require_unseen_labels(settings: FinetuneConfig, source: Source, manifest: Manifest) -> tuple[str, ...]:
    """Refuse what labels that the weights have learned would make untrue; return notices, a sentence each.

    Raises:
        InputError: weights that learned labels have learned those of test clips, or those of training clips of which
            only a share has a label in the fine-tuning.
    """
    # The folder of the run that made what the body uses, if it lists its recordings.
    owner = settings.model if settings.body.needs else source.weights and source.weights.parent
    if owner is None or not (owner / MANIFEST).is_file():
        unknown = (
            f"the weights of body={settings.body.name} learned labels, and no {MANIFEST} beside them lists the "
            "recordings: test clips and small shares of labels mean nothing if these recordings are among them"
        )
        return (unknown,) if source.learned_labels else ()
    trained = read_manifest(owner / MANIFEST, manifest.root)
    if source.learned_labels:
        _require_unseen(settings, manifest, trained, owner)
    readers = f"the pre-trained weights of body={settings.body.name}"
    unlabelled = () if source.learned_labels else unlabelled_of_run(owner, manifest.root)
    found = overlap_notices(manifest, trained, owner=owner, readers=readers, unlabelled=unlabelled)
    return tuple(named(each, "corpus") for each in found)


def _require_unseen(settings: FinetuneConfig, manifest: Manifest, trained: Manifest, owner: Path) -> None:
    """Refuse test clips, and shares of training clips, whose labels the weights have learned."""
    test, train = manifest.of("test"), manifest.of("train")
    weights = f"the weights of body={settings.body.name}, which {owner} trained, learned the labels"
    if known := trained_on(test, trained.of("train")):
        raise InputError(
            f"{weights} of {known} of {len(test)} test clips: divide the recordings as that run did (corpus.split), "
            "name other recordings, or choose body.weights=none"
        )
    if settings.shares[0] < 1 and (known := trained_on(train, trained.of("train"))):
        raise InputError(
            f"shares={list(settings.shares)}, but {weights} of {known} of {len(train)} training clips, and with them "
            "more labels than the share: choose shares=[1.0], name other recordings, or choose body.weights=none"
        )


def channel_of(settings: FinetuneConfig, source: Source) -> Channel:
    """Return the channel of recordings that is read: the chosen one, or that of the run's tokenizer."""
    if settings.audio.channel is not None:
        return settings.audio.channel
    run = settings.model
    folders = [source.folder / "tokenizer", *([run / "tokenizer"] if run is not None else [])]
    tokenizer = next((folder for folder in folders if (folder / CONFIG).is_file()), None)
    return "mean" if tokenizer is None else Tokenizer.from_pretrained(tokenizer).front_end.channel
