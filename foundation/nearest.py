"""The names that come nearest to a misspelt one."""

from collections.abc import Iterable
from difflib import SequenceMatcher

LIKENESS = 0.6  # ratio below which a name is no longer taken for a slip of the other
MARGIN = 0.1  # how far behind the best of them a name may fall


def nearest(word: str, names: Iterable[str], *, most: int = 3) -> list[str]:
    """Up to ``most`` of the ``names`` that ``word`` may have meant, best first.

    Dotted names are also compared by their last part, so that ``hop_lenght`` finds ``audio.hop_length``.
    """
    scored = sorted((-likeness(word, name), name) for name in set(names))
    enough = max(LIKENESS, -scored[0][0] - MARGIN) if scored else LIKENESS
    return [name for score, name in scored if -score >= enough][:most]


def likeness(word: str, name: str) -> float:
    """1 for equal names, 0 for names with nothing in common; agreement of the last parts alone counts a little less."""
    whole = SequenceMatcher(None, word, name).ratio()
    last = SequenceMatcher(None, word.rpartition(".")[2], name.rpartition(".")[2]).ratio()
    return max(whole, 0.95 * last)


def suggestion(word: str, names: Iterable[str]) -> str:
    """A clause that ends an error message: what may have been meant, or else what there is."""
    known = sorted(set(names))
    close = nearest(word, known)
    if close:
        return f"did you mean {alternatives(close)}?"
    return f"choose from {', '.join(known)}" if 0 < len(known) <= 20 else "see --help"


def alternatives(names: list[str]) -> str:
    """``a, b or c``."""
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
