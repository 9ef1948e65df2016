"""The comparison of methods: how its rows of ``results.json`` follow from the probes, and how pages read these rows.

``compare`` makes a `Comparison` of the probes of every fold and seed. Every fold has the same weight. Intervals and p
values come from `lm.probing.comparison`: Student's t over the groups of the test clips, crossed with the seeds, or a
bootstrap of clips without groups; and t intervals over folds and over seeds. With several seeds, a clip counts as right
by the share of seeds that answer it right.

Beside each test figure stands the validation figure that chose the method's candidate, and the gap: validation minus
test, with an interval that holds for all methods at once (Bonferroni). Where it excludes 0, the two sets of clips
differ by more than chance.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from itertools import product
from typing import Any, Literal, TypeVar

import numpy as np

from lm.options import ProbeConfig
from lm.probing.comparison import (
    Estimate,
    FloatArray,
    Hits,
    Measured,
    Outcome,
    Over,
    Rankings,
    bootstrap,
    independent_difference,
    mean_outcome,
    measure,
    num_clips,
    over_groups,
    t_interval,
)
from pipelines.methods.method import PictureRecord
from pipelines.results.figures import OF_LAYER, Figure, Figures
from pipelines.store.stored_features import GPT, parts_of_key
from wordless.base.values import list_hash
from wordless.training.options import TrainingRecord

By = Literal["group", "fold", "split"]
Probed = Mapping[str, Any]  # the content of probe.json
PROTOCOLS: dict[By, str] = {"group": "leave one group out", "fold": "given folds", "split": "one split"}
PAIRED_SEED = 0  # of the resamples that pair runs


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The protocol of a comparison, and its figures, which ``results.json`` has among all others."""

    protocol: str = "unknown"
    by: str = "split"  # basis of the folds: group, fold or split
    metric: str = "accuracy"
    folds: list[str]
    seeds: list[int] = field(default_factory=list)
    classes: list[str]
    clips: int = 0  # of test, with a label
    split_groups: dict[str, list[str]] = field(default_factory=dict)  # of validation and test, of a single split
    clips_key: str = ""  # runs with the same key have the same test clips, labels and groups
    unlabelled: int = 0  # clips
    notices: list[str] = field(default_factory=list)  # limits of the folds, a sentence each
    layer_penalties: int = 0  # of each candidate of each method, for the choice of the candidate
    penalties: int = 0  # of the chosen candidate of each method
    classifier: str = "logistic"  # of every method
    choose_by: str = "validation"  # chose layer, pooling and penalty: validation, group, fold; auto where folds differ
    confidence: float = 0.95
    over: str = "clips"  # or groups: what the intervals of test figures are over
    references: list[str] = field(default_factory=lambda: [GPT])  # that every other method is compared with
    confusion: dict[str, list[list[float]]] = field(default_factory=dict)  # of references: clips, a row for each class
    trainings: dict[str, dict[str, TrainingRecord]] = field(default_factory=dict)  # by method, then fold
    pictures: list[PictureRecord] = field(default_factory=list)  # of what methods have learned in the first fold
    figures: Figures = field(default_factory=lambda: Figures(()))  # rows of the stage "probe"

    def as_section(self) -> dict[str, object]:
        """Return the section "comparison" of ``results.json``: all but the figures."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "figures"}

    @cached_property
    def tested(self) -> dict[str, Figure]:
        """The test figure of each method, the best first."""
        return self.figures.by_method(name=self.metric, split="test")

    @property
    def methods(self) -> list[str]:
        """The methods, the best first."""
        return [*self.tested]

    @cached_property
    def validated(self) -> dict[str, Figure]:
        """The figure of each method that chose its candidate, and how far it is from test in `gaps`."""
        return self.figures.by_method(name=self.metric, split="validation")

    @cached_property
    def gaps(self) -> dict[str, Figure]:
        """Validation minus test, with an interval that holds for all methods at once."""
        return self.figures.by_method(name="gap")

    def value(self, of: str, name: str = "") -> float | None:
        """Return a test figure of a method, by default in the metric of the comparison; None where it is unknown."""
        return self.figures.value("probe", name or self.metric, of)

    def rivals(self, of: str) -> list[Figure]:
        """Return the test figures of all methods but one, the best first."""
        others = (row for name, row in self.tested.items() if name != of)
        return sorted(others, key=lambda row: row.value, reverse=True)

    def differences(self, of: str) -> Figures:
        """Select the differences of a reference to the other methods, the strongest first."""
        return self.figures.where(name="difference", of=of, share=None)

    @cached_property
    def _probes(self) -> dict[str, list[Figure]]:
        """The test figures of each method in each fold with each seed, where there are several."""
        rows = self.figures.where(name=self.metric, split="test", group=None, share=None, noise_snr=None)
        return _by_method(row for row in rows if not row.is_overall)

    def by_fold(self, of: str) -> dict[str, float]:
        """Return the test figure of a method in each fold, the mean over the seeds."""
        return _means((row.fold, row.value) for row in self._probes.get(of, ()) if row.fold is not None)

    def by_unit(self, of: str) -> dict[str, float]:
        """Return the test figure of a method in each fold, or in each group of the test clips of a single split."""
        return self.by_fold(of) if self.has_folds else self.groups.get(of, {})

    def by_seed(self, of: str) -> dict[int, float]:
        """Return the test figure of a method with each seed, the mean over the folds."""
        return _means((row.seed, row.value) for row in self._probes.get(of, ()) if row.seed is not None)

    def fold_spread(self, of: str) -> float:
        """Return the standard deviation over the folds."""
        values = [*self.by_fold(of).values()]
        return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0

    def chosen(self, of: str) -> dict[str, str]:
        """Return the candidate that was chosen, by fold, or by "fold, seed n" of several; empty without a probe."""
        found: dict[str, str] = {}
        for row in self._probes.get(of) or [row for name, row in self.tested.items() if name == of]:
            seed = f"seed {row.seed}" if len(self.seeds) > 1 else ""
            if row.candidate is not None:
                found[", ".join(filter(None, (row.fold, seed)))] = row.candidate
        return found

    @property
    def places(self) -> list[str]:
        """Each fold, or each fold with each seed, in which a candidate was chosen."""
        return list(dict.fromkeys(place for of in self.methods for place in self.chosen(of)))

    def layers(self, of: str) -> dict[str, dict[str, Figure]]:
        """Return the figures of each layer of a method by split, in the order of the layers."""
        found: dict[str, dict[str, Figure]] = {}
        for row in self.figures.where(name=f"{OF_LAYER}{self.metric}", of=of):
            found.setdefault(row.layer or "", {})[row.split or ""] = row
        return found

    @cached_property
    def learning_curves(self) -> dict[str, list[Figure]]:
        """The test figures of each method by its number of labels."""
        return _by_method(row for row in self.figures if row.share is not None and row.against is None)

    @cached_property
    def noise(self) -> dict[str, list[Figure]]:
        """The test figures of each method with noise, by signal-to-noise ratio in the order of the option."""
        return _by_method(row for row in self.figures if row.noise_snr is not None)

    def under_noise(self, of: str) -> dict[float | None, Figure]:
        """Return the test figure of a method without noise (None) and at each ratio, from soft to loud noise."""
        rows = sorted(self.noise.get(of, ()), key=lambda row: -(row.noise_snr or 0.0))
        return {row.noise_snr: row for row in ([self.tested[of]] if of in self.tested else []) + rows}

    @cached_property
    def groups(self) -> dict[str, dict[str, float]]:
        """The test figure of each method in each group."""
        rows = _by_method(row for row in self.figures if row.group is not None)
        return {of: {str(row.group): row.value for row in several} for of, several in rows.items()}

    @property
    def has_folds(self) -> bool:
        return len(self.folds) > 1

    @property
    def known_references(self) -> list[str]:
        """The methods that every other method is compared with, as far as they take part."""
        return [of for of in self.references if of in self.tested]

    @property
    def fold_noun(self) -> str:
        """The unit that is left out of training together."""
        return "group" if self.by == "group" or not self.has_folds else "fold"

    @property
    def single_group(self) -> str | None:
        """What intervals over clips leave open if a single split tests one group; None otherwise."""
        if self.by != "split" or len(self.split_groups.get("test", [])) != 1:
            return None
        return (
            "The test clips come from 1 group, and clips of one group are alike: the intervals and p values hold for "
            "this group. For others, leave each group out (wordless run with compare.folds=group)."
        )

    @property
    def guessing(self) -> float | None:
        """The accuracy of always answering the most frequent class; None if a clip may have several labels."""
        tables = ([sum(row) for row in counts] for counts in self.confusion.values())
        return next((max(clips) / sum(clips) for clips in tables if sum(clips)), None)


K = TypeVar("K")


def _by_method(rows: Iterable[Figure]) -> dict[str, list[Figure]]:
    found: dict[str, list[Figure]] = {}
    for row in rows:
        found.setdefault(row.of or "", []).append(row)
    return found


def _means(values: Iterable[tuple[K, float]]) -> dict[K, float]:
    found: dict[K, list[float]] = {}
    for place, value in values:
        found.setdefault(place, []).append(value)
    return {place: float(np.mean(several)) for place, several in found.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbedFolds:
    """The probes of every fold and seed, and what their methods reach."""

    probes: Mapping[tuple[str, int], Probed]
    config: ProbeConfig
    by: By  # basis of the folds; "split" for a single division
    keys: Mapping[tuple[str, int], str] = field(default_factory=dict)  # of the entries of the probes

    @cached_property
    def names(self) -> list[str]:
        """The folds, in the order given."""
        return list(dict.fromkeys(name for name, _ in self.probes))

    @cached_property
    def seeds(self) -> list[int]:
        return sorted({seed for _, seed in self.probes})

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
        """Return the results of one method for each fold and seed, folds first."""
        places = product(self.names, self.seeds)
        return {place: next(row for row in self.probes[place]["methods"] if row["of"] == of) for place in places}

    @property
    def metric(self) -> str:
        """Name of the figure by which methods are compared."""
        return "mean_average_precision" if self.first["multi_label"] else "accuracy"

    @property
    def clips(self) -> int:
        return sum(map(num_clips, self.tested.folds))

    @cached_property
    def tested(self) -> Measured:
        """All methods on the test clips."""
        return self._measured("", self.methods)

    def _measured(self, split: Literal["", "validation_"], methods: Sequence[str]) -> Measured:
        """Measure methods on the test clips, or the validation clips, over folds and seeds."""
        repeats = [[_outcome(self.probes[name, seed], methods, split) for name in self.names] for seed in self.seeds]
        return Measured.of(
            [mean_outcome(seeds) for seeds in zip(*repeats, strict=True)],
            [self.of_fold(name)[0][f"{split}groups"] for name in self.names],
            resamples=self.config.resamples,
            seed=self.config.seed,
            repeats=repeats,
        )

    @cached_property
    def paired_draws(self) -> FloatArray:
        """Bootstrapped values ``(resamples, methods)`` on resamples that do not depend on a seed: they pair runs.

        Fewer resamples are the first of more.
        """
        return bootstrap(self.tested.folds, resamples=self.config.resamples, seed=PAIRED_SEED)

    @property
    def clips_key(self) -> str:
        """Hash of the test clips with their labels, groups and folds: runs of one key are paired."""
        tested = [[name, *(self.of_fold(name)[0][key] for key in ("clips", "truth", "groups"))] for name in self.names]
        return list_hash([self.by, *tested])[:16]

    def validation_clips(self, of: str) -> int:
        """Count the clips that chose a method's candidates, over all folds."""
        return sum(self.rows(of)[name, self.seeds[0]]["validation_clips"] for name in self.names)

    @cached_property
    def _on_validation(self) -> list[str]:
        """The methods whose candidates validation clips chose, and not cross-validation."""
        return [of for of in self.methods if all("validation_predictions" in row for row in self.rows(of).values())]

    @cached_property
    def _validated(self) -> Measured:
        return self._measured("validation_", self._on_validation)

    def validation(self, of: str, value: float, *, confidence: float) -> tuple[Estimate, str] | None:
        """Return the figure ``value`` that chose a method's candidates with its interval, and what this is over.

        Validation clips have it like test clips. Cross-validation has Student's interval over its parts; the parts of
        several folds share clips, and give none.
        """
        if of in self._on_validation:
            number = self._on_validation.index(of)
            return self._validated.estimate(number, confidence=confidence), self._validated.over
        if len(self.names) > 1:
            return None
        low, high = t_interval(np.mean([row["parts"] for row in self.rows(of).values()], axis=0), confidence=confidence)
        return None if low is None or high is None else (Estimate(value=value, low=low, high=high), "parts")


