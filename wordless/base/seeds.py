"""The range of every seed, seeds derived from names, and a seeded division of groups into sets.

Sets hold whole groups, such as speakers, that are held out together."""

import hashlib
from collections.abc import Sequence

import numpy as np

from wordless.base.arrays import Floats, IndexArray
from wordless.base.messages import require

MAX_SEED = 2**32 - 1  # the limit of NumPy and of the seeds that training derives from seed, step and rank


def require_seed(seed: int, option: str) -> None:
    """Refuse a seed that NumPy, PyTorch or scikit-learn does not accept."""
    require(0 <= seed <= MAX_SEED, option, seed, f"it must be 0 to {MAX_SEED}; choose another seed")


def require_seeds(seed: int, seeds: int) -> None:
    """Refuse a number of trainings below 1, and a first or last seed that `require_seed` refuses."""
    require(seeds >= 1, "seeds", seeds, "choose 1 or more")
    require_seed(seed, "seed")
    require_seed(seed + seeds - 1, "seed + seeds - 1")


def named_seed(name: str) -> int:
    """Derive a seed from a name, such as a clip's; it does not depend on other clips."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)


def sound_seed(seed: int, name: str) -> int:
    """Derive the seed of one sound from that of all sounds and the name of the sound, such as that of its clip.

    With one sequence of random numbers for all, errors would lie at the same places, and intervals be too narrow.
    """
    return int(np.random.SeedSequence([seed, named_seed(name)]).generate_state(1)[0])


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
