"""Choice by cross-validation: each part of the training and validation clips is held out once.

A part is one of five folds of whole groups, such as speakers, or a fold that the data set gives. The choice by a few
validation speakers depends on these speakers; cross-validation asks all speakers of training and validation, and no
speaker is in training and held out at once. No test clip takes part.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lm.options import ProbeConfig
from lm.probing.logistic import side_by_side
from lm.probing.task import ProbeTask, RowArray
from wordless.base.errors import InputError

Rows = Mapping[str, RowArray]
Names = Sequence[str | None]
FOLDS = 5  # of whole groups, where there are that many
MOST_PARTS = 50  # given folds; each costs a fit for every penalty


def with_parts(task: ProbeTask, config: ProbeConfig, *, groups: Names, folds: Names) -> ProbeTask:
    """Return the task with the part of each clip that ``config.choose_by`` holds out; none where validation chooses.

    ``groups`` and ``folds`` are the group and the given fold of each clip. With ``auto``, whole groups are held out if
    there are at least `FOLDS`, no test clip is of one of them (else the test asks for known groups, and so do the
    validation clips), and each class is left in training whichever part is held out.

    Raises:
        InputError: the wanted parts cannot be held out: a clip has none, there are fewer than two or too many given
            folds, or all clips of a class lie in one part.
    """
    match config.choose_by:
        case "validation":
            return task
        case "fold":
            parts = replace(task, parts=folds)
            _require_parts(parts, "fold")
        case "group":
            _require_parts(replace(task, parts=groups), "group")
            parts = replace(task, parts=folds_of_groups(task, groups, seed=config.seed))
        case "auto":
            known = {groups[row] for row in _known(task)}
            tested = {groups[row] for row in task.rows["test"]}
            if None in known or len(known) < FOLDS or known & tested:
                return task
            parts = replace(task, parts=folds_of_groups(task, groups, seed=config.seed))
            return task if any(map(_lost, _without_each_part(parts))) else parts
    for name, lost in zip(_names(parts), map(_lost, _without_each_part(parts)), strict=True):
        if lost:
            raise InputError(
                f"all training and validation clips of {task.classes[lost[0]]!r} are of {name!r}, which "
                "probe.choose_by leaves out once; use probe.choose_by=validation, or add clips of other groups or folds"
            )
    return parts


def folds_of_groups(task: ProbeTask, groups: Names, *, seed: int) -> list[str | None]:
    """Divide the groups of the training and validation clips into `FOLDS` folds; return the fold of each clip.

    The largest group comes first, and ``seed`` orders groups of one size. Each group joins the fold that has the fewest
    clips of the classes of the group, the smallest one among equals. A fold has the name of its group, or of the first
    of its groups, after its number.
    """
    known = _known(task)
    names, numbers = np.unique([str(groups[row]) for row in known], return_inverse=True)
    sizes = np.zeros((len(names), len(task.classes)))  # clips of each group and class
    np.add.at(sizes, numbers, task.targets[known])
    clips = np.bincount(numbers)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    filled, totals = np.zeros((min(FOLDS, len(names)), len(task.classes))), np.zeros(min(FOLDS, len(names)))
    fold_of = np.zeros(len(names), np.int64)
    for group in shuffled[np.argsort(-clips[shuffled], kind="stable")]:
        fold = fold_of[group] = np.lexsort((totals, filled @ sizes[group]))[0]
        filled[fold] += sizes[group]
        totals[fold] += clips[group]
    members = [names[fold_of == fold].tolist() for fold in range(len(totals))]
    titles = [
        f"{number}: {first}" + (f" and {len(others)} more" if others else "")
        for number, (first, *others) in enumerate(members, 1)
    ]
    parts: list[str | None] = [None] * len(groups)
    for row, group in zip(known, numbers, strict=True):
        parts[row] = titles[fold_of[group]]
    return parts


def divisions(task: ProbeTask) -> Iterator[Rows]:
    """Give a division into ``train`` and ``validation`` for each part of the task, in the order of the parts' names."""
    known = _known(task)
    assert task.parts is not None, "only a task with parts can be divided"
    parts = np.array([str(task.parts[row]) for row in known])
    for name in _names(task):
        yield {"train": known[parts != name], "validation": known[parts == name]}


def over_divisions(
    task: ProbeTask, reached: Callable[[Rows], Sequence[float]], *, threads: int = 1
) -> npt.NDArray[np.float64]:
    """List what ``reached`` finds in each division ``(parts, penalties)``; in the mean every part has the same weight.

    ``threads`` divisions are computed side by side.
    """
    return np.array(side_by_side(reached, divisions(task), threads=threads), np.float64)


def _known(task: ProbeTask) -> RowArray:
    return np.sort(np.concatenate([task.rows["train"], task.rows["validation"]]))


def _names(task: ProbeTask) -> list[str]:
    assert task.parts is not None, "only a task with parts can be divided"
    return sorted({str(task.parts[row]) for row in _known(task)})


def _without_each_part(task: ProbeTask) -> Iterator[npt.NDArray[np.bool_]]:
    """Give the targets ``(clips, classes)`` that are left in training while each part is held out."""
    return (task.targets[rows["train"]] for rows in divisions(task))


def _lost(targets: npt.NDArray[np.bool_]) -> list[int]:
    """List the classes that none of the clips has."""
    missing: list[int] = np.flatnonzero(~targets.any(0)).tolist()
    return missing


def _require_parts(task: ProbeTask, by: str) -> None:
    """Refuse clips without a group or fold, and numbers of them that cannot be held out."""
    known = _known(task)
    named = {None if task.parts is None else task.parts[row] for row in known}
    if None in named:
        without = sum(task.parts is None or task.parts[row] is None for row in known)
        raise InputError(
            f"{without} of {len(known)} training and validation clips have no {by}, and probe.choose_by={by} leaves "
            f"out each once; name {{{by}}} in corpus.pattern, add the column {by} to corpus.table, or use "
            "probe.choose_by=auto"
        )
    most = MOST_PARTS if by == "fold" else len(known)
    if not 2 <= len(named) <= most:
        few, bound = ", ".join(sorted(map(str, named))[:3]), f" to {most}" if by == "fold" else " or more"
        raise InputError(
            f"probe.choose_by={by} leaves out {by}s of the training and validation clips, and they have {len(named)} "
            f"({few}); it takes 2{bound}: use probe.choose_by=auto"
        )