def compare(folds: ProbedFolds, *, references: Sequence[str] = (GPT,)) -> Comparison:
    """Compare the methods of all folds and seeds. ``references`` are compared with every other method, where probed."""
    first, chosen_by = folds.first, {probed["choose_by"] for probed in folds.probes.values()}
    known = [of for of in dict.fromkeys(references) if of in folds.methods]
    return Comparison(
        protocol=PROTOCOLS[folds.by],
        by=folds.by,
        metric=folds.metric,
        folds=folds.names,
        seeds=folds.seeds,
        classes=list(first["classes"]),
        clips=folds.clips,
        unlabelled=first["unlabelled"],
        split_groups={
            split: sorted({group for group in first[key] if group is not None})
            for split, key in (("validation", "validation_groups"), ("test", "groups"))
            if folds.by == "split"
        },
        clips_key=folds.clips_key,
        notices=sorted({notice for one in folds.probes.values() for notice in one["notices"]}),
        layer_penalties=max(row["layer_penalties"] for row in first["methods"]),
        penalties=max(row["penalties"] for row in first["methods"]),
        classifier=folds.config.classifier,
        choose_by=chosen_by.pop() if len(chosen_by) == 1 else "auto",  # it differs between folds
        confidence=folds.config.confidence,
        over=folds.tested.over,
        references=known,
        confusion={} if first["multi_label"] else {of: _confusion(folds, of) for of in known},
        figures=Figures(_figures(folds, known)),
    )


