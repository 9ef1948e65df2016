"""Versions of installed distributions."""

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """Return the version of the installed distribution, or "(not installed)" in a bare checkout."""
    return version_of("wordless") or "(not installed)"


def version_of(distribution: str) -> str | None:
    """Return the installed version, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
