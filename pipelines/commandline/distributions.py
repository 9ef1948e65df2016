"""The versions that installed distributions require of each other."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True, kw_only=True)
class Need:
    """A distribution that another one requires."""

    name: str
    asked: str  # the requirement with its versions: "numpy>=2.2"
    by: str  # the distribution that requires it
    extra: str = ""  # the extra that it belongs to; "" for a requirement without an extra
    others: tuple["Need", ...] = ()  # requirements of other dependencies on the same distribution


def needs(distribution: str) -> list[Need]:
    """Return the requirements of a distribution on this platform, each with those of its dependencies on the same one.

    The list is empty if the distribution is not installed.
    """
    direct = list(asked(distribution))
    indirect = [other for need in direct for other in asked(need.name) if not other.extra]
    return [replace(need, others=tuple(other for other in indirect if same(other, need))) for need in direct]


def asked(distribution: str) -> Iterator[Need]:
    """Yield the requirements of one distribution that apply on this platform."""
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
    """Return the extra that a requirement belongs to, or ""."""
    return str(requirement.marker or "").partition("extra ==")[2].strip().split(" ")[0].strip("\"'")


def same(one: Need, other: Need) -> bool:
    """Return whether both name the same distribution; case, dots and underscores do not count."""
    return canonicalize_name(one.name) == canonicalize_name(other.name)


def satisfied(need: Need, found: str) -> bool:
    """Return whether an installed version satisfies the requirement."""
    return Requirement(need.asked).specifier.contains(found, prereleases=True)
