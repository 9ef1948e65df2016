"""Sets of whole groups, such as speakers, that are held out together."""

from collections.abc import Sequence

import numpy as np

from wordless.base.array_types import Floats, IndexArray


def balanced(sizes: Floats, clips: Floats, count: int, *, seed: int) -> IndexArray:
    """Divide groups into ``count`` sets as even as they allow; return the set of each group.

    ``sizes (groups, classes)`` are the clips of each class, and ``clips (groups,)`` all. The largest group comes first,
    and ``seed`` orders groups of one size. Each group joins the set that has the fewest clips of the classes of the
    group, the smallest one among equals.
    """
    shuffled = np.random.default_rng(seed).permutation(len(clips))
    filled, totals, set_of = np.zeros((count, sizes.shape[1])), np.zeros(count), np.zeros(len(clips), np.int64)
    for group in shuffled[np.argsort(-clips[shuffled], kind="stable")]:
        own = set_of[group] = np.lexsort((totals, filled @ sizes[group]))[0]
        filled[own] += sizes[group]
        totals[own] += clips[group]
    return set_of


def set_title(number: int, groups: Sequence[str]) -> str:
    """Name a set of groups."""
    first, *others = groups
    return f"{number}: {first}" + (f" and {len(others)} more" if others else "")
