"""The task of a probe: the labels of the clips of each split, and the parts of them that cross-validation holds out.

In a choice by cross-validation each part of the training and validation clips is held out once. A part is one of five
folds of whole groups, such as speakers, or a fold that the data set gives. The choice by a few validation speakers
depends on these speakers; cross-validation asks all speakers of training and validation, and no speaker is in training
and held out at once. No test clip takes part.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from lm.probing.probe_options import ProbeConfig, label_names
from wordless.audio.views import LEARNED, Noise
from wordless.base.arrays import BoolArray, FloatArray, IndexArray
from wordless.base.messages import InputError, counted
from wordless.base.seeds import balanced, set_title


def c_grid(count: int, config: ProbeConfig) -> tuple[float, ...]:
    """Return ``count`` values of C, ascending: the middles of equal parts of the range, on a log scale."""
    low, high = np.log([config.c_low, config.c_high])
    return tuple(np.exp(low + (high - low) * (np.arange(count) + 0.5) / count).tolist())


def require_equal_counts(counts: Mapping[str, int]) -> None:
    """Refuse methods with different numbers of regularisation strengths; 0: a method has its own scores."""
    tried = {of: count for of, count in counts.items() if count}
    if len(set(tried.values())) > 1:
        found = ", ".join(f"{of} {count}" for of, count in tried.items())
        raise InputError(
            f"the methods were not tried with equally many regularisation strengths ({found}); give all as many"
        )


_SPLITS = ("train", "validation", "test")
LARGE_FIT = 1 << 22  # values of the training features from which a GPU fits them: 4,096 clips of 1,024 dimensions


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeTask:
    """Labels and splits of clips. A clip without a label is in no split."""

    classes: tuple[str, ...]  # sorted
    targets: BoolArray  # (clips, classes)
    rows: Mapping[str, IndexArray]  # the clips of each split
    multi_label: bool  # whether a clip may have several labels
    unlabelled: int = 0  # number of clips that are left out
    notices: tuple[str, ...] = ()  # limits of the figures, a line each
    # of each clip: what cross-validation holds out together; None: the validation clips choose
    parts: Sequence[str | None] | None = None
    groups: Sequence[str | None] | None = None  # of each clip: such as speakers, whose clips are alike
    noisy: Mapping[Noise, IndexArray] = field(default_factory=dict)  # test clips with each noise
    copy_of: IndexArray | None = None  # (clips,): row of the noisy copy of each training clip, else -1; None: no copies
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
        noise: Sequence[Noise | None] | None = None,
        all_learned: bool = False,
    ) -> "ProbeTask":
        """Build a task from each clip's label and split; with a separator, a label names several classes ("dog;rain").

        ``remedy`` is the advice where a split has no labels, or train lacks a class. ``notices`` name classes that are
        absent from validation or test, and those that are absent from train: clips of these are left out, unless all
        classes must be learned (``all_learned``). ``noise`` is that of each clip; clips with one are in no split, and
        those with `LEARNED` are copies of the training clips, in the same order.
        """
        names = [label_names(label, label_separator) if label else () for label in labels]
        unlabelled = np.array([not each for each in names], bool)
        learned = {name for own, split in zip(names, splits, strict=True) if split == "train" for name in own}
        notices = list[str]()
        if not all_learned and len(learned) > 1:
            notices += _not_learned(names, splits, learned, [each is not None for each in noise or [None] * len(names)])
            names = [tuple([name for name in own if name in learned]) for own in names]
        known = np.array([bool(each) for each in names], bool)
        classes = tuple(sorted({name for each in names for name in each}))
        if len(classes) < 2:
            none = f"{len(labels)} of {len(labels)} clips have no label"
            found = f"all {known.sum()} clips with a label have {classes[0]!r}" if classes else none
            problem = f"{found}, and a probe needs at least 2 classes"
            raise InputError(f"{problem}; name them in the corpus pattern or by folders, or leave the probe out")
        numbers, kinds = _numbered(noise or [None] * len(names))
        plain = numbers < 0
        rows = {split: np.flatnonzero(known & plain & (np.array(splits) == split)) for split in _SPLITS}
        if not all(map(len, rows.values())):
            found = ", ".join(f"{len(row)} {split}" for split, row in rows.items())
            found = "; ".join([f"there are {found} clips with a label that can be learned", *notices])
            raise InputError(f"{found}; a probe needs some of each: {remedy}")
        columns = {label: column for column, label in enumerate(classes)}
        targets = np.zeros((len(names), len(classes)), bool)
        for row, own in zip(targets, names, strict=True):
            row[[columns[label] for label in own]] = True
        without = int((plain & unlabelled).sum())
        notices += [f"{without} of {plain.sum()} clips have no label and are left out of the probes"] if without else []
        for split, row in rows.items():
            if lost := [name for name, own in zip(classes, targets[row].T, strict=True) if not own.any()]:
                more = ", ..." if len(lost) > 5 else ""
                problem = f"{len(lost)} of {len(classes)} classes have no {split} clip ({', '.join(lost[:5])}{more})"
                if split == "train":
                    rule = "a probe learns from some of each"
                    raise InputError(f"{problem}; {rule}: {remedy}, or leave these classes out")
                notices.append(f"{problem}: means over classes leave them out there")
        return cls(
            classes=classes,
            targets=targets,
            rows=rows,
            multi_label=label_separator is not None,
            unlabelled=without,
            notices=tuple(notices),
            groups=groups,
            noisy={
                each: np.flatnonzero(known & (numbers == number)) for each, number in kinds.items() if each != LEARNED
            },
            copy_of=_copies(splits, plain, numbers == kinds[LEARNED]) if LEARNED in kinds else None,
        )

    def learned_rows(self, rows: IndexArray) -> IndexArray:
        """Return the clips that a probe of training clips ``rows`` is fitted to: these, then their noisy copies."""
        if self.copy_of is None:
            return rows
        copies = self.copy_of[rows]
        return np.concatenate([rows, copies[copies >= 0]])

    def learned(self, rows: Mapping[str, IndexArray]) -> dict[str, IndexArray]:
        """Return the rows of each split, and in train those that a probe is fitted to."""
        return {**rows, "train": self.learned_rows(rows["train"])}

    @cached_property
    def test_groups(self) -> Sequence[str | None]:
        """The group of each test clip, with noise too; empty where clips have none."""
        return () if self.groups is None else [self.groups[row] for row in self.rows["test"]]

    @cached_property
    def most_frequent(self) -> tuple[str, float] | None:
        """The most frequent class of train, and the test accuracy of always answering it; None with several labels."""
        if self.multi_label:
            return None
        frequent = int(self.targets[self.rows["train"]].sum(0).argmax())
        return self.classes[frequent], float(self.targets[self.rows["test"]][:, frequent].mean())

    def device_for(self, features: FloatArray) -> torch.device | None:
        """Return the device that fits ``(clips, dim)`` training features; small ones are faster where they are."""
        return self.device if features.size >= LARGE_FIT else None

    def names(self, targets: BoolArray) -> tuple[str, ...] | tuple[tuple[str, ...], ...]:
        """Return the class of each row of ``(clips, classes)``; for several labels, the classes of each row."""
        several = tuple(tuple(self.classes[number] for number in np.flatnonzero(row)) for row in targets)
        return several if self.multi_label else tuple(each[0] for each in several)


def _numbered(noise: Sequence[Noise | None]) -> tuple[IndexArray, dict[Noise, int]]:
    """Number the noises in the order in which they come; return the number of each clip, -1 without noise."""
    kinds = {each: number for number, each in enumerate(dict.fromkeys(each for each in noise if each is not None))}
    return np.array([-1 if each is None else kinds[each] for each in noise]), kinds


def _copies(splits: Sequence[str], plain: BoolArray, copied: BoolArray) -> IndexArray:
    """Return the row of the copy of each training clip, -1 of others."""
    found = np.full(len(plain), -1)
    found[plain & (np.array(splits) == "train")] = np.flatnonzero(copied)
    return found


def _not_learned(
    names: Sequence[Sequence[str]], splits: Sequence[str], learned: Collection[str], noisy: Sequence[bool]
) -> Iterator[str]:
    """Give a notice of the clips of each split that have a class which no training clip has."""
    for split in _SPLITS[1:]:
        of_split = [own for own, each, noise in zip(names, splits, noisy, strict=True) if each == split and not noise]
        others = [[name for name in own if name not in learned] for own in of_split]
        if lost := sorted({name for own in others for name in own}):
            which = f"{sum(map(bool, others))} of {len(of_split)} {split} clips have a class that no train clip has"
            classes = f"{', '.join(lost[:5])}{', ...' if lost[5:] else ''}"
            yield f"{which} ({classes}): no probe can get it right, and it is left out of all figures"


def require_labels(labels: Sequence[str | None]) -> None:
    """Refuse labels that no probe can predict, before any recording is decoded: there must be two different ones."""
    given = [label for label in labels if label is not None]
    remedy = (
        "put each class into its own sub-folder, set corpus.pattern, name the column of a table "
        "(corpus.columns.label), or leave probes out: stages=[tokenizer,lm,vocoder,report]"
    )
    if not given:
        raise InputError(f"{len(labels)} of {len(labels)} recordings have no label, which a probe predicts; {remedy}")
    if len({*given}) < 2:
        those = counted(len(given), "recording") + (" with a label" if len(given) < len(labels) else "")
        raise InputError(f"all {those} have the label {given[0]!r}, and a probe tells at least 2 apart; {remedy}")


Rows = Mapping[str, IndexArray]
Names = Sequence[str | None]
FOLDS = 5  # of whole groups, where there are that many
_MOST_PARTS = 50  # given folds; each costs a fit for every regularisation strength


def with_parts(task: ProbeTask, config: ProbeConfig, *, groups: Names, folds: Names) -> ProbeTask:
    """Return the task with the part of each clip that ``config.choose_by`` holds out; none where validation chooses.

    ``groups`` and ``folds`` are the group and the given fold of each clip. With ``auto``, whole groups are held out if
    there are at least `FOLDS`, no test clip is of one of them, and each class is left in training whichever part is
    held out. Otherwise parts that cannot be held out are refused.
    """
    by, known = config.choose_by, {groups[row] for row in _known(task)}
    if by == "validation":
        return task
    if by != "auto":
        _require_parts([(folds if by == "fold" else groups)[row] for row in _known(task)], by)
    elif None in known or len(known) < FOLDS or known & {groups[row] for row in task.rows["test"]}:
        return task
    parts = replace(task, parts=folds if by == "fold" else folds_of_groups(task, groups, seed=config.seed))
    for name, rows in divisions(parts).items():
        missing = np.flatnonzero(~task.targets[rows["train"]].any(0))
        if missing.size and by == "auto":
            return task
        if missing.size:
            raise InputError(
                f"all training and validation clips of {task.classes[missing[0]]!r} are of {name!r}, which "
                "probe.choose_by leaves out once; use probe.choose_by=validation, or add clips of other groups or folds"
            )
    return parts


def folds_of_groups(task: ProbeTask, groups: Names, *, seed: int) -> list[str | None]:
    """Divide the groups of the training and validation clips into `FOLDS` folds; return the fold of each clip."""
    known = _known(task)
    names, numbers = np.unique([str(groups[row]) for row in known], return_inverse=True)
    sizes = np.zeros((len(names), len(task.classes)))  # clips of each group and class
    np.add.at(sizes, numbers, task.targets[known])
    count = min(FOLDS, len(names))
    fold_of = balanced(sizes, np.bincount(numbers).astype(np.float64), count, seed=seed)
    titles = [set_title(fold + 1, names[fold_of == fold].tolist()) for fold in range(count)]
    parts: list[str | None] = [None] * len(groups)
    for row, group in zip(known, numbers, strict=True):
        parts[row] = titles[fold_of[group]]
    return parts


def training_parts(task: ProbeTask, *, seed: int) -> list[str | None]:
    """Return the part of each training clip, for cross-validation within train alone.

    The parts are those of the task. If it has none, they are folds of whole groups that are not tested; if these are
    fewer than two, folds of clips.
    """
    rows = task.rows["train"]
    if task.parts is not None and len({task.parts[row] for row in rows}) > 1:
        return [task.parts[row] for row in rows]
    groups = [None if task.groups is None else task.groups[row] for row in rows]
    if None in groups or len({*groups}) < 2 or {*groups} & {*task.test_groups}:
        groups = [str(number) for number in range(len(rows))]
    every = np.arange(len(rows))
    alone = replace(task, targets=task.targets[rows], rows={"train": every, "validation": every[:0]})
    return folds_of_groups(alone, groups, seed=seed)


def divisions(task: ProbeTask) -> dict[str, Rows]:
    """Divide clips into ``train`` and ``validation`` for each part of the task, in the order of the parts' names."""
    assert task.parts is not None, "only a task with parts can be divided"
    known = _known(task)
    parts = np.array([str(task.parts[row]) for row in known])
    return {str(name): {"train": known[parts != name], "validation": known[parts == name]} for name in np.unique(parts)}


def _known(task: ProbeTask) -> IndexArray:
    return np.sort(np.concatenate([task.rows["train"], task.rows["validation"]]))


def _require_parts(named: Names, by: str) -> None:
    """Refuse clips without a group or fold, and numbers of them that cannot be held out."""
    if without := sum(name is None for name in named):
        raise InputError(
            f"{without} of {len(named)} training and validation clips have no {by}, and probe.choose_by={by} leaves "
            f"out each once; name {{{by}}} in corpus.pattern, add the column {by} to corpus.table, or use "
            "probe.choose_by=auto"
        )
    known, most = sorted({str(name) for name in named}), _MOST_PARTS if by == "fold" else len(named)
    if not 2 <= len(known) <= most:
        most_parts = f" to {most}" if by == "fold" else " or more"
        raise InputError(
            f"probe.choose_by={by} leaves out {by}s of the training and validation clips, and they have {len(known)} "
            f"({', '.join(known[:3])}); it takes 2{most_parts}: use probe.choose_by=auto"
        )
