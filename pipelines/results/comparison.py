"""A comparison of methods as pages and tables read it: its protocol, and the rows of its figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TypeVar

import numpy as np

from lm.probing.comparison import MANY_GROUPS
from pipelines.methods.method import PictureRecord
from pipelines.results.figures import OF_LAYER, Figure, Figures
from pipelines.store.stored_features import GPT
from wordless.training.options import TrainingRecord


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
    resampled: str = "clip"  # what the bootstrap draws: clip or group
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
        rows = self.figures.where(name=self.metric, split="test").overall
        return {row.of: row for row in rows if row.of is not None}

    @property
    def methods(self) -> list[str]:
        """The methods, the best first."""
        return [*self.tested]

    @cached_property
    def validated(self) -> dict[str, Figure]:
        """The figure of each method that chose its candidate, and how far it is from test in `gaps`."""
        rows = self.figures.where(name=self.metric, split="validation").overall
        return {row.of: row for row in rows if row.of is not None}

    @cached_property
    def gaps(self) -> dict[str, Figure]:
        """Validation minus test, with an interval that holds for all methods at once."""
        return {row.of: row for row in self.figures.where(name="gap") if row.of is not None}

    def value(self, of: str, name: str = "") -> float | None:
        """Return a test figure of a method, by default in the metric of the comparison; None where it is unknown."""
        return self.figures.value("probe", name or self.metric, of)

    def differences(self, of: str) -> Figures:
        """Select the differences of a reference to the other methods, the strongest first."""
        return self.figures.where(name="difference", of=of)

    def probes(self, of: str) -> list[Figure]:
        """Select the test figures of a method in each fold with each seed, where there are several."""
        return self._probes.get(of, [])

    @cached_property
    def _probes(self) -> dict[str, list[Figure]]:
        rows = self.figures.where(name=self.metric, split="test", group=None, share=None, noise_snr=None)
        return _by_method(row for row in rows if not row.is_overall)

    def by_fold(self, of: str) -> dict[str, float]:
        """Return the test figure of a method in each fold, the mean over the seeds."""
        return _means([(row.fold, row.value) for row in self.probes(of) if row.fold is not None])

    def by_seed(self, of: str) -> dict[int, float]:
        """Return the test figure of a method with each seed, the mean over the folds."""
        return _means([(row.seed, row.value) for row in self.probes(of) if row.seed is not None])

    def fold_spread(self, of: str) -> float:
        """Return the standard deviation over the folds."""
        values = [*self.by_fold(of).values()]
        return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0

    def chosen(self, of: str) -> dict[str, str]:
        """Return the candidate that was chosen, by fold, or by "fold, seed n" of several; empty without a probe."""
        rows = self.probes(of) or ([self.tested[of]] if of in self.tested else [])
        places = {
            ", ".join(filter(None, (row.fold or "", f"seed {row.seed}" if len(self.seeds) > 1 else ""))): row.candidate
            for row in rows
        }
        return {place: candidate for place, candidate in places.items() if candidate is not None}

    @property
    def places(self) -> list[str]:
        """Each fold, or each fold with each seed, in which a candidate was chosen."""
        return list(dict.fromkeys(place for of in self.methods for place in self.chosen(of)))

    def layers(self, of: str) -> dict[str, dict[str, Figure]]:
        """Return the figures of each layer of a method by split, in the order of the layers."""
        layers: dict[str, dict[str, Figure]] = {}
        for row in self.figures.where(name=f"{OF_LAYER}{self.metric}", of=of):
            layers.setdefault(row.layer or "", {})[row.split or ""] = row
        return layers

    @cached_property
    def learning_curves(self) -> dict[str, list[Figure]]:
        """The test figures of each method by its number of labels."""
        return _by_method(row for row in self.figures if row.share is not None)

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
        """Whether there are several folds."""
        return len(self.folds) > 1

    @property
    def known_references(self) -> list[str]:
        """The methods that every other method is compared with, as far as they take part."""
        return [of for of in self.references if of in self.tested]

    @property
    def fold_noun(self) -> str:
        """The unit that is left out of training together."""
        return "group" if self.by == "group" else "fold"

    @property
    def few_groups(self) -> str | None:
        """What intervals over clips leave open if a single split tests few groups; None if it tests many."""
        groups = max((len(values) for values in self.groups.values()), default=0)
        if self.by != "split" or not 1 <= groups < MANY_GROUPS:
            return None
        which, these = ("1 group", "this group") if groups == 1 else (f"{groups} groups", "these groups")
        return (
            f"The test clips come from {which}, and clips of one group are alike: the intervals and p values hold for "
            f"{these}. For others, leave each group out (wordless run with compare.folds=group)."
        )

    @property
    def guessing(self) -> float | None:
        """The accuracy of always answering the most frequent class; None if a clip may have several labels."""
        tables = ([sum(row) for row in counts] for counts in self.confusion.values())
        return next((max(clips) / sum(clips) for clips in tables if sum(clips)), None)


K = TypeVar("K", str, int)


def _means(rows: Sequence[tuple[K, float]]) -> dict[K, float]:
    values: dict[K, list[float]] = {}
    for place, value in rows:
        values.setdefault(place, []).append(value)
    return {place: float(np.mean(several)) for place, several in values.items()}


def _by_method(rows: Iterable[Figure]) -> dict[str, list[Figure]]:
    methods: dict[str, list[Figure]] = {}
    for row in rows:
        methods.setdefault(row.of or "", []).append(row)
    return methods
