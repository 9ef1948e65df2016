"""Versions of installed libraries."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """Return the version of the installed distribution, or "(not installed)" in a bare checkout."""
    return version_of("wordless") or "(not installed)"


@cache  # each entry of a store names ten libraries, and each search takes milliseconds
def library_versions() -> Mapping[str, str]:
    """Return the versions of installed libraries that affect artifacts."""
    names = "torch torchaudio faiss-gpu faiss-cpu fairseq2 scikit-learn numpy soundfile av soxr"
    return {name: version for name in names.split() if (version := version_of(name)) is not None}


def version_of(distribution: str) -> str | None:
    """Return the installed version, or None."""
    with suppress(PackageNotFoundError):
        return version(distribution)
    return None
