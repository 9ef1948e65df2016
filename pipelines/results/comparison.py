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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from itertools import product
from typing import Any, Literal

import numpy as np

from lm.options import ProbeConfig
from lm.probing.comparison import (
    Estimate,
    FloatArray,
    Hits,
    Measured,
    Outcome,
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
Column = Literal["fold", "seed", "group", "share", "noise_snr"]  # of a figure that is not overall
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
        return sorted((row for name, row in self.tested.items() if name != of), key=lambda row: -row.value)

    def differences(self, of: str) -> Figures:
        """Select the differences of a reference to the other methods, the strongest first."""
        return self.figures.where(name="difference", of=of, share=None)

    def along(self, column: Column) -> dict[str, Figures]:
        """Select the test figures of each method at each fold, seed, group, share of labels or noise."""
        rows = self.figures.where(name=self.metric, split="test")
        known = [row for row in rows if getattr(row, column) is not None]
        return {of: Figures(row for row in known if row.of == of) for of in dict.fromkeys(str(row.of) for row in known)}

    def means(self, of: str, column: Column) -> dict[Any, float]:
        """Average the test figures of a method in each fold, with each seed, or in each group."""
        found: dict[Any, list[float]] = {}
        for row in self.along(column).get(of, ()):
            found.setdefault(getattr(row, column), []).append(row.value)
        return {place: float(np.mean(values)) for place, values in found.items()}

    def by_unit(self, of: str) -> dict[str, float]:
        """Return the test figure of a method in each fold, or in each group of the test clips of a single split."""
        return self.means(of, "fold" if self.has_folds else "group")

    def chosen(self, of: str) -> dict[str, str]:
        """Return the candidate that was chosen, by fold, or by "fold, seed n" of several; empty without a probe."""
        found: dict[str, str] = {}
        for row in self.along("seed").get(of) or [self.tested[of]]:
            seed = f"seed {row.seed}" if len(self.seeds) > 1 else ""
            if row.candidate is not None:
                found[", ".join(filter(None, (row.fold, seed)))] = row.candidate
        return found

    def layers(self, of: str) -> dict[str, dict[str, Figure]]:
        """Return the figures of each layer of a method by split, in the order of the layers."""
        found: dict[str, dict[str, Figure]] = {}
        for row in self.figures.where(name=f"{OF_LAYER}{self.metric}", of=of):
            found.setdefault(row.layer or "", {})[row.split or ""] = row
        return found

    def under_noise(self, of: str) -> dict[float | None, Figure]:
        """Return the test figure of a method without noise (None) and at each ratio, from soft to loud noise."""
        rows = sorted(self.along("noise_snr").get(of, ()), key=lambda row: -(row.noise_snr or 0.0))
        return {row.noise_snr: row for row in ([self.tested[of]] if of in self.tested else []) + rows}

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


Points = Sequence[Sequence[Mapping[str, Any]]]  # of a method under one condition: (folds, seeds)


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
    def first(self) -> list[Probed]:
        """The probes of each fold with the first seed; the clips of a fold are the same with every seed."""
        return [self.probes[name, self.seeds[0]] for name in self.names]

    @cached_property
    def methods(self) -> list[str]:
        return [row["of"] for row in self.first[0]["methods"]]

    def rows(self, of: str) -> dict[tuple[str, int], Mapping[str, Any]]:
        """Return the results of one method for each fold and seed, folds first."""
        places = product(self.names, self.seeds)
        return {place: next(row for row in self.probes[place]["methods"] if row["of"] == of) for place in places}

    def values(self, of: str, name: str) -> FloatArray:
        """Return a figure of one method, ``(folds, seeds)``."""
        values = np.array([row[name] for row in self.rows(of).values()], np.float64)
        return values.reshape(len(self.names), len(self.seeds))

    @cached_property
    def metric(self) -> str:
        """Name of the figure by which methods are compared."""
        return "mean_average_precision" if self.first[0]["multi_label"] else "accuracy"

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
            [probed[f"{split}groups"] for probed in self.first],
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
        folds = zip(self.names, self.first, strict=True)
        tested = [[name, probed["clips"], probed["truth"], probed["groups"]] for name, probed in folds]
        return list_hash([self.by, *tested])[:16]

    def figures(self, references: Sequence[str]) -> Iterator[Figure]:
        """Give all rows of the comparison, the best method first."""
        shared = Figure(
            stage="probe",
            name=self.metric,
            value=math.nan,
            artifact=" ".join(self.keys.values()),
            protocol=PROTOCOLS[self.by],
            split="test",
            seeds=len(self.seeds),
        )
        means = self.tested.values.mean(0)
        ranked = sorted(range(len(self.methods)), key=lambda number: -means[number])
        rows = [replace(shared, of=self.methods[number]) for number in ranked]
        for row in rows:
            yield from self._on_test(row)
        for row in rows:
            yield from self._judged(row)
        for of in references:
            yield from self._differences(replace(shared, of=of, name="difference", count=self.clips))
            yield from self._curve_differences(replace(shared, of=of))
        for each in (self._probes, self._layers, self._learning_curve, self._noise, self._groups):
            for row in rows:
                yield from each(row)

    def _on_test(self, row: Figure) -> Iterator[Figure]:
        """Give a method's figures on test, means over the folds; of a single probe also what was chosen."""
        of, row = str(row.of), replace(row, count=self.clips)
        found = self.tested.estimate(self.methods.index(of), confidence=self.config.confidence)
        chosen = _chosen(*self.rows(of).values()) if len(self.probes) == 1 else {}
        yield replace(row, **asdict(found), over=self.tested.over, **chosen)
        for name in ("macro_f1", "mean_average_precision"):
            if name != row.name:
                yield replace(row, name=name, value=float(self.values(of, name).mean()))

    def _judged(self, row: Figure) -> Iterator[Figure]:
        """Give the figure that chose a method's candidate, and the gap to test."""
        of, confidence = str(row.of), self.config.confidence
        value, count = float(self.values(of, "validation_accuracy").mean()), self._validation_clips(of)
        found, over = self._validation(of, value, confidence)
        ends: dict[str, Any] = {"low": found.low, "high": found.high, "over": over} if found else {}
        yield replace(row, split="validation", value=value, count=count, **ends)
        together = 1 - (1 - confidence) / len(self.methods)
        found, over = self._validation(of, value, together)
        if found:
            gap = independent_difference(found, self.tested.estimate(self.methods.index(of), confidence=together))
            over = " and ".join(dict.fromkeys((over, self.tested.over)))
            yield replace(row, name="gap", **asdict(gap), over=over, split="validation - test")

    def _validation_clips(self, of: str) -> int:
        """Count the clips that chose a method's candidates, over all folds."""
        return sum(row["validation_clips"] for (_, seed), row in self.rows(of).items() if seed == self.seeds[0])

    @cached_property
    def _validated(self) -> tuple[list[str], Measured | None]:
        """The methods whose candidates validation clips chose, and not cross-validation, and their measures there."""
        chosen = [of for of in self.methods if all("validation_predictions" in row for row in self.rows(of).values())]
        return chosen, self._measured("validation_", chosen) if chosen else None

    def _validation(self, of: str, value: float, confidence: float) -> tuple[Estimate | None, str]:
        """Return the figure ``value`` that chose a method's candidates with its interval, and what this is over.

        Validation clips have it like test clips. Cross-validation has Student's interval over its parts; the parts of
        several folds share clips, and give none.
        """
        chosen, measured = self._validated
        if measured is not None and of in chosen:
            return measured.estimate(chosen.index(of), confidence=confidence), measured.over
        if len(self.names) > 1:
            return None, ""
        low, high = t_interval(np.mean([row["parts"] for row in self.rows(of).values()], axis=0), confidence=confidence)
        return None if low is None or high is None else Estimate(value=value, low=low, high=high), "parts"

    def _differences(self, row: Figure) -> list[Figure]:
        """Compare one method with every other, the strongest first."""
        rows, one, confidence = [], self.methods.index(str(row.of)), self.config.confidence
        by_seed = {of: np.array([seed.mean() for seed in self.values(of, "test_accuracy").T]) for of in self.methods}
        for other, against in enumerate(self.methods):
            if other != one:
                found = self.tested.difference(one, other, confidence=confidence)
                low, high = t_interval(by_seed[str(row.of)] - by_seed[against], confidence=confidence)
                pair = replace(row, against=against, seed_low=low, seed_high=high, over=self.tested.over)
                rows.append(replace(pair, **asdict(found)))
        return sorted(rows, key=lambda row: row.value)

    def _probes(self, row: Figure) -> Iterator[Figure]:
        """Give what each of several probes of a method chose, and its figures."""
        rows = self.rows(str(row.of))
        for (fold, seed), probed in rows.items() if len(rows) > 1 else ():
            key, place, whole = self.keys.get((fold, seed), ""), None if self.by == "split" else fold, self.probes
            own = replace(row, fold=place, seed=seed, seeds=1, artifact=key)
            ends = {**_ends(whole[fold, seed], probed), **_chosen(probed)}
            yield replace(own, value=probed["test_accuracy"], count=len(whole[fold, seed]["clips"]), **ends)
            judged, count = probed["validation_accuracy"], probed["validation_clips"]
            yield replace(own, value=judged, split="validation", count=count)

    def _layers(self, row: Figure) -> Iterator[Figure]:
        """Give the figures of each layer with the pooling that is best on validation; layers side by side come last."""
        best: list[dict[str | None, Mapping[str, Any]]] = []  # by probe and layer
        for probed in self.rows(str(row.of)).values():
            ranked = sorted(probed["candidates"], key=lambda each: -each["validation_accuracy"])
            best.append({parts_of_key(each["of"])[0]: each for each in reversed(ranked)})
        layers = dict.fromkeys(parts_of_key(each["of"])[0] for each in probed["candidates"])
        for name in sorted(filter(None, layers), key=lambda name: name.startswith("all_")):
            own = replace(row, name=f"{OF_LAYER}{row.name}", layer=name)
            judged, tested = (
                float(np.mean([each[name][f"{split}_accuracy"] for each in best])) for split in ("validation", "test")
            )
            yield replace(own, value=judged, split="validation", count=self._validation_clips(str(row.of)))
            ends = _ends(self.first[0], best[0][name], str(row.of)) if len(best) == 1 else {}
            yield replace(own, value=tested, count=self.clips, **ends)

    def _mean_point(self, points: Points, row: Figure) -> Figure:
        """Average the test accuracies of points over folds and seeds."""
        value, low, high = (
            float(np.mean([[point[name] for point in seeds] for seeds in points]))
            for name in ("test_accuracy", "low", "high")
        )
        values, over = self._crossed(points)
        if over is not None:
            low, high, _ = over_groups(values, confidence=self.config.confidence, value=value)
        return replace(row, value=value, low=max(low, 0.0), high=min(high, 1.0), over=over or "clips")

    def _points(self, of: str, name: str) -> list[Points]:
        """Return the points of a method's learning curve, or of its noise, in each place of the curve."""
        rows = self.rows(of)
        curves = [[rows[fold, seed].get(name, []) for seed in self.seeds] for fold in self.names]
        return [[[curve[place] for curve in seeds] for seeds in curves] for place in range(len(curves[0][0]))]

    def _noise(self, row: Figure) -> Iterator[Figure]:
        """Average a method's accuracy with each noise."""
        for points in self._points(str(row.of), "noise"):
            yield self._mean_point(points, replace(row, count=self.clips, noise_snr=points[0][0]["snr"]))

    def _learning_curve(self, row: Figure) -> Iterator[Figure]:
        return (self._mean_point(points, each) for points, each in self._labelled(row))

    def _labelled(self, row: Figure) -> list[tuple[Points, Figure]]:
        """Return the points of a method's learning curve with their numbers of labels.

        Shares too small for one clip per class give a single point; a share is the ratio of labelled clips.
        """
        row, curves = replace(row, count=self.clips), self._points(str(row.of), "learning_curve")
        counts = [float(np.mean([[point["clips"] for point in seeds] for seeds in points])) for points in curves]
        shares = [points[0][0]["share"] for points in curves]
        whole = next((count for count, share in zip(counts, shares, strict=True) if share == 1), None)
        found = {
            labels: (points, replace(row, labels=labels, share=labels / whole if whole and labels else share))
            for labels, share, points in zip(counts, shares, curves, strict=True)
        }
        return [*found.values()]

    def _curve_differences(self, row: Figure) -> Iterator[Figure]:
        """Compare one method with every other at each number of labels, where groups or folds give an interval."""
        one = {each.labels: points for points, each in self._labelled(row)}
        for against in self.methods:
            for points, each in self._labelled(replace(row, of=against)) if against != row.of else ():
                values, over = self._crossed(points)
                if over is None or each.labels not in one:
                    continue
                apart = self._crossed(one[each.labels])[0] - values
                low, high, p = over_groups(apart, confidence=self.config.confidence)
                pair = replace(each, name="difference", of=row.of, against=against, over=over)
                yield replace(pair, value=float(apart.mean()), low=low, high=high, p=p)

    def _crossed(self, points: Points) -> tuple[FloatArray, str | None]:
        """Return the values ``(groups or folds, seeds, draws of labels)``, and what the first axis is.

        This is None where the clips of a single fold have no groups.
        """
        if len(points) > 1:  # folds may test other numbers of groups
            means = [[np.mean(point["values"], axis=0) for point in seeds] for seeds in points]
            return np.array(means), "groups" if self.by == "group" else "folds"
        values = np.array([point["values"] for point in points[0]])  # (seeds, groups, draws)
        return values.swapaxes(0, 1), "groups" if values.shape[1] > 1 else None

    def _groups(self, row: Figure) -> Iterator[Figure]:
        """Measure one method on the test clips of each group; folds of a group are weighted by its clips there."""
        number = self.methods.index(str(row.of))
        parts: dict[str, list[tuple[float, int]]] = {}
        for probed, outcome in zip(self.first, self.tested.folds, strict=True):
            groups = np.array([group or "" for group in probed["groups"]])
            for group in {*groups.tolist()} - {""}:
                members = (groups == group).astype(np.float64)
                own = float(measure(outcome, members[None])[0, number])
                parts.setdefault(group, []).append((own, int(members.sum())))
        for group, several in sorted(parts.items()):
            clips = sum(clips for _, clips in several)
            yield replace(row, group=group, count=clips, value=sum(value * clips for value, clips in several) / clips)

    def confusion(self, of: str) -> list[list[float]]:
        """Count test clips of each true class (rows) by answer (columns), over all folds; mean over the seeds."""
        number = {name: place for place, name in enumerate(self.first[0]["classes"])}
        counts = np.zeros((len(number), len(number)))
        for place, row in self.rows(of).items():
            for truth, answer in zip(self.probes[place]["truth"], row["predictions"], strict=True):
                counts[number[truth], number[answer]] += 1
        means: list[list[float]] = (counts / len(self.seeds)).tolist()
        return means


def compare(folds: ProbedFolds, *, references: Sequence[str] = (GPT,)) -> Comparison:
    """Compare the methods of all folds and seeds. ``references`` are compared with every other method, where probed."""
    first, chosen_by = folds.first[0], {probed["choose_by"] for probed in folds.probes.values()}
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
        confusion={} if first["multi_label"] else {of: folds.confusion(of) for of in known},
        figures=Figures(folds.figures(known)),
    )


def _chosen(probed: Mapping[str, Any]) -> dict[str, Any]:
    """Return layer, pooling and penalty that were chosen; empty for scores that no probe made."""
    if not probed["penalties"]:
        return {}
    layer, pooling = parts_of_key(probed["chosen"])
    return {"layer": layer, "pooling": pooling, "penalty": probed["penalty"]}


def _ends(probed: Probed, row: Mapping[str, Any], of: str = "") -> dict[str, Any]:
    """Return the interval that the probes of one fold and seed have stored, and what it is over."""
    outcome = _outcome(probed, [of or row["of"]], "")
    over = Measured.of([outcome], [probed["groups"]], resamples=0, seed=0).over
    return {"low": row["low"], "high": row["high"], "over": over}


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
