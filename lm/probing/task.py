"""The task of a probe: the labels of the clips of each split; and the options of probes, with their penalties."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from lm.options import ProbeConfig
from lm.probing.comparison import IndexArray, whole_groups
from wordless.base.errors import InputError
from wordless.base.text import counted


def penalty_grid(count: int, config: ProbeConfig) -> tuple[float, ...]:
    """Return ``count`` values of C, ascending: the middles of equal parts of the range, on a log scale.

    The ends of the range would be poor choices: two penalties would be only them, and nothing in between.
    """
    low, high = np.log([config.penalty_low, config.penalty_high])
    return tuple(np.exp(low + (high - low) * (np.arange(count) + 0.5) / count).tolist())


def require_equal_counts(counts: Mapping[str, int]) -> None:
    """Refuse a comparison of methods with different numbers of penalties; 0 means that a method has its own scores."""
    tried = {of: count for of, count in counts.items() if count}
    if len(set(tried.values())) > 1:
        found = ", ".join(f"{of} {count}" for of, count in tried.items())
        raise InputError(f"the methods were not tried with equally many penalties ({found}); give all as many")


BoolArray = npt.NDArray[np.bool_]
RowArray = npt.NDArray[np.int64]

SPLITS = ("train", "validation", "test")
LARGE_FIT = 1 << 22  # values of the training features from which a GPU fits them: 4,096 clips of 1,024 dimensions


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeTask:
    """Labels and splits of clips. A clip without a label is in no split."""

    classes: tuple[str, ...]  # sorted
    targets: BoolArray  # (clips, classes)
    rows: Mapping[str, RowArray]  # the clips of each split
    multi_label: bool  # whether a clip may have several labels
    unlabelled: int  # number of clips that are left out
    notices: tuple[str, ...]  # limits of the figures, a line each
    # of each clip: what cross-validation holds out together; None: the validation clips choose
    parts: Sequence[str | None] | None = None
    groups: Sequence[str | None] | None = None  # of each clip: such as speakers, whose clips are alike
    noisy: Mapping[float, RowArray] = field(default_factory=dict)  # test clips with noise, by their ratio in dB
    device: torch.device | None = None  # that computes large fits; None: NumPy and SciPy on the CPU

    @classmethod
    def of(
        cls,
        labels: Sequence[str | None],
        splits: Sequence[str],
        *,
        label_separator: str | None = None,
        remedy: str = "change corpus.split so that each has any",
        groups: Sequence[str | None] | None = None,
        noise: Sequence[float | None] | None = None,
    ) -> "ProbeTask":
        """Build a task from each clip's label and split; with a separator, a label names several classes ("dog;rain").

        ``remedy`` is the advice in errors about a split without labels. ``notices`` name classes that are absent from
        validation or test. ``noise`` is each clip's signal-to-noise ratio; clips with one are in no split.

        Raises:
            InputError: there are fewer than two classes, a split is empty, or train lacks a class.
        """
        names = [_names(label, label_separator) for label in labels]
        known = np.array([bool(each) for each in names], bool)
        if not known.any():
            raise InputError(
                f"{len(labels)} of {len(labels)} clips have no label, which a probe predicts; name it in the corpus "
                "pattern, put each class in its own folder, or leave the probe out"
            )
        classes = tuple(sorted({name for each in names for name in each}))
        if len(classes) < 2:
            problem = f"all {known.sum()} clips with a label have {classes[0]!r}"
            raise InputError(f"{problem}; a probe needs at least 2 classes")
        rows = {split: np.flatnonzero(known & (np.array(splits) == split)) for split in SPLITS}
        if not all(map(len, rows.values())):
            found = ", ".join(f"{len(row)} {split}" for split, row in rows.items())
            raise InputError(f"there are {found} clips with a label; a probe needs some of each: {remedy}")
        ratios = np.array([np.nan] * len(names) if noise is None else noise, np.float64)  # nan: no noise
        numbers = {name: number for number, name in enumerate(classes)}
        targets = np.zeros((len(names), len(classes)), bool)
        for row, each in zip(targets, names, strict=True):
            row[[numbers[name] for name in each]] = True
        absent = {
            split: [name for name, present in zip(classes, targets[row].T, strict=True) if not present.any()]
            for split, row in rows.items()
        }
        if lost := absent["train"]:
            problem = f"{len(lost)} of {len(classes)} classes have no train clip ({', '.join(lost[:5])})"
            raise InputError(f"{problem}; a probe learns from some of each: {remedy}, or leave these classes out")
        unlabelled = int((~known).sum())
        return cls(
            classes=classes,
            targets=targets,
            rows=rows,
            multi_label=label_separator is not None,
            unlabelled=unlabelled,
            notices=tuple(_notices(len(classes), absent, unlabelled=unlabelled, clips=len(labels))),
            groups=groups,
            noisy={
                snr: np.flatnonzero(known & (ratios == snr)) for snr in dict.fromkeys(noise or ()) if snr is not None
            },
        )

    @cached_property
    def test_groups(self) -> list[IndexArray] | None:
        """The group of each test clip for `bootstrap`, if there are so many that whole groups are resampled.

        They are also those of the test clips with noise, which are in the same order.
        """
        return None if self.groups is None else whole_groups([self.groups[row] for row in self.rows["test"]])

    def device_for(self, features: npt.NDArray[np.float32]) -> torch.device | None:
        """Return the device that fits ``(clips, dim)`` training features; small ones are faster where they are."""
        return self.device if features.size >= LARGE_FIT else None

    def names(self, targets: BoolArray) -> tuple[str, ...] | tuple[tuple[str, ...], ...]:
        """Return the class of each row of ``(clips, classes)``; for several labels, the classes of each row."""
        several = tuple(tuple(self.classes[number] for number in np.flatnonzero(row)) for row in targets)
        return several if self.multi_label else tuple(each[0] for each in several)


def require_labels(labels: Sequence[str | None]) -> None:
    """Refuse labels that no probe can predict, before any recording is decoded: there must be two different ones."""
    classes = {label for label in labels if label is not None}
    labelled = sum(label is not None for label in labels)
    remedy = (
        "put each class into its own sub-folder, set corpus.pattern, name the column of a table "
        "(corpus.columns.label), or leave probes out: stages=[tokenizer,lm,vocoder,report]"
    )
    if not classes:
        raise InputError(f"{len(labels)} of {len(labels)} recordings have no label, which a probe predicts; {remedy}")
    if len(classes) < 2:
        those = counted(labelled, "recording") + (" with a label" if labelled < len(labels) else "")
        raise InputError(f"all {those} have the label {min(classes)!r}, and a probe tells at least 2 apart; {remedy}")


def _names(label: str | None, separator: str | None) -> tuple[str, ...]:
    if label is None or separator is None:
        return (label,) if label else ()
    return tuple(name for part in label.split(separator) if (name := part.strip()))


def _notices(classes: int, absent: Mapping[str, Sequence[str]], *, unlabelled: int, clips: int) -> Iterator[str]:
    if unlabelled:
        yield f"{unlabelled} of {clips} clips have no label and are left out of the probes"
    for split in ("validation", "test"):
        if names := absent[split]:
            more = ", ..." if len(names) > 5 else ""
            yield (
                f"{len(names)} of {classes} classes have no {split} clip ({', '.join(names[:5])}{more}): "
                "means over classes leave them out there"
            )
