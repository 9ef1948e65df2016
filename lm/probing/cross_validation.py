"""Choice by cross-validation: each part of the training and validation clips is held out once.

A part is a group, such as a speaker, or a fold that the data set gives. One validation speaker is one opinion; several
are more reliable, and no test clip is looked at.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from foundation.errors import InputError
from lm.probing.task import ProbeTask, RowArray

Rows = Mapping[str, RowArray]


def divisions(task: ProbeTask) -> Iterator[Rows]:
    """Give a division into ``train`` and ``validation`` for each part, in the order of the parts' names.

    Raises:
        InputError: a clip has no part, there are fewer than two parts, or all clips of a class lie in one of them.
    """
    parts, known = _parts(task), np.sort(np.concatenate([task.rows["train"], task.rows["validation"]]))
    names = sorted({parts[row] for row in known})
    if len(names) < 2:
        raise InputError(
            f"probe.choose_by holds out parts of the training and validation clips, but all are of {names[0]!r}; "
            "use probe.choose_by=validation"
        )
    for name in names:
        held_out = np.array([parts[row] == name for row in known])
        fitted = known[~held_out]
        if lost := [task.classes[number] for number in np.flatnonzero(~task.targets[fitted].any(0))]:
            raise InputError(
                f"without {name!r} no clip of {lost[0]!r} is left to learn from; use probe.choose_by=validation, or "
                "record this class in other parts, too"
            )
        yield {"train": fitted, "validation": known[held_out]}


def mean_over_divisions(task: ProbeTask, reached: Callable[[Rows], Sequence[float]]) -> npt.NDArray[np.float64]:
    """Average what ``reached`` finds in each division; every part has the same weight."""
    means: npt.NDArray[np.float64] = np.mean([reached(rows) for rows in divisions(task)], axis=0)
    return means


def _parts(task: ProbeTask) -> Sequence[str]:
    parts = [part for part in task.parts or () if part is not None]
    if len(parts) < len(task.targets):
        missing = len(task.targets) - len(parts)
        raise InputError(
            f"{missing} of {len(task.targets)} clips have no group or fold, and probe.choose_by holds out each once; "
            "name {group} or {fold} in corpus.pattern, or use probe.choose_by=validation"
        )
    return parts
