"""The probes of every fold and seed of a run, and whether they can be compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Literal

import numpy as np

from foundation.errors import InputError
from lm.comparison import FloatArray, Hits, IndexArray, Outcome, Rankings, bootstrap, by_fold, whole_groups
from lm.probing.config import ProbeConfig, require_equal_counts

By = Literal["group", "fold", "split"]
Probed = Mapping[str, Any]  # the content of probe.json


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbedFolds:
    """The probes of every fold and seed, and what their methods reach."""

    probes: Mapping[tuple[str, int], Probed]
    config: ProbeConfig
    by: By

    @cached_property
    def names(self) -> list[str]:
        """The folds, in the order given."""
        return list(dict.fromkeys(name for name, _ in self.probes))

    @cached_property
    def seeds(self) -> list[int]:
        return sorted({seed for _, seed in self.probes})

    @property
    def places(self) -> list[tuple[str, int]]:
        """Each fold with each seed, folds first."""
        return list(product(self.names, self.seeds))

    @cached_property
    def methods(self) -> list[str]:
        return [row["of"] for row in self.first["methods"]]

    @property
    def first(self) -> Probed:
        """The probes of the first fold and seed."""
        return self.of_fold(self.names[0])[0]

    def of_fold(self, name: str) -> list[Probed]:
        """Return the probes of one fold with each seed."""
        return [self.probes[name, seed] for seed in self.seeds]

    def rows(self, of: str) -> dict[tuple[str, int], Mapping[str, Any]]:
        """Return the results of one method for each fold and seed."""
        return {place: next(row for row in self.probes[place]["methods"] if row["of"] == of) for place in self.places}

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """The outcomes of every method on the test clips of each fold, over the seeds."""
        return [_outcome(self, name) for name in self.names]

    @cached_property
    def values(self) -> FloatArray:
        """The values of the methods, ``(folds, methods)``."""
        return by_fold(self.outcomes)

    def by_seed(self, of: str) -> dict[str, float]:
        """Return the values of one method with each seed, means over the folds."""
        rows = self.rows(of)
        return {
            str(seed): float(np.mean([rows[name, seed]["test_accuracy"] for name in self.names])) for seed in self.seeds
        }

    @cached_property
    def draws(self) -> FloatArray:
        """Bootstrapped values of the methods, ``(resamples, methods)``."""
        return bootstrap(self.outcomes, resamples=self.config.resamples, seed=self.config.seed, groups=self.groups)

    @cached_property
    def groups(self) -> list[IndexArray] | None:
        """The number of each test clip's group if whole groups are resampled: folds have their t interval for that."""
        return whole_groups(self.first["groups"]) if self.by == "split" else None


def require_alike(folds: ProbedFolds) -> None:
    """Refuse different classes, methods, candidates or tries, and different test clips of the seeds of a fold."""
    missing = [f"{name!r} with seed {seed}" for name, seed in folds.places if (name, seed) not in folds.probes]
    if missing or not folds.probes:
        raise InputError(f"a comparison lacks the probes of {', '.join(missing) or 'any fold'}; run them first")
    for (name, seed), probed in folds.probes.items():
        for what, one, other in (
            ("classes", probed["classes"], folds.first["classes"]),
            ("methods or candidates", _offered(probed), _offered(folds.first)),
            ("numbers of tries", tries_by_method(probed), tries_by_method(folds.first)),
            *(("test clips", probed[key], folds.of_fold(name)[0][key]) for key in ("clips", "truth")),
        ):
            if one != other:
                raise InputError(
                    f"fold {name!r} with seed {seed} has other {what} than what it is compared with; probe all alike"
                )
    require_equal_counts(tries_by_method(folds.first))


def require_groups_apart(folds: ProbedFolds) -> None:
    """Refuse a group that two folds by group test: one of the two was trained on it."""
    tested: dict[str, str] = {}
    for name in folds.names:
        for group in folds.of_fold(name)[0]["groups"]:
            if tested.setdefault(group, name) != name:
                raise InputError(
                    f"group {group!r} is tested in the folds {tested[group]!r} and {name!r}, which are made by group, "
                    "so one of them was trained on it; make the folds again"
                )


def _offered(probed: Probed) -> dict[str, list[str]]:
    return {row["of"]: [each["of"] for each in row["candidates"]] for row in probed["methods"]}


def tries_by_method(probed: Probed) -> dict[str, int]:
    """Return how many settings cross-validation or validation compared for each method."""
    return {row["of"]: row["tries"] for row in probed["methods"]}


def _outcome(folds: ProbedFolds, name: str) -> Outcome:
    first = folds.of_fold(name)[0]
    rows = [[folds.rows(of)[name, seed] for seed in folds.seeds] for of in folds.methods]  # (methods, seeds)
    if first["multi_label"]:
        several = np.array([[name in names for name in first["classes"]] for names in first["truth"]], bool)
        scores = np.array([[row["scores"] for row in seeds] for seeds in rows], np.float64)
        return Rankings(truth=several, scores=scores)
    truth = np.array(first["truth"])
    return Hits(hits=np.array([np.mean([np.array(row["predictions"]) == truth for row in seeds], 0) for seeds in rows]))
