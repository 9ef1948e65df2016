"""The rule of every seed."""

from foundation.errors import InputError

MAX_SEED = 2**32 - 1  # NumPy, PyTorch and scikit-learn take it, and so does what training makes of seed, step and rank


def require_seed(seed: int, option: str) -> None:
    """Refuse a seed that some library would not take.

    Raises:
        InputError: the seed is negative or larger than `MAX_SEED`.
    """
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"{option} is {seed}; it must be 0 to {MAX_SEED}; choose another seed")
