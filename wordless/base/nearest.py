"""Suggestions for misspelt names."""

from collections.abc import Iterable
from difflib import SequenceMatcher

LIKENESS = 0.6  # least likeness of a suggestion
MARGIN = 0.1  # largest distance of a suggestion from the best one


def nearest(word: str, names: Iterable[str], *, most: int = 3) -> list[str]:
    """Find up to ``most`` of the ``names`` that are similar to ``word``, best first.

    Dotted names are also compared by their last part, so that ``hop_lenght`` finds ``audio.hop_length``.
    """
    scored = sorted((-likeness(word, name), name) for name in set(names))
    enough = max(LIKENESS, -scored[0][0] - MARGIN) if scored else LIKENESS
    return [name for score, name in scored if -score >= enough][:most]


def likeness(word: str, name: str) -> float:
    """Score how alike two names are, 0 to 1; agreement of only their last parts scores a little less."""
    whole = SequenceMatcher(None, word, name).ratio()
    last = SequenceMatcher(None, word.rpartition(".")[2], name.rpartition(".")[2]).ratio()
    return max(whole, 0.95 * last)


def suggestion(word: str, names: Iterable[str]) -> str:
    """Write the clause that ends an error message: similar names, or all names where none is similar."""
    known = sorted(set(names))
    close = nearest(word, known)
    if close:
        return f"did you mean {alternatives(close)}?"
    return f"choose from {', '.join(known)}" if 0 < len(known) <= 20 else "see --help"


def alternatives(names: list[str]) -> str:
    """Join names as ``a, b or c``."""
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
