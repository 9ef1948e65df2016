"""The rows of the probes: what all methods of a run answer for the same clips, with intervals and differences.

Every fold has the same weight. Intervals and p values come from `lm.probing.intervals`: over clips, and as far as
Student's t over the groups of the test clips, or without groups over blocks of clips, crossed with the seeds; and t
intervals over folds and seeds. A clip counts as right by the share of seeds that answer it right. The gap is validation
minus test, with an interval that holds for all methods at once (Bonferroni): where it excludes 0, the two sets of clips
differ by more than chance. ``predictions.parquet`` has what each probe answered for each test clip.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from itertools import islice, product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq

from lm.probing import intervals as measured
from lm.probing.probe_options import ProbeConfig
from lm.probing.task import require_equal_counts
from pipelines.methods.methods_table import row_of
from pipelines.results.run_record import KEPT, LARGEST_INPUT, OF_LAYER, Comparison, FoldSeed, Made, Row, frame
from pipelines.settings.run_settings import By, RunSettings
from pipelines.stages.probing import probe_task
from pipelines.store.store import CachedArtifact
from pipelines.store.stored_features import GPT_METHOD, PROBE_RECORD, natural, parts_of_key
from wordless.audio.recordings.manifest import Clips
from wordless.base.arrays import FloatArray, Floats
from wordless.base.files import aside, list_hash

Probed = Mapping[str, Any]  # the clips of a fold, and what the artifact of each method records of them
PROTOCOLS: dict[By, str] = {
    "group": "leave one group out",
    "groups": "folds of whole groups",
    "fold": "given folds",
    "split": "one split",
}
PAIRED_SEED = 0  # of the resamples that pair runs


def probes_of_run(corpus: Clips, settings: RunSettings, made: Made) -> "Probes | None":
    """Put the probes of all methods of each fold and seed side by side; None if the run has none."""
    if "probe" not in settings.stages:
        return None
    compare, split, methods = settings.compare, settings.corpus.split, settings.compare.all_methods
    names = sorted((method.name for method in methods), key=natural)
    names += sorted(method.head.name for method in methods if method.head)
    divided = compare.divide(corpus, quick=settings.quick, shared_groups=split.shared_groups, seed=split.seed)
    folds = {fold.name: fold for fold in divided}
    probes = {
        place: side_by_side_probes(folds[place[0]], settings.probe, [artifacts[f"probed_{name}"] for name in names])
        for place, artifacts in made.items()
    }
    return Probes(probes, settings.probe, by=compare.by)


def side_by_side_probes(clips: Clips, config: ProbeConfig, methods: Sequence[CachedArtifact]) -> Probed:
    """Put what the artifacts of all methods of a fold record beside the clips that they were asked about."""
    task = probe_task(clips, config)
    rows = [{**artifact.read_json(PROBE_RECORD), "artifact": artifact.key} for artifact in methods]
    for step in ("layer_regularisation_strengths", "regularisation_strengths"):
        require_equal_counts({row["of"]: row[step] for row in rows})
    test, validation = ([clips.clips[row] for row in task.rows[split]] for split in ("test", "validation"))
    return {
        "classes": task.classes,
        "multi_label": task.multi_label,
        "clips": [clip.name for clip in test],
        "groups": [clip.group for clip in test],
        "truth": task.names(task.targets[task.rows["test"]]),
        "validation_groups": [clip.group for clip in validation],
        "validation_truth": task.names(task.targets[task.rows["validation"]]),
        "unlabelled": task.unlabelled,
        "notices": task.notices,
        "most_frequent": task.most_frequent,
        # what `auto` has become
        "choose_by": "validation" if task.parts is None else "fold" if config.choose_by == "fold" else "group",
        "methods": rows,
    }


Points = Sequence[Mapping[str, Any]]  # of a method under one condition, for each fold and seed
Condition = tuple[float | None, float | None, str | None, float | None]  # the columns of few labels, or of noise


class Probes:
    """The probes of every fold and seed, and the rows that follow from them."""

    def __init__(self, probes: Mapping[FoldSeed, Probed], config: ProbeConfig, *, by: By) -> None:
        self.probes, self.config, self.by = probes, config, by
        self.names, self.seeds = [*dict.fromkeys(name for name, _ in probes)], sorted({seed for _, seed in probes})
        self.places = [*product(self.names, self.seeds)]
        self.first = [probes[name, self.seeds[0]] for name in self.names]  # the clips of a fold are those of each seed
        by_name = {place: {row["of"]: row for row in probes[place]["methods"]} for place in self.places}
        self.rows = {of: {place: by_name[place][of] for place in self.places} for of in by_name[self.places[0]]}
        self.methods = [*self.rows]
        self.metric = "mean_average_precision" if self.first[0]["multi_label"] else "accuracy"
        self.tested = self._measured("", self.methods)
        self.clips = sum(map(measured.num_clips, self.tested.folds))  # of test
        # Methods whose candidates validation clips chose, and not cross-validation, and their measures there.
        self.judged = [
            of for of, rows in self.rows.items() if all("validation_predictions" in row for row in rows.values())
        ]
        self.validated = self._measured("validation_", self.judged) if self.judged else None

    def _measured(self, split: Literal["", "validation_"], methods: Sequence[str]) -> measured.Measured:
        outcomes = [_outcome(self.probes[place], methods, split) for place in self.places]
        return self._over_seeds(outcomes, [probed[f"{split}groups"] for probed in self.first])

    def _over_seeds(
        self, outcomes: Sequence[measured.Outcome], groups: Sequence[Sequence[str | None]]
    ) -> measured.Measured:
        """Measure the outcomes of all places on the clips with these ``groups`` of each fold."""
        by_seed = [outcomes[number :: len(self.seeds)] for number in range(len(self.seeds))]
        means, config = [measured.mean_outcome(seeds) for seeds in zip(*by_seed, strict=True)], self.config
        return measured.Measured.of(means, groups, repeats=by_seed, resamples=config.resamples, seed=config.seed)

    def values(self, points: Iterable[Mapping[str, Any]], name: str) -> Floats:
        """Return a value of what the probes wrote of a method, ``(folds, seeds)``."""
        return np.array([point[name] for point in points], np.float64).reshape(len(self.names), len(self.seeds))

    def mean(self, points: Iterable[Mapping[str, Any]], name: str) -> float:
        return float(self.values(points, name).mean())

    @property
    def paired_draws(self) -> dict[str, FloatArray]:
        """Bootstrapped values ``(resamples,)`` by method: runs are paired by the same resamples, the first of more."""
        draws = measured.bootstrap(self.tested.folds, resamples=self.config.resamples, seed=PAIRED_SEED)
        return dict(zip(self.methods, np.ascontiguousarray(draws.T, np.float32), strict=True))

    def figures(self, references: Sequence[str]) -> Iterator[Row]:
        """Give all rows of the comparison, the best method first."""
        places: dict[str, Any] = {"protocol": PROTOCOLS[self.by], "split": "test", "seeds": len(self.seeds)}
        shared = Row(stage="probe", name=self.metric, value=math.nan, artifact="", count=self.clips, **places)
        means = dict(zip(self.methods, self.tested.values.mean(0), strict=True))
        ranked = sorted(self.methods, key=lambda of: -means[of])
        keys = {of: " ".join(dict.fromkeys(row["artifact"] for row in self.rows[of].values())) for of in ranked}
        rows = {of: replace(shared, of=of, artifact=keys[of], reads=row_of(of).reads_input) for of in ranked}
        for each in (self._on_test, self._on_validation):
            for of, row in rows.items():
                yield from each(of, row)
        for of in references:
            yield from self._differences(of, replace(rows[of], name="difference"))
        for of, row in rows.items():
            yield from self._probes(of, row)
            yield from self._layers(of, row)
            for condition, points in self.conditions[of].items():
                yield from self._under_condition(of, condition, points, row)
            yield from self._groups(of, row)

    def _on_test(self, of: str, row: Row) -> Iterator[Row]:
        """Give figures on test, means over the folds; of a single probe also what was chosen."""
        chosen = _chosen(*self.rows[of].values()) if len(self.probes) == 1 else {}
        found = self._estimate(of, self.config.confidence)
        yield replace(row, **asdict(found), over=self.tested.over, over_count=self.tested.count, **chosen)
        for name in ("macro_f1", "mean_average_precision"):
            if name != row.name:
                yield replace(row, name=name, value=self.mean(self.rows[of].values(), name))

    def _estimate(self, of: str, confidence: float) -> measured.Estimate:
        return self.tested.estimate(self.methods.index(of), confidence=confidence)

    def _on_validation(self, of: str, row: Row) -> Iterator[Row]:
        """Give the figure that chose a method's candidate, and the gap to test."""
        row, value = replace(row, count=self._judges(of)), self.mean(self.rows[of].values(), "validation_accuracy")
        found, over, units = self._validation(of, value, self.config.confidence)
        ends: dict[str, Any] = {"low": found.low, "high": found.high, "over": over} if found else {}
        yield replace(row, split="validation", value=value, over_count=units, **ends)
        together = 1 - (1 - self.config.confidence) / len(self.methods)
        found, over, _ = self._validation(of, value, together)
        if found:
            gap = measured.independent_difference(found, self._estimate(of, together))
            over = " and ".join(dict.fromkeys((over, self.tested.over)))
            yield replace(row, name="gap", **asdict(gap), count=None, over=over, split="validation - test")

    def _judges(self, of: str) -> int:
        """Count the clips that chose a candidate: of several folds, which share these clips, the mean."""
        counts: list[int] = [self.rows[of][name, self.seeds[0]]["validation_clips"] for name in self.names]
        return round(sum(counts) / len(counts))

    def _validation(self, of: str, value: float, confidence: float) -> tuple[measured.Estimate | None, str, int | None]:
        """Return the figure ``value`` that chose a method's candidates with its interval, and what it is over."""
        if self.validated and of in self.judged:
            found = self.validated.estimate(self.judged.index(of), confidence=confidence)
            return found, self.validated.over, self.validated.count
        if len(self.names) > 1:  # parts of cross-validation in several folds share clips
            return None, "", None
        parts = np.mean([row["parts"] for row in self.rows[of].values()], axis=0)
        low, high = measured.t_interval(parts, confidence=confidence)
        if low is None or high is None:
            return None, "parts", None
        if self.metric == "accuracy":
            own = measured.share_interval(value, self._judges(of), confidence=confidence)
            low, high = min(low, own[0]), max(high, own[1])
        return measured.Estimate(value=value, low=max(low, 0.0), high=min(high, 1.0)), "parts", len(parts)

    def _differences(self, of: str, row: Row) -> Iterator[Row]:
        """Compare one method with every other, the strongest first, then with few labels and under noise."""
        one, others = self.methods.index(of), [(n, other) for n, other in enumerate(self.methods) if other != of]
        by_seed = {
            name: np.array([seed.mean() for seed in self.values(rows.values(), "test_accuracy").T])
            for name, rows in self.rows.items()
        }
        row, pairs = replace(row, over=self.tested.over, over_count=self.tested.count), []
        for number, against in others:
            found = self.tested.difference(one, number, confidence=self.config.confidence)
            low, high = measured.t_interval(by_seed[of] - by_seed[against], confidence=self.config.confidence)
            pairs.append(replace(row, against=against, seed_low=low, seed_high=high, **asdict(found)))
        yield from sorted(pairs, key=lambda pair: pair.value)
        for _, against in others:
            for condition in self.conditions[against]:
                if condition in self.conditions[of]:
                    own = self._difference_under(condition, of, against)
                    yield replace(row, against=against, **_columns(condition), **own)

    def _difference_under(self, condition: Condition, of: str, against: str) -> dict[str, Any]:
        """Compare two methods under one condition; rankings, whose clips are not kept, without pairing the clips."""
        one, other = (self.conditions[each][condition] for each in (of, against))
        known, under = self._under
        rows = [known[each, condition] for each in (of, against) if (each, condition) in known]
        found: measured.Estimate
        if len(rows) == 2:
            found = under.difference(*rows, confidence=self.config.confidence)
        else:
            found = measured.independent_difference(*(self._over_clips(each, None) for each in (one, other)))
        (values, over), others = self._crossed(one), self._crossed(other)[0]
        apart = values - (others if others.shape == values.shape else others.mean(axis=0)) if over else values
        return self._reaching(found, apart, over)

    def _reaching(self, found: measured.Estimate, values: Floats, over: str | None) -> dict[str, Any]:
        """Let the interval over clips reach as far as that of ``values`` over groups or folds, if there are any."""
        p = found.p if isinstance(found, measured.Difference) else None
        columns = {"value": found.value, "low": found.low, "high": found.high, "p": p, "over": over or "clips"}
        if over is not None:
            ends = measured.reaching(found, values, confidence=self.config.confidence)
            columns |= dict(zip(("low", "high", "p"), ends, strict=True))
        return columns | {"over_count": len(values) if columns["over"] != "clips" else self.clips}

    def _probes(self, of: str, row: Row) -> Iterator[Row]:
        """Give what each of several probes of a method chose, and its figures."""
        for (fold, seed), found in self.rows[of].items() if len(self.probes) > 1 else ():
            probed, place = self.probes[fold, seed], None if self.by == "split" else fold
            own = replace(row, fold=place, seed=seed, seeds=1, artifact=found["artifact"])
            tested = replace(own, value=found["test_accuracy"], count=len(probed["clips"]))
            yield replace(tested, **_ends(probed, found, of), **_chosen(found))
            judged, count = found["validation_accuracy"], found["validation_clips"]
            yield replace(own, value=judged, split="validation", count=count)

    def _layers(self, of: str, row: Row) -> Iterator[Row]:
        """Give the figures of each layer with the pooling that is best on validation; layers side by side come last."""
        best = list[dict[str | None, Mapping[str, Any]]]()  # by probe and layer
        for probed in self.rows[of].values():
            ranked = sorted(probed["candidates"], key=lambda each: -each["validation_accuracy"])
            best.append({parts_of_key(each["of"])[0]: each for each in reversed(ranked)})
        layers = dict.fromkeys(parts_of_key(each["of"])[0] for each in probed["candidates"])
        for name in sorted(filter(None, layers), key=lambda name: name.startswith("all_")):
            own, found = replace(row, name=f"{OF_LAYER}{row.name}", layer=name), [each[name] for each in best]
            judged, tested = (self.mean(found, f"{split}_accuracy") for split in ("validation", "test"))
            yield replace(own, value=judged, split="validation", count=self._judges(of))
            yield replace(own, value=tested, **(_ends(self.first[0], found[0], of) if len(found) == 1 else {}))
            for points in zip(*(each.get("noise", ()) for each in found), strict=True):
                yield replace(own, value=self.mean(points, "test_accuracy"), **_columns(_noise_of(points)))

    @cached_property
    def conditions(self) -> dict[str, dict[Condition, Points]]:
        """The points of each method's learning curve, then of the noise.

        Shares too small for one clip per class give a single point; a share is the ratio of labelled clips.
        """
        found = dict[str, dict[Condition, Points]]()
        for of, rows in self.rows.items():
            curve, noise = (
                [*zip(*(each.get(name, ()) for each in rows.values()))]  # noqa: B905
                for name in ("learning_curve", "noise")
            )
            by_count = {self.mean(points, "clips"): (points[0]["share"], points) for points in curve}
            whole = next((count for count, (share, _) in by_count.items() if share == 1), None)
            found[of] = {
                (count, count / whole if whole and count else share, None, None): points
                for count, (share, points) in by_count.items()
            }
            found[of] |= {_noise_of(points): points for points in noise}
        return found

    @cached_property
    def _under(self) -> tuple[dict[tuple[str, Condition], int], measured.Measured]:
        """All methods under all conditions on the same clips: the row of each, and their hits, means over draws."""
        under = [(of, condition, points) for of, own in self.conditions.items() for condition, points in own.items()]
        known = {(of, condition): points for of, condition, points in under if "hits" in points[0]}
        if not known:
            return {}, measured.Measured(folds=[], resamples=self.config.resamples, seed=self.config.seed)
        hits = [
            measured.Hits(hits=np.array([points[place]["hits"] for points in known.values()], np.float64))
            for place in range(len(self.places))
        ]
        # Groups are crossed with draws of labels, too, elsewhere.
        over_clips = self._over_seeds(hits, [[None] * len(probed["clips"]) for probed in self.first])
        return {key: number for number, key in enumerate(known)}, over_clips

    def _over_clips(self, points: Points, number: int | None) -> measured.Estimate:
        """Return the mean of a condition over clips alone, with seeds where hits are known: those of row ``number``."""
        if number is not None:
            return self._under[1].estimate(number, confidence=self.config.confidence)
        by_fold = {name: self.values(points, name).mean(1) for name in ("test_accuracy", "clips_low", "clips_high")}
        value = float(by_fold["test_accuracy"].mean())
        # Folds have different clips, so the distances from the ends of their intervals add in squares.
        below, above = (
            float(np.linalg.norm(by_fold["test_accuracy"] - by_fold[end])) / len(self.names)
            for end in ("clips_low", "clips_high")
        )
        return measured.Estimate(value=value, low=value - below, high=value + above)

    def _under_condition(self, of: str, condition: Condition, points: Points, row: Row) -> Iterator[Row]:
        """Give the figure with few labels or under noise; of noise also its largest input and what it keeps."""
        row = replace(row, **_columns(condition))
        over_clips = self._over_clips(points, self._under[0].get((of, condition)))
        found = self._reaching(over_clips, *self._crossed(points))
        yield replace(row, **found | {"low": max(found["low"], 0.0), "high": min(found["high"], 1.0), "p": None})
        for name, whole in ((LARGEST_INPUT, max), (KEPT, np.mean)):
            if known := [point[name] for point in points if point.get(name) is not None]:
                yield replace(row, name=name, value=float(whole(known)))

    def _crossed(self, points: Points) -> tuple[Floats, str | None]:
        """Return the values ``(groups or folds, seeds, draws of labels)``, and what the first axis is, if anything.

        Without groups the first axis of one split may be blocks of clips.
        """
        values = [np.array(point["values"], np.float64) for point in points]  # (groups, draws) of each fold and seed
        known = [len({*probed["groups"]}) for probed in self.first for _ in self.seeds]
        whole = [*map(len, values)] == known  # else there are no groups, or blocks of clips
        if len(self.names) > 1 and (self.by == "fold" or not whole):
            means = np.array([each.mean(axis=0) for each in values])
            return means.reshape(len(self.names), len(self.seeds), -1), "groups" if self.by == "group" else "folds"
        if len({*map(len, values)}) > 1:  # of one split: with some seed a measure has no groups
            values = [each.mean(axis=0, keepdims=True) for each in values]
        rows = iter(values)
        crossed = np.concatenate([np.stack([*islice(rows, len(self.seeds))], axis=1) for _ in self.names])
        over = points[0]["over"] if len(self.names) == 1 else "groups"
        return crossed, over if len(crossed) > 1 else None

    def _groups(self, of: str, row: Row) -> Iterator[Row]:
        """Measure one method on the test clips of each group; folds of a group are weighted by its clips there."""
        parts: dict[str, list[tuple[float, int]]] = {}
        for probed, outcome in zip(self.first, self.tested.folds, strict=True):
            groups = np.array([group or "" for group in probed["groups"]])
            for group in {*groups.tolist()} - {""}:
                members = (groups == group).astype(np.float64)
                own = float(measured.measure(outcome, members[None])[0, self.methods.index(of)])
                parts.setdefault(group, []).append((own, int(members.sum())))
        for group, several in sorted(parts.items()):
            clips = sum(clips for _, clips in several)
            yield replace(row, group=group, count=clips, value=sum(value * clips for value, clips in several) / clips)

    def confusion(self, of: str) -> list[list[float]]:
        """Count test clips of each true class (rows) by answer (columns): mean over the seeds."""
        classes = [*self.first[0]["classes"]]
        counts = np.zeros((len(classes), len(classes)))
        for place, row in self.rows[of].items():
            true, answers = (map(classes.index, names) for names in (self.probes[place]["truth"], row["predictions"]))
            np.add.at(counts, ([*true], [*answers]), 1)
        means: list[list[float]] = (counts / len(self.seeds)).tolist()
        return means

    def comparison(self, references: Sequence[str] = (GPT_METHOD,)) -> Comparison:
        """Compare the methods. ``references`` are compared with every other method, where they were probed."""
        first, chosen_by = self.first[0], {probed["choose_by"] for probed in self.probes.values()}
        known = [of for of in dict.fromkeys(references) if of in self.methods]
        tested = zip(self.names, self.first, strict=True)
        clips = [[name, probed["clips"], probed["truth"], probed["groups"]] for name, probed in tested]
        own = {"validation": first["validation_groups"], "test": first["groups"]}
        groups = {split: sorted({group for group in each if group is not None}) for split, each in own.items()}
        guesses = [] if first["multi_label"] else [probed["most_frequent"][1] for probed in self.first]
        return Comparison(
            protocol=PROTOCOLS[self.by],
            by=self.by,
            metric=self.metric,
            folds=self.names,
            seeds=self.seeds,
            classes=list(first["classes"]),
            clips=self.clips,
            unlabelled=first["unlabelled"],
            split_groups=groups if self.by == "split" else {},
            clips_key=list_hash([self.by, *clips])[:16],
            notices=sorted({notice for one in self.probes.values() for notice in one["notices"]}),
            layer_regularisation_strengths=max(row["layer_regularisation_strengths"] for row in first["methods"]),
            regularisation_strengths=max(row["regularisation_strengths"] for row in first["methods"]),
            feature_clipping=[*self.config.feature_clipping],
            classifier=self.config.classifier,
            choose_by=chosen_by.pop() if len(chosen_by) == 1 else "auto",  # it differs between folds
            confidence=self.config.confidence,
            over=self.tested.over,
            guessing=float(np.mean(guesses)) if guesses else None,
            references=known,
            confusion={} if first["multi_label"] else {of: self.confusion(of) for of in known},
            figures=frame(self.figures(known)),
        )


