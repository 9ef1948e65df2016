"""What installed distributions ask of each other: which versions of what."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True, kw_only=True)
class Need:
    """One distribution that another asks for."""

    name: str
    asked: str  # with the versions that will do: "numpy>=2.2"
    by: str  # the distribution that asks
    extra: str = ""  # the extra that it belongs to; "" is always needed
    others: tuple["Need", ...] = ()  # what further dependencies ask of the same distribution


def needs(distribution: str) -> list[Need]:
    """What a distribution asks for on this platform, each with what its other dependencies ask of the same.

    Empty if it is not installed.
    """
    direct = list(asked(distribution))
    indirect = [other for need in direct for other in asked(need.name) if not other.extra]
    return [replace(need, others=tuple(other for other in indirect if same(other, need))) for need in direct]


def asked(distribution: str) -> Iterator[Need]:
    """The requirements of one distribution that apply on this platform."""
    try:
        lines = requires(distribution) or []
    except PackageNotFoundError:
        return
    for requirement in map(Requirement, lines):
        extra = extra_of(requirement)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            plain = f"{requirement.name}{requirement.specifier}"
            yield Need(name=requirement.name, asked=plain, by=distribution, extra=extra)


def extra_of(requirement: Requirement) -> str:
    """The extra that a requirement belongs to, or ""."""
    return str(requirement.marker or "").partition("extra ==")[2].strip().split(" ")[0].strip("\"'")


def same(one: Need, other: Need) -> bool:
    """Whether both ask for one distribution: case, dots and underscores in names do not count."""
    return canonicalize_name(one.name) == canonicalize_name(other.name)


def satisfied(need: Need, found: str) -> bool:
    """Whether an installed version will do."""
    return Requirement(need.asked).specifier.contains(found, prereleases=True)


def version_of(distribution: str) -> str | None:
    """The installed version, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