def _figures(folds: ProbedFolds, references: Sequence[str]) -> Iterator[Figure]:
    """Give all rows of the comparison, the best method first."""
    shared = Figure(
        stage="probe",
        name=folds.metric,
        value=math.nan,
        artifact=" ".join(folds.keys.values()),
        protocol=PROTOCOLS[folds.by],
        split="test",
        seeds=len(folds.seeds),
    )
    values = folds.tested.values.mean(0)
    ranked = sorted(range(len(folds.methods)), key=lambda number: -values[number])
    rows = [(number, replace(shared, of=folds.methods[number])) for number in ranked]
    for number, row in rows:
        yield from _on_test(folds, number, row)
    for number, row in rows:
        yield from _on_validation(folds, number, row)
    for of in references:
        yield from _differences(folds, replace(shared, of=of, name="difference", count=folds.clips))
        yield from _curve_differences(folds, replace(shared, of=of))
    for each in (_probes, _layers, _learning_curve, _noise, _groups):
        for _, row in rows:
            yield from each(folds, row)


def _on_test(folds: ProbedFolds, number: int, row: Figure) -> Iterator[Figure]:
    """Give a method's figures on test, means over the folds; of a single probe also what was chosen."""
    row, probed = replace(row, count=folds.clips), [*folds.rows(str(row.of)).values()]
    found = folds.tested.estimate(number, confidence=folds.config.confidence)
    chosen = _chosen(probed[0]) if len(probed) == 1 else {}
    yield replace(row, **asdict(found), over=folds.tested.over, **chosen)
    for name in ("macro_f1", "mean_average_precision"):
        if name != row.name:
            yield replace(row, name=name, value=float(np.mean([each[name] for each in probed])))


