"""The strength of the post-filter, as commands check it before PyTorch is imported."""

from foundation.errors import InputError


def require_strength(strength: float, *, option: str = "postfilter") -> None:
    """Refuse what is no share of the difference."""
    if not 0 <= strength <= 1:
        raise InputError(f"{option} is {strength}; choose 0 (WaveNet's own sound) to 1 (all that is missing)")
