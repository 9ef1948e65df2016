"""The comparison of methods: the section "comparison" of ``results.json``, from the probes of every fold and seed.

Every fold has the same weight. Intervals and p values come from `lm.probing.comparison`: a bootstrap of clips within
the folds, and Student's t over the folds and over the seeds. On a single split whose test clips have enough groups,
whole groups are drawn. With several seeds, a clip counts as right by the share of seeds that answer it right.

Beside each test figure stands the validation figure that chose the method's candidate, and the gap: validation minus
test, with an interval that holds for all methods at once (Bonferroni). Where it excludes 0, the two sets of clips
differ by more than chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

import numpy as np
from sklearn.metrics import confusion_matrix

from lm.probing.comparison import (
    Estimate,
    FloatArray,
    difference,
    independent_difference,
    measure,
    outcome_interval,
    t_interval,
)
from lm.probing.task import ProbeConfig
from pipelines.methods.table import row_of
from pipelines.results.comparison_record import (
    ComparisonRecord,
    DifferenceRow,
    LayerRow,
    MethodRow,
    SharePoint,
    ValidationRow,
)
from pipelines.results.probed_folds import (
    By,
    Probed,
    ProbedFolds,
    penalties_by_method,
    require_alike,
    require_groups_apart,
)
from pipelines.store.stored_features import GPT

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
        InputError: the probes are not comparable: they differ in methods, candidates, classes or numbers of penalties,
            a seed of a fold is missing, or folds by group test a group twice.
    """
    return comparison_of(ProbedFolds(probes=per_fold, config=config, by=by), references=references)


def comparison_of(folds: ProbedFolds, *, references: Sequence[str]) -> ComparisonRecord:
    """Build the section from probed folds, as `comparison` does; they keep the resamples for further figures."""
    by, config = folds.by, folds.config
    require_alike(folds)
    if by == "group":
        require_groups_apart(folds)
    first = folds.first
    known = [of for of in dict.fromkeys(references) if of in folds.methods]
    record: ComparisonRecord = {
        "protocol": PROTOCOLS[by],
        "by": by,
        "metric": "mean_average_precision" if first["multi_label"] else "accuracy",
        "folds": folds.names,
        "seeds": folds.seeds,
        "classes": list(first["classes"]),
        "clips": sum(outcome.clips for outcome in folds.outcomes),
        "unlabelled": first["unlabelled"],
        "split_groups": {
            split: sorted({group for group in first[key] if group is not None})
            for split, key in (("validation", "validation_groups"), ("test", "groups"))
            if by == "split"
        },
        "clips_key": folds.clips_key,
        "notices": sorted({notice for one in folds.probes.values() for notice in one["notices"]}),
        "layer_penalties": max(penalties_by_method(first, "layer_penalties").values()),
        "penalties": max(penalties_by_method(first, "penalties").values()),
        "classifier": config.classifier,
        "choose_by": folds.choose_by,
        "confidence": config.confidence,
        "resampled": "clip" if folds.groups is None else "group",
        "methods": sorted((_method(folds, of) for of in folds.methods), key=lambda row: -row["value"]),
        "references": known,
        "differences": [row for of in known for row in _differences(folds, of)],
        "layers": {of: rows for of in folds.methods if (rows := _layers(folds, of))},
        "learning_curves": {of: points for of in folds.methods if (points := _learning_curve(folds, of))},
    }
    if not first["multi_label"]:
        record["confusion"] = {of: _confusion(folds, of) for of in known}
    return record


def _method(folds: ProbedFolds, of: str) -> MethodRow:
    number, rows = folds.methods.index(of), folds.rows(of)
    draws, confidence = folds.draws[:, number], folds.config.confidence
    low, high = outcome_interval(folds.outcomes, draws, confidence, groups=folds.groups)
    mine = folds.values[:, number]
    return {
        "of": of,
        "kind": row_of(of).kind,
        "value": float(mine.mean()),
        "low": low,
        "high": high,
        "macro_f1": float(np.mean([row["macro_f1"] for row in rows.values()])),
        "mean_average_precision": float(np.mean([row["mean_average_precision"] for row in rows.values()])),
        **_validation(folds, of),
        "folds": dict(zip(folds.names, mine.tolist(), strict=True)),
        "fold_spread": float(mine.std(ddof=1)) if len(mine) > 1 else 0.0,
        "seeds": folds.by_seed(of),
        "chosen": {
            name if len(folds.seeds) == 1 else f"{name}, seed {seed}": row["chosen"]
            for (name, seed), row in rows.items()
            if row["penalties"]
        },
        "groups": _groups(folds, number),
    }