def _chosen(probed: Mapping[str, Any]) -> dict[str, Any]:
    """Return layer, pooling and penalty that were chosen; empty for scores that no probe made."""
    if not probed["penalties"]:
        return {}
    layer, pooling = parts_of_key(probed["chosen"])
    return {"layer": layer, "pooling": pooling, "penalty": probed["penalty"]}


def _on_validation(folds: ProbedFolds, number: int, row: Figure) -> Iterator[Figure]:
    """Give the figure that chose a method's candidate, and the gap to test."""
    of, confidence, rows = folds.methods[number], folds.config.confidence, folds.rows(folds.methods[number])
    value = float(np.mean([[rows[name, seed]["validation_accuracy"] for seed in folds.seeds] for name in folds.names]))
    judged = row
    if found := folds.validation(of, value, confidence=confidence):
        judged = replace(row, low=found[0].low, high=found[0].high, over=found[1])
    yield replace(judged, split="validation", value=value, count=folds.validation_clips(of))
    together = 1 - (1 - confidence) / len(folds.methods)
    if found := folds.validation(of, value, confidence=together):
        gap = independent_difference(found[0], folds.tested.estimate(number, confidence=together))
        over = " and ".join(dict.fromkeys((found[1], folds.tested.over)))
        yield replace(row, name="gap", **asdict(gap), over=over, split="validation - test")


def _differences(folds: ProbedFolds, row: Figure) -> list[Figure]:
    """Compare one method with every other, the strongest first."""
    of, rows = str(row.of), []
    one, own_seeds = folds.methods.index(of), _by_seed(folds, of)
    for other, against in enumerate(folds.methods):
        if other != one:
            found = folds.tested.difference(one, other, confidence=folds.config.confidence)
            seeds = own_seeds - _by_seed(folds, against)
            low, high = t_interval(seeds, confidence=folds.config.confidence)
            rows.append(
                replace(row, against=against, seed_low=low, seed_high=high, over=folds.tested.over, **asdict(found))
            )
    return sorted(rows, key=lambda row: row.value)


