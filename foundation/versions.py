"""Versions of installed distributions."""

from importlib.metadata import PackageNotFoundError, version


def version_of(distribution: str) -> str | None:
    """Return the installed version, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
