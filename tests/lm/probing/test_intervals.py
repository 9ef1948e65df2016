"""Means over folds, paired bootstrap, average precision: against loops, and what must hold of any figures."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp
from scipy.stats import t as student
from sklearn.metrics import average_precision_score, f1_score, r2_score

from lm.probing.intervals import (
    Decisions,
    Estimate,
    Hits,
    Measured,
    Outcome,
    Predictions,
    Rankings,
    Ratios,
    bootstrap,
    by_fold,
    by_group,
    confidence_interval,
    counted_clips,
    independent_difference,
    measure,
    num_clips,
    number_groups,
    over_groups,
    share_interval,
    t_interval,
    two_sided_p,
)


def hits(*, folds: int = 3, methods: int = 3, seed: int = 0) -> list[Hits]:
    rng = np.random.default_rng(seed)
    return [
        Hits(hits=(rng.random((methods, 10 + 7 * fold)) < np.linspace(0.3, 0.9, methods)[:, None]).astype(float))
        for fold in range(folds)
    ]


def rankings(clips: int = 30, classes: int = 4, methods: int = 2, seeds: int = 2) -> Rankings:
    rng = np.random.default_rng(1)
    truth = rng.random((clips, classes)) < 0.3
    scores = truth + rng.normal(size=(methods, seeds, clips, classes)).round(1)  # with equal scores
    return Rankings(truth=truth, scores=scores)


def resampled_by_loops(folds: list[Hits], resamples: int, seed: int) -> np.ndarray:
    """The bootstrap clip by clip, from the same draws."""
    totals = np.zeros((resamples, 3))
    for number, fold in enumerate(folds):
        rng = np.random.default_rng([seed, number])
        for resample in range(resamples):
            counts = rng.multinomial(len(fold.hits.T), [1 / len(fold.hits.T)] * len(fold.hits.T))
            for method in range(3):
                drawn = [right for right, count in zip(fold.hits[method], counts, strict=True) for _ in range(count)]
                totals[resample, method] += sum(drawn) / len(drawn) / len(folds)
    return totals


def test_the_bootstrap_is_that_of_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = resampled_by_loops(hits(), 20, seed=5)
    np.testing.assert_allclose(bootstrap(hits(), resamples=20, seed=5), expected)
    monkeypatch.setattr("lm.probing.intervals.WEIGHTS_AT_ONCE", 40)  # in pieces of a few resamples
    np.testing.assert_allclose(bootstrap(hits(), resamples=20, seed=5), expected)


def test_groups_of_equal_size_have_their_own_accuracy_and_others_weigh_as_their_clips() -> None:
    folds, names = hits(), ["ann", "bob", "ann", "eve", "bob", "eve"]
    six, numbers = Hits(hits=folds[0].hits[:, :6]), number_groups([names])
    assert numbers is not None
    wanted = [six.hits[:, [0, 2]].mean(1), six.hits[:, [1, 4]].mean(1), six.hits[:, [3, 5]].mean(1)]
    np.testing.assert_allclose(by_group([six], numbers), wanted)
    assert number_groups([["ann"] * 6]) is number_groups([[*names[:5], None]]) is None
    alone = number_groups([[str(number)] * num_clips(fold) for number, fold in enumerate(folds)])
    assert alone is not None
    np.testing.assert_allclose(by_group(folds, alone), by_fold(folds))
    # Of folds of several groups each, too: what folds differ by is part of what groups differ by.
    rng = np.random.default_rng(0)
    three = [Hits(hits=rng.integers(2, size=(2, 12)).astype(float)) for _ in range(3)]
    nested = number_groups([[f"{fold} {clip % 3}" for clip in range(12)] for fold in range(3)])
    assert nested is not None
    own = np.concatenate([[fold.hits[:, group::3].mean(1) for group in range(3)] for fold in three])
    np.testing.assert_allclose(by_group(three, nested), own)
    one, numbers = Hits(hits=np.array([[1.0, 1.0, 1.0, 0.0]])), number_groups([["a", "b", "b", "b"]])
    assert numbers is not None
    assert by_group([one], numbers).mean() == pytest.approx(2 * 0.75 - (2 / 3 + 1) / 2)


def test_an_interval_over_people_is_students_and_seeds_are_crossed() -> None:
    rng = np.random.default_rng(0)
    people = rng.normal(size=6)
    low, high, p = over_groups(people, confidence=0.95)
    oracle = ttest_1samp(people, 0)
    assert (low, high) == pytest.approx(oracle.confidence_interval(0.95))
    assert p == pytest.approx(oracle.pvalue)
    # Seeds that differ by nothing but noise give the t interval of the people's means.
    noise = rng.normal(size=(6, 3))
    noise -= noise.mean(0)
    crossed = people[:, None] + noise
    assert over_groups(crossed, confidence=0.95)[:2] == pytest.approx(t_interval(crossed.mean(1), confidence=0.95))
    # With seeds that do differ, the variance is (MS of people + MS of seeds - MS of the rest) / 18.
    crossed = crossed + np.array([-3.0, 0.0, 4.0])
    squares = [3 * crossed.mean(1).var(ddof=1), 6 * crossed.mean(0).var(ddof=1)]
    rest = ((crossed - crossed.mean(1, keepdims=True) - crossed.mean(0) + crossed.mean()) ** 2).sum() / 10
    total = squares[0] + squares[1] - rest
    freedom = total**2 / (squares[0] ** 2 / 5 + squares[1] ** 2 / 2 + rest**2 / 10)
    half = student.ppf(0.975, freedom) * (total / 18) ** 0.5
    assert over_groups(crossed, confidence=0.95)[:2] == pytest.approx((crossed.mean() - half, crossed.mean() + half))
    assert over_groups(np.zeros(3), confidence=0.95) == (0, 0, 1)


def of_speakers(*right: int, clips: int) -> Measured:
    """One method on so many clips of each speaker, with so many right answers."""
    row = np.concatenate([np.arange(clips) < count for count in right]).astype(float)
    names = [[f"speaker {number}" for number in range(len(right)) for _ in range(clips)]]
    return Measured.of([Hits(hits=np.stack([row, np.zeros(len(row))]))], names, resamples=2000, seed=0)


@pytest.mark.parametrize("right", [(28, 28, 28, 27), (40, 40, 40, 40), (40, 39, 40, 39), (0, 0, 1, 0), (5, 35, 20, 30)])
def test_an_interval_over_groups_is_never_narrower_than_the_exact_one_over_clips(right: tuple[int, ...]) -> None:
    """A few speakers may be nearly equal by chance, and all may be right."""
    found = of_speakers(*right, clips=40)
    estimate, exact = found.estimate(0, confidence=0.95), binomtest(sum(right), 160).proportion_ci(0.95, "exact")
    begin, end, _ = over_groups(np.array(right) / 40, confidence=0.95)
    assert (found.over, found.count) == ("groups", 4)
    wanted = (max(min(exact.low, begin), 0), min(max(exact.high, end), 1))
    assert (estimate.low, estimate.high) == pytest.approx(wanted)


def test_all_right_is_surer_than_nearly_all_right() -> None:
    nearly, all_right = (
        of_speakers(*right, clips=40).estimate(0, confidence=0.95) for right in ((40, 39) * 2, (40,) * 4)
    )
    assert 0.9 < nearly.low < all_right.low < nearly.high == all_right.high == 1


def test_a_difference_over_groups_is_never_narrower_than_over_clips() -> None:
    equal = of_speakers(20, 20, 20, 20, clips=40)  # a difference of a half in each group
    over_clips = Measured(folds=equal.folds, resamples=2000, seed=0).difference(0, 1, confidence=0.95)
    found = equal.difference(0, 1, confidence=0.95)
    assert (found.low, found.high, found.p) == (over_clips.low, over_clips.high, over_clips.p)
    unequal = of_speakers(0, 40, 20, 20, clips=40)
    low, high, p = over_groups(np.array([0, 1, 0.5, 0.5]), confidence=0.95)
    found = unequal.difference(0, 1, confidence=0.95)
    assert (found.low, found.high, found.p) == pytest.approx((low, high, p))


@given(st.integers(1, 200), st.data())
def test_a_share_of_clips_has_the_interval_of_clopper_and_pearson(clips: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, clips))
    exact = binomtest(right, clips).proportion_ci(0.9, "exact")
    row = Hits(hits=(np.arange(clips) < right).astype(float)[None])
    assert counted_clips([row], 0) == pytest.approx((right / clips, clips))
    assert share_interval(right / clips, clips, confidence=0.9) == pytest.approx((exact.low, exact.high))


def test_folds_weigh_the_same_and_seeds_make_a_clip_surer() -> None:
    """The oracle is the spread of the mean of the folds over many draws of clips."""
    rng, seeds = np.random.default_rng(0), rng_hits(4)
    value, clips = counted_clips(seeds, 0)
    drawn = [
        np.mean([fold.hits[0][rng.integers(len(row), size=len(row))].mean() for fold in seeds for row in fold.hits])
        for _ in range(4000)
    ]
    assert value == pytest.approx(np.mean([fold.hits.mean() for fold in seeds]))
    assert value * (1 - value) / clips == pytest.approx(np.var(drawn), rel=0.1)


def rng_hits(seeds: int) -> list[Hits]:
    """Two folds of one method, the mean of several seeds."""
    rng = np.random.default_rng(3)
    return [Hits(hits=(rng.random((seeds, clips)) < 0.7).mean(0)[None]) for clips in (30, 200)]


def test_groups_that_a_measure_cannot_do_without_leave_intervals_over_clips() -> None:
    """R2 has no value for clips of one true value, which is all that is left without either speaker."""
    truth, names = np.repeat([20.0, 60.0], 6), [["ann"] * 6 + ["bob"] * 6]
    guess = truth[None] + np.random.default_rng(0).normal(size=(1, 12))
    measured = Measured.of([Predictions(predicted=guess, truth=truth)], names, resamples=50, seed=0)
    found = measured.estimate(0, confidence=0.95)
    assert measured.over == "clips"
    assert found.low <= found.value <= found.high


def share_of(truth: np.ndarray, chosen: np.ndarray, measured: Callable[..., float]) -> float:
    """A measure of scikit-learn, the mean over the classes that some clip has."""
    known = np.flatnonzero(truth.any(0))
    return float(np.mean([measured(truth[:, number], chosen[:, number]) for number in known]))


@pytest.mark.parametrize("kind", ["hits", "ratios", "decisions", "rankings", "predictions"])
def test_measures_of_resamples_are_those_of_the_repeated_clips(kind: str) -> None:
    """Of two methods; a class that no clip has is left out of a mean."""
    rng = np.random.default_rng(2)
    ranked, numbers, values = rankings(clips=12), rng.normal(size=12), rng.random((2, 12))
    padded = np.pad(ranked.truth, ((0, 0), (0, 1)))
    scores = np.pad(ranked.scores, ((0, 0),) * 3 + ((0, 1),))
    cases: dict[str, tuple[Outcome, Callable[[np.ndarray, int], float]]] = {
        "hits": (Hits(hits=values), lambda rows, m: values[m][rows].mean()),
        "ratios": (
            Ratios(parts=values, wholes=1 + numbers**2),
            lambda rows, m: values[m][rows].sum() / (1 + numbers[rows] ** 2).sum(),
        ),
        "decisions": (
            Decisions(truth=padded, chosen=scores[:, 0] > 0.5),
            lambda rows, m: share_of(padded[rows], scores[m, 0][rows] > 0.5, partial(f1_score, zero_division=0)),
        ),
        "rankings": (  # the mean over two seeds
            Rankings(truth=padded, scores=scores),
            lambda rows, m: np.mean([share_of(padded[rows], s[rows], average_precision_score) for s in scores[m]]),
        ),
        "predictions": (
            Predictions(truth=numbers, predicted=values),
            lambda rows, m: r2_score(numbers[rows], values[m][rows]),
        ),
    }
    outcome, oracle = cases[kind]
    weights = np.stack([np.ones(12), *rng.multinomial(12, [1 / 12] * 12, size=5)]).astype(float)
    expected = [[oracle(np.repeat(np.arange(12), w.astype(int)), m) for m in range(2)] for w in weights]
    np.testing.assert_allclose(measure(outcome, weights), expected)


@given(st.integers(0, 100), st.integers(1, 4))
def test_the_difference_of_two_methods_changes_its_sign_with_their_order(seed: int, folds: int) -> None:
    both = Measured(folds=hits(folds=folds, seed=seed), resamples=50, seed=0)
    one, other, none = (both.difference(a, b, confidence=0.9) for a, b in ((0, 2), (2, 0), (1, 1)))
    assert (none.value, none.low, none.high, none.p) == (0, 0, 0, 1)  # a method is no better than itself
    expected = [-one.value, -one.high, -one.low, one.p]
    np.testing.assert_allclose([other.value, other.low, other.high, other.p], expected, atol=1e-12)
    if folds == 1:
        assert one.fold_low is one.fold_high is None
    else:
        np.testing.assert_allclose([other.fold_low, other.fold_high], [-one.fold_high, -one.fold_low], atol=1e-12)


def test_an_interval_has_a_width_where_all_clips_are_right_or_all_are_wrong() -> None:
    def ends(*folds: Outcome) -> tuple[float, float]:
        found = Measured(folds=folds, resamples=100, seed=0).estimate(0, confidence=0.95)
        return found.low, found.high

    three, exact = Hits(hits=np.ones((1, 3))), binomtest(3, 3).proportion_ci(0.95, "exact")
    assert ends(three) == pytest.approx((exact.low, 1.0))
    assert ends(Hits(hits=np.zeros((1, 3)))) == pytest.approx((0.0, 1 - exact.low))
    assert ends(three, three)[0] > exact.low  # six clips
    assert ends(Rankings(truth=np.ones((3, 1), bool), scores=np.ones((1, 1, 3, 1)))) == (1.0, 1.0)


def test_a_rare_extreme_target_does_not_shift_the_interval_of_r2() -> None:
    """The mutation: without the extreme clip R2 is far below 0, and so is the mean of the resamples."""
    rng = np.random.default_rng(0)
    truth = np.append(rng.normal(size=29), 30.0)
    outcome = Predictions(truth=truth, predicted=(truth + rng.normal(scale=3, size=30))[None])
    low, high = confidence_interval(bootstrap([outcome], resamples=500, seed=0)[:, 0], 0.95)
    assert low < measure(outcome)[0, 0] < high < 0.999


@pytest.mark.parametrize("perfect", [False, True])
def test_resamples_of_a_biased_measure_stay_within_its_range(perfect: bool) -> None:
    ranked = rankings()
    if perfect:
        ranked = replace(ranked, scores=np.broadcast_to(ranked.truth, ranked.scores.shape).astype(float))
    for fold in (ranked, Decisions(truth=ranked.truth, chosen=ranked.scores[:, 0] > 0.5)):
        draws = bootstrap([fold], resamples=100, seed=0)
        assert draws.min() >= 0
        assert draws.max() <= 1
        if perfect:
            np.testing.assert_allclose(draws, 1)


def test_each_method_s_resamples_of_a_biased_measure_lie_about_its_own_value() -> None:
    ranked = rankings()
    signs = np.array([1.0, -1.0])[:, None, None, None]  # the other one is wrong
    ranked = replace(ranked, scores=ranked.scores * signs)
    for fold in (ranked, Decisions(truth=ranked.truth, chosen=ranked.scores[:, 0] > 0.5)):
        good, bad = measure(fold)[0]
        assert good > bad + 0.2
        np.testing.assert_allclose(bootstrap([fold], resamples=200, seed=0).mean(0), [good, bad], atol=0.01)


def test_p_counts_the_rarer_side_and_intervals_over_folds_are_students() -> None:
    assert two_sided_p(np.full(999, 0.1)) == pytest.approx(0.002)
    assert two_sided_p(np.array([-1.0] * 24 + [1.0] * 975)) == pytest.approx(0.05)
    assert t_interval(np.full(4, 0.2), confidence=0.95) == pytest.approx((0.2, 0.2))
    assert t_interval(np.array([0.2]), confidence=0.95) == (None, None)
    # t of 2 degrees of freedom leaves 2.5 % above 4.302653, of 1 degree 12.706205: as printed tables have it.
    half = 4.302653 * np.std([0.0, 0.1, 0.3], ddof=1) / 3**0.5
    assert t_interval(np.array([0.0, 0.1, 0.3]), confidence=0.95) == pytest.approx((0.4 / 3 - half, 0.4 / 3 + half))
    assert t_interval(np.array([0.0, 0.2]), confidence=0.95) == pytest.approx((0.1 - 1.2706205, 0.1 + 1.2706205))


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [  # table II of Newcombe (1998), method 10, of Wilson's intervals
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ],
)
def test_the_difference_of_two_proportions_is_newcombes(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    ends = [binomtest(*each).proportion_ci(method="wilson") for each in (one, other)]
    shares = [Estimate(value=k / n, low=e.low, high=e.high) for (k, n), e in zip((one, other), ends, strict=True)]
    found = independent_difference(*shares)
    assert (found.low, found.high) == pytest.approx((low, high), abs=2e-4)


def test_one_clip_with_several_draws_has_an_interval_over_clips() -> None:
    one = Hits(hits=np.ones((2, 1)))
    found = Measured.of([one], [[None]], repeats=[[one]] * 5, resamples=10, seed=0)
    assert (found.over, found.count, found.estimate(0, confidence=0.95).value) == ("clips", 1, 1.0)
