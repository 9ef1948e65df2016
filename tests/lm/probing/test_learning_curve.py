"""Shares of the labels: nested, of every class, and what a probe reaches with them."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lm.options import ProbeConfig
from lm.probing.comparison import MANY_GROUPS
from lm.probing.logistic import standardise
from lm.probing.probe import DRAWS, fit_penalties, label_order, learning_curve, probe
from lm.probing.task import ProbeTask, penalty_grid

CONFIG = ProbeConfig(penalties=4, resamples=20, learning_curve=(0.01, 0.2, 1.0))


@st.composite
def targets(draw: st.DrawFn) -> np.ndarray:
    """Clips of one or several classes, each class of some clip."""
    classes = draw(st.integers(2, 4))
    rows = draw(st.lists(st.integers(1, 2**classes - 1), min_size=5, max_size=40))
    rows += [2**number for number in range(classes)]
    return np.array([[row >> number & 1 for number in range(classes)] for row in rows], bool)


@given(targets(), st.integers(0, 3), st.lists(st.floats(0.01, 1), min_size=2, max_size=4))
def test_shares_are_nested_and_hold_every_class(which: np.ndarray, seed: int, shares: list[float]) -> None:
    order = label_order(which, seed=seed)
    assert sorted(order.clips) == list(range(len(which)))
    parts = [order.first(share) for share in sorted(shares)]
    for part, share in zip(parts, sorted(shares), strict=True):
        assert which[part].any(0).all()
        assert len(part) == max(round(share * len(which)), order.fewest)
        assert order.fewest <= which.shape[1]
    for smaller, larger in pairwise(parts):
        assert set(smaller.tolist()) <= set(larger.tolist())


@given(st.integers(0, 20), st.floats(0.05, 1))
@settings(max_examples=30)
def test_a_share_of_the_labels_is_about_that_share_of_each_class(seed: int, share: float) -> None:
    numbers = np.repeat(np.arange(3), (20, 40, 100))
    which = np.eye(3, dtype=bool)[numbers]
    kept = which[label_order(which, seed=seed).first(share)].sum(0)
    assert (np.abs(kept - share * np.array([20, 40, 100])) <= 2).all()


def test_other_seeds_and_draws_choose_other_clips() -> None:
    which = np.eye(2, dtype=bool)[np.arange(100) % 2]
    orders = [label_order(which, seed=seed, draw=draw) for seed in (0, 1) for draw in (0, 1)]
    assert len({frozenset(order.first(0.1).tolist()) for order in orders}) == 4


def test_more_labels_help_and_all_are_the_winner_s_own() -> None:
    labels = [f"class {clip % 4}" for clip in range(1200)]
    task = ProbeTask.of(labels, [("train", "train", "validation", "test")[clip // 4 % 4] for clip in range(1200)])
    rng = np.random.default_rng(0)
    means = rng.standard_normal((4, 30))
    features = (task.targets @ means + 1.5 * rng.standard_normal((1200, 30))).astype(np.float32)
    winner = probe(features, task, CONFIG, of="x")
    few, some, every = learning_curve(features, task, winner, CONFIG)
    assert [point.clips for point in (few, some, every)] == [6, 120, 600]
    assert few.test_accuracy < some.test_accuracy < every.test_accuracy == winner.test_accuracy
    assert (every.low, every.high) == (winner.low, winner.high)


def test_a_share_is_drawn_several_times() -> None:
    task = ProbeTask.of([f"class {clip % 2}" for clip in range(400)], [*["train"] * 200, *["validation", "test"] * 100])
    features = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32) + task.targets[:, :1]
    config = ProbeConfig(penalties=4, resamples=1000, learning_curve=(0.001, 0.01, 0.1))
    fewest, few, some = learning_curve(features, task, probe(features, task, config, of="x"), config)
    assert [point.clips for point in (fewest, few, some)] == [2, 2, 20]  # one of each class
    assert (fewest.test_accuracy, fewest.low, fewest.high) == (few.test_accuracy, few.low, few.high)
    scaled, train = standardise(features, task.rows), task.rows["train"]
    targets = {split: task.targets[rows] for split, rows in task.rows.items()}
    reached = []
    for draw in range(DRAWS):
        kept = label_order(task.targets[train], seed=config.seed, draw=draw).first(0.1)
        own = {**targets, "train": targets["train"][kept]}
        grid = penalty_grid(config.penalties, config)
        found = fit_penalties({**scaled, "train": scaled["train"][kept]}, own, task, config, of="x", penalties=grid)
        reached.append(found.test_accuracy)
    assert some.test_accuracy == np.mean(reached)
    assert len(set(reached)) > 1
    assert some.low < min(reached) <= max(reached) < some.high


def test_intervals_are_over_speakers_where_there_are_many() -> None:
    """Each speaker says one word in one way, so clips of a speaker are right or wrong together."""
    speakers = np.repeat(np.arange(2 * MANY_GROUPS), 20)
    labels = [f"class {number % 2}" for number in speakers]
    splits = ["train", "validation", *["test"] * 18] * (2 * MANY_GROUPS)
    voices = np.random.default_rng(0).standard_normal((2 * MANY_GROUPS, 8))
    features = (voices[speakers] + 0.5 * (speakers % 2)[:, None]).astype(np.float32)
    config, widths = ProbeConfig(penalties=4, resamples=1000, learning_curve=(0.2,)), []
    for groups in (None, [str(number) for number in speakers]):
        task = ProbeTask.of(labels, splits, groups=groups)
        [point] = learning_curve(features, task, probe(features, task, config, of="x"), config)
        widths.append(point.high - point.low)
    assert widths[1] > 1.5 * widths[0]  # both have the variance over the draws of labels


def test_labels_that_are_not_in_a_share_are_not_looked_at() -> None:
    """The mutation: all other train labels are wrong, and the point stays where it was."""
    labels = [f"class {clip % 2}" for clip in range(400)]
    splits = [("train", "train", "validation", "test")[clip // 2 % 4] for clip in range(400)]
    task = ProbeTask.of(labels, splits)
    features = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32) + task.targets[:, :1]
    winner = probe(features, task, CONFIG, of="x")
    train = task.rows["train"]
    orders = [label_order(task.targets[train], seed=CONFIG.seed, draw=draw) for draw in range(DRAWS)]
    kept = train[np.unique([order.first(0.2) for order in orders])]
    assert len(kept) < 0.8 * len(train)
    # An order depends on the labels, so only the features of the others can be spoilt without choosing other clips.
    spoilt = features.copy()
    others = np.setdiff1d(train, kept)
    spoilt[others] = spoilt[np.random.default_rng(1).permutation(others)]  # same mean and deviation
    one, other = (learning_curve(x, task, winner, CONFIG)[1] for x in (features, spoilt))
    assert one == other
