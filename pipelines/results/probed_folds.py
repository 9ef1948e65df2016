"""The probes of every fold and seed of a run, and whether they can be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Literal, get_args

import numpy as np

from lm.probing.comparison import (
    Estimate,
    FloatArray,
    Hits,
    IndexArray,
    Outcome,
    Rankings,
    bootstrap,
    by_fold,
    outcome_interval,
    t_interval,
    whole_groups,
)
from lm.probing.task import ProbeConfig, require_equal_counts
from wordless.base.errors import InputError
from wordless.base.json_values import list_hash

By = Literal["group", "fold", "split"]
Step = Literal["layer_penalties", "penalties"]  # of the choice: the candidate, then the penalty
STEPS: tuple[Step, ...] = get_args(Step)
Probed = Mapping[str, Any]  # the content of probe.json
PAIRED_SEED = 0  # of the resamples that pair runs


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

    @property
    def choose_by(self) -> str:
        """What chose candidates and penalties; "auto" where it differs between folds."""
        found = {probed["choose_by"] for probed in self.probes.values()}
        return found.pop() if len(found) == 1 else "auto"

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """The outcomes of every method on the test clips of each fold, over the seeds."""
        return [_outcome(self, name, self.methods) for name in self.names]

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
    def paired_draws(self) -> FloatArray:
        """As `draws`, on resamples that do not depend on a seed: runs on the same clips are paired by them.

        Fewer resamples are the first of more.
        """
        if self.config.seed == PAIRED_SEED:
            return self.draws
        return bootstrap(self.outcomes, resamples=self.config.resamples, seed=PAIRED_SEED, groups=self.groups)

    @cached_property
    def groups(self) -> list[IndexArray] | None:
        """The number of each test clip's group if whole groups are resampled: folds have their t interval for that."""
        return whole_groups(self.first["groups"]) if self.by == "split" else None

    @property
    def clips_key(self) -> str:
        """Hash of the test clips with their labels, groups and folds: runs of one key are paired."""
        tested = [[name, *(self.of_fold(name)[0][key] for key in ("clips", "truth", "groups"))] for name in self.names]
        return list_hash([self.by, *tested])[:16]

    def validation_value(self, of: str) -> float:
        """Return the figure that chose a method's candidates: its mean over folds and seeds."""
        rows = self.rows(of)
        return float(np.mean([[rows[name, seed]["validation_accuracy"] for seed in self.seeds] for name in self.names]))

    def validation(self, of: str, *, confidence: float) -> Estimate | None:
        """Return the figure that chose a method's candidates, with its interval; None where it has none.

        Validation clips are resampled like test clips. Cross-validation has Student's interval over its parts; the
        parts of several folds share clips, and give none.
        """
        value, rows = self.validation_value(of), self.rows(of)
        if of in self._on_validation:
            draws = self._validation_draws[:, self._on_validation.index(of)]
            low, high = outcome_interval(self._validation_outcomes, draws, confidence, groups=self._validation_groups)
            return Estimate(value=value, low=low, high=high)
        if len(self.names) > 1:
            return None
        parts = np.mean([rows[self.names[0], seed]["parts"] for seed in self.seeds], axis=0)
        ends = t_interval(parts, confidence=confidence)
        return None if ends[0] is None else Estimate(value=value, low=ends[0], high=ends[1])

    @cached_property
    def _on_validation(self) -> list[str]:
        """The methods whose candidates validation clips chose, and not cross-validation."""
        return [of for of in self.methods if all("validation_predictions" in row for row in self.rows(of).values())]

    @cached_property
    def _validation_outcomes(self) -> list[Outcome]:
        return [_outcome(self, name, self._on_validation, "validation_") for name in self.names]

    @cached_property
    def _validation_groups(self) -> list[IndexArray] | None:
        return whole_groups(self.first["validation_groups"]) if self.by == "split" else None

    @cached_property
    def _validation_draws(self) -> FloatArray:
        resamples, seed = self.config.resamples, self.config.seed
        return bootstrap(self._validation_outcomes, resamples=resamples, seed=seed, groups=self._validation_groups)


def require_alike(folds: ProbedFolds) -> None:
    """Refuse different classes, methods, candidates or penalties, and different test clips of the seeds of a fold."""
    missing = [f"{name!r} with seed {seed}" for name, seed in folds.places if (name, seed) not in folds.probes]
    if missing or not folds.probes:
        raise InputError(f"a comparison lacks the probes of {', '.join(missing) or 'any fold'}; run them first")
    for (name, seed), probed in folds.probes.items():
        for what, one, other in (
            ("classes", probed["classes"], folds.first["classes"]),
            ("methods or candidates", _offered(probed), _offered(folds.first)),
            *(
                ("numbers of penalties", penalties_by_method(probed, step), penalties_by_method(folds.first, step))
                for step in STEPS
            ),
            *(("test clips", probed[key], folds.of_fold(name)[0][key]) for key in ("clips", "truth")),
            ("validation clips", probed["validation_truth"], folds.of_fold(name)[0]["validation_truth"]),
        ):
            if one != other:
                raise InputError(
                    f"fold {name!r} with seed {seed} has other {what} than what it is compared with; probe all alike"
                )
    for step in STEPS:
        require_equal_counts(penalties_by_method(folds.first, step))


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


def penalties_by_method(probed: Probed, step: Step) -> dict[str, int]:
    """Return with how many penalties each candidate, or the chosen candidate, of each method was tried."""
    return {row["of"]: row[step] for row in probed["methods"]}


def _outcome(folds: ProbedFolds, name: str, methods: Sequence[str], split: Literal["", "validation_"] = "") -> Outcome:
    """Build the outcome of some methods on the test clips, or the validation clips, of one fold."""
    first = folds.of_fold(name)[0]
    rows = [[folds.rows(of)[name, seed] for seed in folds.seeds] for of in methods]  # (methods, seeds)
    if first["multi_label"]:
        several = np.array([[name in names for name in first["classes"]] for names in first[f"{split}truth"]], bool)
        scores = np.array([[row[f"{split}scores"] for row in seeds] for seeds in rows], np.float64)
        return Rankings(truth=several, scores=scores)
    truth = np.array(first[f"{split}truth"])
    right = [np.mean([np.array(row[f"{split}predictions"]) == truth for row in seeds], 0) for seeds in rows]
    return Hits(hits=np.array(right))
