"""How a clip becomes a vector: frames are pooled over time, and vectors are averaged over hearings.

Every method of a comparison has the same poolings and hearings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from lm.pooling import POOLINGS, FloatArray, Pooling, pooled_parts
from wordless.base.errors import InputError
from wordless.base.ranges import require

Layers = Literal["each", "last", "together"]
CLASS_SCORES = "scores"  # beside the vectors of a network with a head: class probabilities ``(classes,)``
MOST_HEARINGS = 100  # each costs time, and 2 bytes per frame and mel band on disk


@dataclass(frozen=True, kw_only=True)
class VectorConfig:
    """Poolings and hearings."""

    poolings: tuple[Pooling, ...] = POOLINGS
    layers: tuple[Layers, ...] = ("each", "together")  # of a network: each one, the last one, all side by side
    hearings: int = 1
    hearing_rates: float = 0.25  # ratio: hearings are up to so much slower or faster

    def __post_init__(self) -> None:
        if not self.poolings or len({*self.poolings}) != len(self.poolings):
            rule = f"name each of {', '.join(get_args(Pooling))} at most once, and at least one"
            raise InputError(f"compare.poolings is {list(self.poolings)}; {rule}")
        if not self.layers or len({*self.layers}) != len(self.layers):
            rule = "list each, last or together, each at most once, and at least one"
            raise InputError(f"compare.layers is {list(self.layers)}; {rule}")
        rule = f"choose 1 (the recording as it is) to {MOST_HEARINGS}"
        require(1 <= self.hearings <= MOST_HEARINGS, "compare.hearings", self.hearings, rule)
        rule = "choose a ratio of at least 0 and at most 1, such as 0.25"
        require(0 <= self.hearing_rates <= 1, "compare.hearing_rates", self.hearing_rates, rule)

    @property
    def key(self) -> dict[str, object]:
        """The options that decide the vectors of a method without layers; the rates of a single hearing do not."""
        rates = {"hearing_rates": self.hearing_rates} if self.hearings > 1 else {}
        return {"poolings": self.poolings, "hearings": self.hearings, **rates}

    @property
    def network_key(self) -> dict[str, object]:
        """The same of a method with layers."""
        return {**self.key, "layers": self.layers}

    def size(self, width: int) -> int:
        """Return the numbers that all poolings of frames ``(time, width)`` give."""
        return width * sum(pooled_parts(pooling) for pooling in self.poolings)

    def network_size(self, count: int, width: int) -> int:
        """Return the numbers of all vectors of a network of ``count`` layers of one width."""
        return self.size(width) * (len(self.numbers(count)) + count * ("together" in self.layers))

    def keys(self, count: int, *, layer: str, together: str) -> list[str]:
        """Name the vectors of ``count`` layers: ``layer_1:mean``, and ``together:mean`` of all side by side."""
        names = [f"{layer}_{number}" for number in self.numbers(count)]
        names += [together] if "together" in self.layers else []
        return [f"{name}:{pooling}" for pooling in self.poolings for name in names]

    def numbers(self, count: int) -> tuple[int, ...]:
        """Return the numbers of the layers that are read by themselves, from 1 to ``count``."""
        if "each" in self.layers:
            return tuple(range(1, count + 1))
        return (count,) if "last" in self.layers else ()

    def select(
        self, pooled: Mapping[str, FloatArray], count: int, *, layer: str, together: str
    ) -> dict[str, FloatArray]:
        """Select the vectors of `keys` from those of every layer under every pooling, and join all layers."""
        found: dict[str, FloatArray] = {}
        for pooling in self.poolings:
            layers = [pooled[f"{layer}_{number}:{pooling}"] for number in range(1, count + 1)]
            found |= {f"{layer}_{number}:{pooling}": layers[number - 1] for number in self.numbers(count)}
            if "together" in self.layers:
                found[f"{together}:{pooling}"] = np.concatenate(layers)
        return found


ONE_HEARING = VectorConfig()


def average(vectors: Iterable[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
    """Average the arrays of each key over hearings; all have the same keys and shapes. One hearing is returned as is.

    The sum is in float64, so it hardly depends on the order.
    """
    rows = iter(vectors)
    first, second = next(rows), next(rows, None)
    if second is None:
        return dict(first)
    total: dict[str, npt.NDArray[np.float64]] = {}
    hearing_count = 0
    for row in chain([first, second], rows):
        hearing_count += 1
        for key, values in row.items():
            total[key] = total.get(key, np.zeros(())) + values.astype(np.float64)
    return {key: (values / hearing_count).astype(np.float32) for key, values in total.items()}