def _by_seed(folds: ProbedFolds, of: str) -> FloatArray:
    """Return the values of one method with each seed, means over the folds."""
    rows = folds.rows(of)
    values = [[rows[name, seed]["test_accuracy"] for name in folds.names] for seed in folds.seeds]
    return np.array([np.mean(each) for each in values])


def _probes(folds: ProbedFolds, row: Figure) -> Iterator[Figure]:
    """Give what each of several probes of a method chose, and its figures."""
    rows = folds.rows(str(row.of))
    for (fold, seed), probed in rows.items() if len(rows) > 1 else ():
        key, place = folds.keys.get((fold, seed), ""), None if folds.by == "split" else fold
        own = replace(row, fold=place, seed=seed, seeds=1, artifact=key)
        clips = len(folds.probes[fold, seed]["clips"])
        ends = {"low": probed["low"], "high": probed["high"], "over": _over(folds.probes[fold, seed], str(row.of))}
        yield replace(own, value=probed["test_accuracy"], **ends, count=clips, **_chosen(probed))
        judged, count = probed["validation_accuracy"], probed["validation_clips"]
        yield replace(own, value=judged, split="validation", count=count)


def _layers(folds: ProbedFolds, row: Figure) -> Iterator[Figure]:
    """Give the figures of each layer with the pooling that is best on validation; layers side by side come last."""
    best: list[dict[str | None, Mapping[str, Any]]] = []  # by probe and layer
    for probed in folds.rows(str(row.of)).values():
        ranked = sorted(probed["candidates"], key=lambda each: -each["validation_accuracy"])
        best.append({parts_of_key(each["of"])[0]: each for each in reversed(ranked)})
    layers = dict.fromkeys(parts_of_key(each["of"])[0] for each in probed["candidates"])
    for name in sorted(filter(None, layers), key=lambda name: name.startswith("all_")):
        own = replace(row, name=f"{OF_LAYER}{row.name}", layer=name)
        judged, tested = (
            float(np.mean([each[name][f"{split}_accuracy"] for each in best])) for split in ("validation", "test")
        )
        yield replace(own, value=judged, split="validation", count=folds.validation_clips(str(row.of)))
        if len(best) == 1:
            found = best[0][name]
            own = replace(own, low=found["low"], high=found["high"], over=_over(folds.first, str(row.of)))
        yield replace(own, value=tested, count=folds.clips)


def _over(probed: Probed, of: str) -> Over:
    """Say what the intervals of a method are over that the probes of one fold and seed have stored."""
    return Measured.of([_outcome(probed, [of], "")], [probed["groups"]], resamples=0, seed=0).over


Points = Sequence[Sequence[Mapping[str, Any]]]  # of a method under one condition: (folds, seeds)


def _curves(folds: ProbedFolds, of: str, name: str) -> list[Points]:
    """Return the points of a method's learning curve, or of its noise, in each place of the curve."""
    rows = folds.rows(of)
    curves = [[rows[fold, seed].get(name, []) for seed in folds.seeds] for fold in folds.names]
    return [[[curve[place] for curve in seeds] for seeds in curves] for place in range(len(curves[0][0]))]


def _learning_curve(folds: ProbedFolds, row: Figure) -> list[Figure]:
    """Average a method's learning curve over the folds."""
    return [_mean_point(folds, points, each) for points, each in _labelled(folds, row)]


def _labelled(folds: ProbedFolds, row: Figure) -> list[tuple[Points, Figure]]:
    """Return the points of a method's learning curve with their numbers of labels.

    Shares too small for one clip per class give a single point; a share is the ratio of labelled clips.
    """
    row, curves = replace(row, count=folds.clips), _curves(folds, str(row.of), "learning_curve")
    counts = [float(np.mean([[point["clips"] for point in seeds] for seeds in points])) for points in curves]
    shares = [points[0][0]["share"] for points in curves]
    whole = next((count for count, share in zip(counts, shares, strict=True) if share == 1), None)
    found = {
        labels: (points, replace(row, labels=labels, share=labels / whole if whole and labels else share))
        for labels, share, points in zip(counts, shares, curves, strict=True)
    }
    return [*found.values()]


