"""The comparison of methods: the section "comparison" of ``results.json``, from the probes of every fold and seed.

Every fold has the same weight. Intervals and p values come from `lm.comparison`: a bootstrap of clips within the folds,
and Student's t over the folds. On a single split whose test clips have enough groups, whole groups are drawn. With
several seeds, a clip counts as right by the share of seeds that answer it right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from typing import Any, Literal, cast

import numpy as np
from sklearn.metrics import confusion_matrix

from foundation.errors import InputError
from lm.comparison import (
    FloatArray,
    Hits,
    IndexArray,
    Outcome,
    Rankings,
    bootstrap,
    by_fold,
    difference,
    measure,
    outcome_interval,
)
from lm.probing.config import ProbeConfig, require_equal_counts
from pipelines.methods.table import row_of
from pipelines.results.comparison_record import (
    MANY_GROUPS,
    ComparisonRecord,
    DifferenceRow,
    LayerRow,
    MethodRow,
    SharePoint,
)
from pipelines.store.stored_features import GPT

By = Literal["group", "fold", "split"]
Probed = Mapping[str, Any]  # the content of probe.json

PROTOCOLS: dict[By, str] = {"group": "leave one group out", "fold": "given folds", "split": "one split"}


def comparison(
    per_fold: Mapping[tuple[str, int], Probed], *, by: By, config: ProbeConfig, references: Sequence[str] = (GPT,)
) -> ComparisonRecord:
    """Build the section from the ``probe.json`` of each fold and seed.

    Args:
        per_fold: by name of the fold and seed; every seed of every fold.
        by: what the folds are made by; "split" for a single division.
        config: intervals and their seed.
        references: rows that every other row is compared with, as far as the probes have them.

    Raises:
        InputError: the probes are not comparable: they differ in methods, candidates, classes or numbers of tries, a
            seed of a fold is missing, or folds by group test a group twice.
    """
    study = _Study(probes=per_fold, config=config, by=by)
    _require_alike(study)
    if by == "group":
        _require_groups_apart(study)
    first = study.first
    known = [of for of in dict.fromkeys(references) if of in study.methods]
    record: ComparisonRecord = {
        "protocol": PROTOCOLS[by],
        "by": by,
        "metric": "mean_average_precision" if first["multi_label"] else "accuracy",
        "folds": study.names,
        "seeds": study.seeds,
        "classes": list(first["classes"]),
        "clips": sum(outcome.clips for outcome in study.outcomes),
        "unlabelled": first["unlabelled"],
        "notices": sorted({notice for probed in per_fold.values() for notice in probed["notices"]}),
        "tries": max(_tries(first).values()),
        "classifier": config.classifier,
        "choose_by": config.choose_by,
        "confidence": config.confidence,
        "resampled": "clip" if study.groups is None else "group",
        "methods": sorted((_method(study, of) for of in study.methods), key=lambda row: -row["value"]),
        "references": known,
        "differences": [row for of in known for row in _differences(study, of)],
        "layers": {of: rows for of in study.methods if (rows := _layers(study, of))},
        "learning_curves": {of: points for of in study.methods if (points := _learning_curve(study, of))},
    }
    if not first["multi_label"]:
        record["confusion"] = {of: _confusion(study, of) for of in known}
    return record


@dataclass(frozen=True, kw_only=True, eq=False)
class _Study:
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

    @cached_property
    def draws(self) -> FloatArray:
        """Bootstrapped values of the methods, ``(resamples, methods)``."""
        return bootstrap(self.outcomes, resamples=self.config.resamples, seed=self.config.seed, groups=self.groups)

    @cached_property
    def groups(self) -> list[IndexArray] | None:
        """The number of each test clip's group if whole groups are resampled: folds have their t interval for that."""
        names = self.of_fold(self.names[0])[0]["groups"]
        if self.by != "split" or not all(names) or len({*names}) < MANY_GROUPS:
            return None
        return [np.unique(names, return_inverse=True)[1]]


def _require_alike(study: _Study) -> None:
    """Refuse different classes, methods, candidates or tries, and different test clips of the seeds of a fold."""
    missing = [f"{name!r} with seed {seed}" for name, seed in study.places if (name, seed) not in study.probes]
    if missing or not study.probes:
        raise InputError(f"a comparison lacks the probes of {', '.join(missing) or 'any fold'}; run them first")
    for (name, seed), probed in study.probes.items():
        for what, one, other in (
            ("classes", probed["classes"], study.first["classes"]),
            ("methods or candidates", _offered(probed), _offered(study.first)),
            ("numbers of tries", _tries(probed), _tries(study.first)),
            *(("test clips", probed[key], study.of_fold(name)[0][key]) for key in ("clips", "truth")),
        ):
            if one != other:
                raise InputError(
                    f"fold {name!r} with seed {seed} has other {what} than what it is compared with; probe all alike"
                )
    require_equal_counts(_tries(study.first))


def _require_groups_apart(study: _Study) -> None:
    """Refuse a group that two folds by group test: one of the two was trained on it."""
    tested: dict[str, str] = {}
    for name in study.names:
        for group in study.of_fold(name)[0]["groups"]:
            if tested.setdefault(group, name) != name:
                raise InputError(
                    f"group {group!r} is tested in the folds {tested[group]!r} and {name!r}, which are made by group, "
                    "so one of them was trained on it; make the folds again"
                )


def _offered(probed: Probed) -> dict[str, list[str]]:
    return {row["of"]: [each["of"] for each in row["candidates"]] for row in probed["methods"]}


def _tries(probed: Probed) -> dict[str, int]:
    return {row["of"]: row["tries"] for row in probed["methods"]}