def _validation(folds: ProbedFolds, of: str) -> ValidationRow:
    """Measure one method on validation, and the gap to test."""
    confidence, number = folds.config.confidence, folds.methods.index(of)
    found = folds.validation(of, confidence=confidence)
    row: ValidationRow = {
        "validation": folds.validation_value(of),
        "validation_low": found.low if found else None,
        "validation_high": found.high if found else None,
        "validation_clips": sum(folds.rows(of)[name, folds.seeds[0]]["validation_clips"] for name in folds.names),
    }
    together = 1 - (1 - confidence) / len(folds.methods)
    if (judged := folds.validation(of, confidence=together)) is None:
        return row
    low, high = outcome_interval(folds.outcomes, folds.draws[:, number], together, groups=folds.groups)
    gap = independent_difference(judged, Estimate(value=float(folds.values[:, number].mean()), low=low, high=high))
    return {**row, "gap": gap.value, "gap_low": gap.low, "gap_high": gap.high}


def _groups(folds: ProbedFolds, number: int) -> dict[str, float]:
    """Measure one method on the test clips of each group; folds of a group are weighted by its clips there."""
    parts: dict[str, list[tuple[float, int]]] = {}
    for name, outcome in zip(folds.names, folds.outcomes, strict=True):
        groups = np.array([group or "" for group in folds.of_fold(name)[0]["groups"]])
        for group in {*groups.tolist()} - {""}:
            members = (groups == group).astype(np.float64)
            parts.setdefault(group, []).append((float(measure(outcome, members[None])[0, number]), int(members.sum())))
    return {
        group: sum(value * clips for value, clips in several) / sum(clips for _, clips in several)
        for group, several in sorted(parts.items())
    }


def _differences(folds: ProbedFolds, of: str) -> list[DifferenceRow]:
    """Compare one method with every other, the strongest first."""
    one, rows, own_seeds = folds.methods.index(of), [], folds.by_seed(of)
    for other, against in enumerate(folds.methods):
        if other != one:
            found = difference(folds.values, folds.draws, one, other, confidence=folds.config.confidence)
            each = (folds.values[:, one] - folds.values[:, other]).tolist()
            seeds = {seed: own_seeds[seed] - value for seed, value in folds.by_seed(against).items()}
            low, high = t_interval(np.array([*seeds.values()]), confidence=folds.config.confidence)
            own = {"of": of, "against": against, "folds": dict(zip(folds.names, each, strict=True))}
            over_seeds = {"seeds": seeds, "seed_low": low, "seed_high": high}
            rows.append(cast(DifferenceRow, {**own, **over_seeds, **asdict(found)}))
    return sorted(rows, key=lambda row: row["value"])


def _layers(folds: ProbedFolds, of: str) -> list[LayerRow]:
    """List each layer with the pooling that is best on validation, means over the folds; all layers last."""
    best = [best_poolings(row["candidates"]) for row in folds.rows(of).values()]
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


def _learning_curve(folds: ProbedFolds, of: str) -> list[SharePoint]:
    """Average a method's learning curve over the folds.

    Shares too small for one clip per class give a single point; a share is the ratio of labelled clips.
    """
    rows = folds.rows(of)
    curves = [[rows[name, seed]["learning_curve"] for seed in folds.seeds] for name in folds.names]
    points = [
        _mean_point([[curve[place] for curve in seeds] for seeds in curves]) for place in range(len(curves[0][0]))
    ]
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


def _confusion(folds: ProbedFolds, of: str) -> list[list[float]]:
    """Test clips of each true class (rows) by answer (columns), over all folds; mean over the seeds."""
    answers = [(folds.probes[place]["truth"], row["predictions"]) for place, row in folds.rows(of).items()]
    counts = sum(confusion_matrix(*each, labels=folds.first["classes"]) for each in answers)
    means: list[list[float]] = (counts / len(folds.seeds)).tolist()
    return means
