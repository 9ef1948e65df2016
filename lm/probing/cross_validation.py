"""Choice by cross-validation: each part of the training and validation clips is held out once.

A part is a group, such as a speaker, or a fold that the data set gives. The choice by a single validation speaker
depends on that speaker; a mean over several speakers depends less on each. No test clip takes part.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from foundation.errors import InputError
from lm.probing.task import ProbeTask, RowArray

Rows = Mapping[str, RowArray]
MOST_PARTS = 50  # each costs a fit for every try


def divisions(task: ProbeTask) -> Iterator[Rows]:
    """Give a division into ``train`` and ``validation`` for each part, in the order of the parts' names.

    Raises:
        InputError: a clip has no part, there are fewer than two parts, or all clips of a class lie in one of them.
    """
    known = np.sort(np.concatenate([task.rows["train"], task.rows["validation"]]))
    parts = _parts(task, known)
    names = sorted({*parts})
    if not 2 <= len(names) <= MOST_PARTS:
        raise InputError(
            f"probe.choose_by leaves out each group or fold of the training and validation clips once, and they have "
            f"{len(names)} ({', '.join(names[:3])}); it takes 2 to {MOST_PARTS}: use probe.choose_by=validation"
        )
    for name in names:
        held_out = np.array([part == name for part in parts])
        fitted = known[~held_out]
        if lost := [task.classes[number] for number in np.flatnonzero(~task.targets[fitted].any(0))]:
            raise InputError(
                f"all training and validation clips of {lost[0]!r} are of {name!r}, which probe.choose_by leaves out "
                "once; use probe.choose_by=validation, or add clips of other groups or folds"
            )
        yield {"train": fitted, "validation": known[held_out]}


def over_divisions(task: ProbeTask, reached: Callable[[Rows], Sequence[float]]) -> npt.NDArray[np.float64]:
    """List what ``reached`` finds in each division ``(parts, tries)``; in the mean every part has the same weight."""
    return np.array([reached(rows) for rows in divisions(task)], np.float64)


def _parts(task: ProbeTask, rows: RowArray) -> list[str]:
    """Return the group or fold of each of the clips ``rows``."""
    parts = [None if task.parts is None else task.parts[row] for row in rows]
    named = [part for part in parts if part is not None]
    if len(named) < len(parts):
        raise InputError(
            f"{len(parts) - len(named)} of {len(parts)} training and validation clips have no group or fold, and "
            "probe.choose_by leaves out each once; name {group} or {fold} in corpus.pattern, add the column to "
            "corpus.table, or use probe.choose_by=validation"
        )
    return named
