"""Learning curves: test accuracy of a probe with a share of the labels, for the candidate that won with all of them.

Only labels of training clips are scarce. The features of all training clips are used for standardising. The candidate
is the one that won with all labels. All points have one grid of penalties, that of the second step of the probe
(`lm.probing.probe`), and the point of all labels is the probe itself. The penalty of each smaller share is chosen with
all labels of validation, because a few labelled clips cannot be divided into folds. With few labels it matters which
clips have one, so each share except the whole is drawn several times.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lm.comparison import bootstrap, outcome_interval
from lm.probing.config import FEWEST_RESAMPLES, ProbeConfig, penalty_grid
from lm.probing.logistic import side_by_side, standardise
from lm.probing.probe import FloatArray, ProbeResult, fit_penalties, outcome
from lm.probing.task import BoolArray, ProbeTask, RowArray

DRAWS = 5  # of the clips with labels, per share


@dataclass(frozen=True, kw_only=True)
class LearningPoint:
    """Test accuracy at one share of the labels."""

    share: float  # requested
    clips: int  # number of clips with a label
    test_accuracy: float  # mean over the draws
    low: float  # bootstrap interval over test clips or whole groups of them, and over the draws
    high: float


def learning_curve(
    features: FloatArray, task: ProbeTask, winner: ProbeResult, config: ProbeConfig, *, threads: int = 1
) -> tuple[LearningPoint, ...]:
    """Compute a point for each share of the config; for the whole, it is the result of the ``winner`` with all labels.

    ``features (clips, dim)`` are the winner's. ``threads`` draws are fitted side by side, which changes no result.
    """
    train = task.rows["train"]
    orders = [label_order(task.targets[train], seed=config.seed, draw=draw) for draw in range(DRAWS)]
    scaled = standardise(features, task.rows, power=config.power)
    points: list[LearningPoint] = []
    for share in config.learning_curve:
        kept = [np.sort(order.first(share)) for order in orders]
        clips = round(float(np.mean([len(rows) for rows in kept])))
        if clips == len(train):
            mean, low, high = winner.test_accuracy, winner.low, winner.high
        elif points and points[-1].clips == clips:  # each class needs one clip, so smaller shares give the same clips
            mean, low, high = points[-1].test_accuracy, points[-1].low, points[-1].high
        else:
            fit = partial(_fit_with_labels, scaled=scaled, task=task, config=config, of=winner.of)
            results = side_by_side(fit, kept, threads=threads)
            mean = float(np.mean([result.test_accuracy for result in results]))
            low, high = _interval(results, task, config)
        points.append(LearningPoint(share=share, clips=clips, test_accuracy=mean, low=low, high=high))
    return tuple(points)


def _interval(results: Sequence[ProbeResult], task: ProbeTask, config: ProbeConfig) -> tuple[float, float]:
    """Compute the interval of resampled test accuracies of all draws of labels together."""
    targets, resamples = task.targets[task.rows["test"]], -(-config.resamples // len(results))
    reached, groups = [outcome(result.scores, targets, task) for result in results], task.test_groups
    draws = [
        bootstrap([each], resamples=resamples, seed=config.seed + draw, groups=groups)[:, 0]
        for draw, each in enumerate(reached)
    ]
    return outcome_interval(reached[:1], np.concatenate(draws), config.confidence, groups=groups)


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelOrder:
    """The order in which training clips get their labels."""

    clips: RowArray
    fewest: int  # the first ``fewest`` clips have one clip of each class

    def first(self, share: float) -> RowArray:
        """Return the clips of a share of the labels, at least one clip per class."""
        return self.clips[: max(round(share * len(self.clips)), self.fewest)]


def label_order(targets: BoolArray, *, seed: int, draw: int = 0) -> LabelOrder:
    """Draw an order of training clips ``(clips, classes)``: first one of each class, then from all classes evenly.

    Every share is a prefix of the order, so smaller shares lie in larger ones. A clip of several classes counts for the
    rarest.
    """
    shuffled = np.random.default_rng([seed, draw]).permutation(len(targets))
    firsts = {int(shuffled[members[shuffled].argmax()]) for members in targets.T}
    stratum = np.where(targets, targets.sum(0), len(targets) + 1).argmin(1)  # (clips,)
    place = np.zeros(len(targets))  # relative place of a clip among those of its class
    for number in np.unique(stratum):
        members = shuffled[stratum[shuffled] == number]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    place[list(firsts)] -= 1
    return LabelOrder(clips=shuffled[np.argsort(place[shuffled], kind="stable")], fewest=len(firsts))


def _fit_with_labels(
    kept: RowArray, *, scaled: dict[str, FloatArray], task: ProbeTask, config: ProbeConfig, of: str
) -> ProbeResult:
    targets = {split: task.targets[rows] for split, rows in task.rows.items()}
    return fit_penalties(
        {**scaled, "train": scaled["train"][kept]},
        {**targets, "train": targets["train"][kept]},
        task,
        replace(config, resamples=FEWEST_RESAMPLES),  # the interval is of all draws together
        of=of,
        penalties=penalty_grid(config.penalties, config),
    )