def _columns(condition: Condition) -> dict[str, Any]:
    return dict(zip(("labels", "share", "noise", "noise_snr"), condition, strict=True))


def _noise_of(points: Points) -> Condition:
    return None, None, points[0]["kind"], points[0]["snr"]


def _chosen(probed: Mapping[str, Any]) -> dict[str, Any]:
    if not probed["regularisation_strengths"]:
        return {}
    layer, pooling = parts_of_key(probed["chosen"])
    return {
        "layer": layer,
        "pooling": pooling,
        "feature_clipping": probed["feature_clipping"],
        "inverse_regularisation": probed["inverse_regularisation"],
    }


def _ends(probed: Probed, row: Mapping[str, Any], of: str) -> dict[str, Any]:
    found = measured.Measured.of([_outcome(probed, [of], "")], [probed["groups"]], resamples=0, seed=0)
    return {"low": row["low"], "high": row["high"], "over": found.over, "over_count": found.count}


def _outcome(probed: Probed, methods: Sequence[str], split: Literal["", "validation_"]) -> measured.Outcome:
    of_method = {row["of"]: row for row in probed["methods"]}
    rows = [of_method[of] for of in methods]
    if probed["multi_label"]:
        several = np.array([[name in names for name in probed["classes"]] for names in probed[f"{split}truth"]], bool)
        scores = np.array([[row[f"{split}scores"]] for row in rows], np.float64)
        return measured.Rankings(truth=several, scores=scores)
    truth = np.array(probed[f"{split}truth"])
    return measured.Hits(hits=np.array([np.array(row[f"{split}predictions"]) == truth for row in rows], np.float64))