def _outcome(study: _Study, name: str) -> Outcome:
    first = study.of_fold(name)[0]
    rows = [[study.rows(of)[name, seed] for seed in study.seeds] for of in study.methods]  # (methods, seeds)
    if first["multi_label"]:
        several = np.array([[name in names for name in first["classes"]] for names in first["truth"]], bool)
        scores = np.array([[row["scores"] for row in seeds] for seeds in rows], np.float64)
        return Rankings(truth=several, scores=scores)
    truth = np.array(first["truth"])
    return Hits(hits=np.array([np.mean([np.array(row["predictions"]) == truth for row in seeds], 0) for seeds in rows]))


def _method(study: _Study, of: str) -> MethodRow:
    number, rows = study.methods.index(of), study.rows(of)
    draws, confidence = study.draws[:, number], study.config.confidence
    low, high = outcome_interval(study.outcomes, draws, confidence, groups=study.groups)
    mine = study.values[:, number]
    return {
        "of": of,
        "kind": row_of(of).kind,
        "value": float(mine.mean()),
        "low": low,
        "high": high,
        "macro_f1": float(np.mean([row["macro_f1"] for row in rows.values()])),
        "mean_average_precision": float(np.mean([row["mean_average_precision"] for row in rows.values()])),
        "folds": dict(zip(study.names, mine.tolist(), strict=True)),
        "fold_spread": float(mine.std(ddof=1)) if len(mine) > 1 else 0.0,
        "chosen": {
            name if len(study.seeds) == 1 else f"{name}, seed {seed}": row["chosen"]
            for (name, seed), row in rows.items()
            if row["tries"]
        },
        "groups": _groups(study, number),
    }


def _groups(study: _Study, number: int) -> dict[str, float]:
    """Measure one method on the test clips of each group; folds of a group are weighted by its clips there."""
    parts: dict[str, list[tuple[float, int]]] = {}
    for name, outcome in zip(study.names, study.outcomes, strict=True):
        groups = np.array([group or "" for group in study.of_fold(name)[0]["groups"]])
        for group in {*groups.tolist()} - {""}:
            members = (groups == group).astype(np.float64)
            parts.setdefault(group, []).append((float(measure(outcome, members[None])[0, number]), int(members.sum())))
    return {
        group: sum(value * clips for value, clips in several) / sum(clips for _, clips in several)
        for group, several in sorted(parts.items())
    }


def _differences(study: _Study, of: str) -> list[DifferenceRow]:
    """Compare one method with every other, the strongest first."""
    one, rows = study.methods.index(of), []
    for other, against in enumerate(study.methods):
        if other != one:
            found = difference(study.values, study.draws, one, other, confidence=study.config.confidence)
            folds = dict(zip(study.names, (study.values[:, one] - study.values[:, other]).tolist(), strict=True))
            rows.append(cast(DifferenceRow, {"of": of, "against": against, "folds": folds, **asdict(found)}))
    return sorted(rows, key=lambda row: row["value"])


def _layers(study: _Study, of: str) -> list[LayerRow]:
    """List each layer with the pooling that is best on validation, means over the folds; all layers last."""
    best = [best_poolings(row["candidates"]) for row in study.rows(of).values()]
    names = sorted((name for name in best[0] if "/" in name), key=lambda name: name.startswith(f"{of}/all_"))

    def mean(name: str, split: str) -> float:
        return float(np.mean([each[name][f"{split}_accuracy"] for each in best]))

    return [{"of": name, "validation": mean(name, "validation"), "test": mean(name, "test")} for name in names]


def best_poolings(candidates: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Choose for each representation the pooling that is best on validation, the first among equals."""
    best: dict[str, Mapping[str, Any]] = {}
    for candidate in candidates:
        name = candidate["of"].rpartition(":")[0]
        if name not in best or candidate["validation_accuracy"] > best[name]["validation_accuracy"]:
            best[name] = candidate
    return best


def _learning_curve(study: _Study, of: str) -> list[SharePoint]:
    """Average a method's learning curve over the folds.

    Shares too small for one clip per class give a single point; a share is the ratio of labelled clips.
    """
    rows = study.rows(of)
    folds = [[rows[name, seed]["learning_curve"] for seed in study.seeds] for name in study.names]
    points = [_mean_point([[curve[place] for curve in seeds] for seeds in folds]) for place in range(len(folds[0][0]))]
    whole = next((point["clips"] for point in points if point["share"] == 1), None)
    for point in points:
        point["share"] = point["clips"] / whole if whole else point["share"]
    return list({point["clips"]: point for point in points}.values())


def _mean_point(folds: Sequence[Sequence[Mapping[str, float]]]) -> SharePoint:
    """Average the points of one share over folds and seeds.

    The folds have different test clips, so their deviations add in squares; the seeds of a fold share theirs.
    """

    def mean(name: str) -> FloatArray:
        return np.array([np.mean([point[name] for point in seeds]) for seeds in folds])

    values = mean("test_accuracy")
    below, above = (float(np.linalg.norm(values - mean(name)) / len(folds)) for name in ("low", "high"))
    share, clips, value = folds[0][0]["share"], float(mean("clips").mean()), float(values.mean())
    return {"share": share, "clips": clips, "value": value, "low": value - below, "high": value + above}


def _confusion(study: _Study, of: str) -> list[list[float]]:
    """Test clips of each true class (rows) by answer (columns), over all folds; mean over the seeds."""
    answers = [(study.probes[place]["truth"], row["predictions"]) for place, row in study.rows(of).items()]
    counts = sum(confusion_matrix(*each, labels=study.first["classes"]) for each in answers)
    means: list[list[float]] = (counts / len(study.seeds)).tolist()
    return means
