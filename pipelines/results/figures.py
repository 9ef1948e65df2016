"""One row of ``results.json``."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure: tidy data."""

    stage: str
    name: str
    value: float
    unit: str
    artifact: str  # store key of the entry that it is about
    of: str | None = None  # representation or kind of sound
    low: float | None = None  # 95 % interval
    high: float | None = None
    protocol: str | None = None  # division of the clips
    split: str | None = None
    seeds: int = 1