PREDICTIONS = "predictions.parquet"  # in the folder of a run
_NUMBERS = {"start": pa.float64(), "end": pa.float64(), "probability": pa.float64(), "seed": pa.int64()}
_SOUND, _ANSWER = ("clip", "path", "start", "end", "group", "label"), ("prediction", "probability", "method")
_COLUMNS = (*_SOUND, *_ANSWER, "candidate", "fold", "seed", "split")  # docs/figures.md explains them
_SCHEMA = pa.schema([(name, _NUMBERS.get(name, pa.string())) for name in _COLUMNS])


def write_predictions(
    path: Path, per_fold: Mapping[tuple[str, int], Probed], manifest: Clips, *, by: By, separator: str | None
) -> None:
    """Write the table from the probes of each fold and seed; ``separator`` stands between several classes."""

    def text(classes: str | Sequence[str]) -> str:
        return classes if isinstance(classes, str) else (separator or ";").join(classes)

    known, tables = {clip.name: clip for clip in manifest.clips}, []
    for (fold, seed), probed in per_fold.items():
        clips = [known[name] for name in probed["clips"]]
        spans = [clip.part.span(clip.sample_rate) for clip in clips]
        sounds = [(clip.name, clip.path, *span, clip.group) for clip, span in zip(clips, spans, strict=True)]
        table = pandas.DataFrame(sounds, columns=["clip", "path", "start", "end", "group"])
        table = table.assign(label=[*map(text, probed["truth"])], fold=None if by == "split" else fold, seed=seed)
        for row in probed["methods"]:
            chosen = row["chosen"] if row["regularisation_strengths"] else None
            answers = {"prediction": [*map(text, row["predictions"])], "probability": row["probabilities"]}
            tables.append(table.assign(**answers, method=row["of"], candidate=chosen, split="test"))
    with aside(path) as beside:
        pq.write_table(pa.Table.from_pandas(pandas.concat(tables), _SCHEMA, preserve_index=False), beside)
