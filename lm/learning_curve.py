"""Learning curves: what a probe reaches with a share of the labels, of the candidate that won with all of them.

The features of all train clips are there, and standardise; only labels of train are scarce: candidate and penalty are
chosen with all labels of validation. Every share but the whole gets all of a method's tries for the one candidate, so
the tries are the same for every method at every point. Which clips have a label matters where few have one: a share
but the whole is drawn several times.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lm.comparison import interval, resampled
from lm.logistic import side_by_side, standardised
from lm.probe import FloatArray, ProbeConfig, ProbeResult, fitted, outcome, penalty_grid
from lm.probe_task import BoolArray, ProbeTask, RowArray

DRAWS = 5  # of the clips that have a label


@dataclass(frozen=True, kw_only=True)
class LearningPoint:
    """One share of the labels."""

    share: float  # that was asked for
    clips: int  # that have a label
    test_accuracy: float  # mean over the draws
    low: float  # bootstrap interval over test clips, and over the draws
    high: float


def learning_curve(
    features: FloatArray, task: ProbeTask, winner: ProbeResult, config: ProbeConfig, *, threads: int = 1
) -> tuple[LearningPoint, ...]:
    """A point for each share of the config; at the whole it is the winner's own.

    Args:
        features: ``(clips, features)`` of the winner.
        task: labels and splits.
        winner: what the candidate reached with all labels.
        config: shares, penalties and seed.
        threads: draws that are fitted side by side, which changes no result.
    """
    train = task.rows["train"]
    orders = [label_order(task.targets[train], seed=config.seed, draw=draw) for draw in range(DRAWS)]
    scaled = standardised(features, task.rows)
    points: list[LearningPoint] = []
    for share in config.learning_curve:
        kept = [np.sort(order.first(share)) for order in orders]
        clips = round(float(np.mean([len(rows) for rows in kept])))
        if clips == len(train):
            points.append(_point(share, clips, winner.test_accuracy, (winner.low, winner.high)))
        elif points and points[-1].clips == clips:  # each class has one clip at least: fewer labels are the same
            points.append(replace(points[-1], share=share))
        else:
            fit = partial(_fitted_on, scaled=scaled, task=task, config=config, of=winner.of)
            results = side_by_side(fit, kept, threads=threads)
            mean = float(np.mean([result.test_accuracy for result in results]))
            points.append(_point(share, clips, mean, _interval(results, task, config)))
    return tuple(points)


def _point(share: float, clips: int, value: float, bounds: tuple[float, float]) -> LearningPoint:
    return LearningPoint(share=share, clips=clips, test_accuracy=value, low=bounds[0], high=bounds[1])


def _interval(results: Sequence[ProbeResult], task: ProbeTask, config: ProbeConfig) -> tuple[float, float]:
    """Of what the draws of labels reach on resampled test clips, all together."""
    targets, resamples = task.targets[task.rows["test"]], -(-config.resamples // len(results))
    reached = [
        resampled([outcome(result.scores, targets, task)], resamples=resamples, seed=config.seed + draw)
        for draw, result in enumerate(results)
    ]
    return interval(np.concatenate(reached)[:, 0], config.confidence)


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelOrder:
    """The order in which train clips are given their labels."""

    clips: RowArray
    fewest: int  # the first so many have one clip of each class

    def first(self, share: float) -> RowArray:
        """The clips of a share of the labels, and no fewer than it takes for each class to have one."""
        return self.clips[: max(round(share * len(self.clips)), self.fewest)]


def label_order(targets: BoolArray, *, seed: int, draw: int = 0) -> LabelOrder:
    """One of many orders of train clips ``(clips, classes)``: first one of each class, then from all classes evenly.

    Any share is its beginning, so smaller shares lie in larger ones. A clip of several classes counts for the rarest.
    """
    shuffled = np.random.default_rng([seed, draw]).permutation(len(targets))
    firsts = {int(shuffled[members[shuffled].argmax()]) for members in targets.T}
    stratum = np.where(targets, targets.sum(0), len(targets) + 1).argmin(1)  # (clips,)
    place = np.zeros(len(targets))  # of a clip among those of its class, as a share
    for number in np.unique(stratum):
        members = shuffled[stratum[shuffled] == number]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    place[list(firsts)] -= 1
    return LabelOrder(clips=shuffled[np.argsort(place[shuffled], kind="stable")], fewest=len(firsts))


def _fitted_on(
    kept: RowArray, *, scaled: dict[str, FloatArray], task: ProbeTask, config: ProbeConfig, of: str
) -> ProbeResult:
    targets = {split: task.targets[rows] for split, rows in task.rows.items()}
    return fitted(
        {**scaled, "train": scaled["train"][kept]},
        {**targets, "train": targets["train"][kept]},
        task,
        replace(config, resamples=1),  # the interval is of all draws together
        of=of,
        penalties=penalty_grid(config.tries, config),
    )