def _curve_differences(folds: ProbedFolds, row: Figure) -> Iterator[Figure]:
    """Compare one method with every other at each number of labels, where groups or folds give an interval."""
    one = {each.labels: points for points, each in _labelled(folds, row)}
    for against in folds.methods:
        for points, each in _labelled(folds, replace(row, of=against)) if against != row.of else ():
            values, over = _crossed(folds, points)
            if over is None or each.labels not in one:
                continue
            apart = _crossed(folds, one[each.labels])[0] - values
            low, high, p = over_groups(apart, confidence=folds.config.confidence)
            pair = replace(each, name="difference", of=row.of, against=against, over=over)
            yield replace(pair, value=float(apart.mean()), low=low, high=high, p=p)


def _crossed(folds: ProbedFolds, points: Points) -> tuple[FloatArray, str | None]:
    """Return the values ``(groups or folds, seeds, draws of labels)``, and what the first axis is.

    This is None where the clips of a single fold have no groups.
    """
    if len(points) > 1:  # folds may test other numbers of groups
        means = [[np.mean(point["values"], axis=0) for point in seeds] for seeds in points]
        return np.array(means), "groups" if folds.by == "group" else "folds"
    values = np.array([point["values"] for point in points[0]])  # (seeds, groups, draws)
    return values.swapaxes(0, 1), "groups" if values.shape[1] > 1 else None


def _mean_point(folds: ProbedFolds, points: Points, row: Figure) -> Figure:
    """Average the test accuracies of points over folds and seeds."""
    value, low, high = (
        float(np.mean([[point[name] for point in seeds] for seeds in points]))
        for name in ("test_accuracy", "low", "high")
    )
    values, over = _crossed(folds, points)
    if over is not None:
        low, high, _ = over_groups(values, confidence=folds.config.confidence, value=value)
    return replace(row, value=value, low=max(low, 0.0), high=min(high, 1.0), over=over or "clips")


def _noise(folds: ProbedFolds, row: Figure) -> Iterator[Figure]:
    """Average a method's accuracy with each noise over folds and seeds."""
    row = replace(row, count=folds.clips)
    for points in _curves(folds, str(row.of), "noise"):
        yield _mean_point(folds, points, replace(row, noise_snr=points[0][0]["snr"]))


def _groups(folds: ProbedFolds, row: Figure) -> Iterator[Figure]:
    """Measure one method on the test clips of each group; folds of a group are weighted by its clips there."""
    number = folds.methods.index(str(row.of))
    parts: dict[str, list[tuple[float, int]]] = {}
    for name, outcome in zip(folds.names, folds.tested.folds, strict=True):
        groups = np.array([group or "" for group in folds.of_fold(name)[0]["groups"]])
        for group in {*groups.tolist()} - {""}:
            members = (groups == group).astype(np.float64)
            parts.setdefault(group, []).append((float(measure(outcome, members[None])[0, number]), int(members.sum())))
    for group, several in sorted(parts.items()):
        clips = sum(clips for _, clips in several)
        yield replace(row, group=group, count=clips, value=sum(value * clips for value, clips in several) / clips)


def _confusion(folds: ProbedFolds, of: str) -> list[list[float]]:
    """Count test clips of each true class (rows) by answer (columns), over all folds; mean over the seeds."""
    number = {name: place for place, name in enumerate(folds.first["classes"])}
    counts = np.zeros((len(number), len(number)))
    for place, row in folds.rows(of).items():
        for truth, answer in zip(folds.probes[place]["truth"], row["predictions"], strict=True):
            counts[number[truth], number[answer]] += 1
    means: list[list[float]] = (counts / len(folds.seeds)).tolist()
    return means


def _outcome(probed: Probed, methods: Sequence[str], split: Literal["", "validation_"]) -> Outcome:
    """Build the outcome of some methods on the test clips, or the validation clips, of one fold and seed."""
    of_method = {row["of"]: row for row in probed["methods"]}
    rows = [of_method[of] for of in methods]
    if probed["multi_label"]:
        several = np.array([[name in names for name in probed["classes"]] for names in probed[f"{split}truth"]], bool)
        scores = np.array([[row[f"{split}scores"]] for row in rows], np.float64)
        return Rankings(truth=several, scores=scores)
    truth = np.array(probed[f"{split}truth"])
    return Hits(hits=np.array([np.array(row[f"{split}predictions"]) == truth for row in rows], np.float64))
