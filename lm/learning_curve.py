"""Learning curves: what a probe reaches with a share of the labels, of the candidate that won with all of them.

The features of all train clips are there, and standardise; only labels are scarce. Every share but the whole gets all
of a method's tries for the one candidate, so the tries are the same for every method at every point.
"""

from dataclasses import dataclass

import numpy as np

from lm.logistic import standardised
from lm.probe import FloatArray, ProbeConfig, ProbeResult, fitted, penalty_grid
from lm.probe_task import BoolArray, ProbeTask, RowArray


@dataclass(frozen=True, kw_only=True)
class LearningPoint:
    """One share of the labels."""

    share: float  # that was asked for
    clips: int  # that have a label
    test_accuracy: float
    low: float  # bootstrap interval over test clips
    high: float


def learning_curve(
    features: FloatArray, task: ProbeTask, winner: ProbeResult, config: ProbeConfig
) -> tuple[LearningPoint, ...]:
    """A point for each share of the config; at the whole it is the winner's own.

    Args:
        features: ``(clips, features)`` of the winner.
        task: labels and splits.
        winner: what the candidate reached with all labels.
        config: shares, penalties and seed.
    """
    train = task.rows["train"]
    order = label_order(task.targets[train], seed=config.seed)
    scaled = standardised(features, task.rows)
    points = []
    for share in config.learning_curve:
        kept = np.sort(order.first(share))
        result = winner if len(kept) == len(train) else _fitted_on(kept, scaled, task, config, of=winner.of)
        points.append(
            LearningPoint(
                share=share,
                clips=len(kept),
                test_accuracy=result.test_accuracy,
                low=result.low,
                high=result.high,
            )
        )
    return tuple(points)


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelOrder:
    """The order in which train clips are given their labels."""

    clips: RowArray
    fewest: int  # the first so many have one clip of each class

    def first(self, share: float) -> RowArray:
        """The clips of a share of the labels, and no fewer than it takes for each class to have one."""
        return self.clips[: max(round(share * len(self.clips)), self.fewest)]


def label_order(targets: BoolArray, *, seed: int) -> LabelOrder:
    """An order of train clips ``(clips, classes)``: first one of each class, then from all classes evenly.

    Any share is its beginning, so smaller shares lie in larger ones. A clip of several classes counts for the rarest.
    """
    shuffled = np.random.default_rng(seed).permutation(len(targets))
    firsts = {int(shuffled[members[shuffled].argmax()]) for members in targets.T}
    stratum = np.where(targets, targets.sum(0), len(targets) + 1).argmin(1)  # (clips,)
    place = np.zeros(len(targets))  # of a clip among those of its class, as a share
    for number in np.unique(stratum):
        members = shuffled[stratum[shuffled] == number]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    place[list(firsts)] -= 1
    return LabelOrder(clips=shuffled[np.argsort(place[shuffled], kind="stable")], fewest=len(firsts))


def _fitted_on(
    kept: RowArray, scaled: dict[str, FloatArray], task: ProbeTask, config: ProbeConfig, *, of: str
) -> ProbeResult:
    targets = {split: task.targets[rows] for split, rows in task.rows.items()}
    return fitted(
        {**scaled, "train": scaled["train"][kept]},
        {**targets, "train": targets["train"][kept]},
        task,
        config,
        of=of,
        penalties=penalty_grid(config.tries, config),
    )
