"""Rows of a comparison, from drawn probe.json of several folds and seeds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lm.probing.intervals import over_groups, share_interval
from lm.probing.probe_options import ProbeConfig
from pipelines.pages.phrasing import methods_table, sentences
from pipelines.results.probes import Probed, Probes
from pipelines.results.run_record import Comparison, Row
from pipelines.settings.run_settings import By
from tests.pipelines.pages_apart import CLASSES, CONFIG, RIGHT, VALIDATION, answers, probed_example
from wordless.audio.views import Noise

FOLDS = {"ann": 40, "bob": 60, "cem": 80}  # test clips


def drawn(name: str, seed: int) -> dict[str, Any]:
    return probed_example(name, seed, clips=FOLDS[name])


def trial(seeds: int = 1) -> dict[tuple[str, int], Probed]:
    return {(name, seed): drawn(name, seed) for name in FOLDS for seed in range(seeds)}


def compared(
    probes: dict[tuple[str, int], Probed], *, by: By = "split", config: ProbeConfig = CONFIG, **options: Any
) -> Comparison:
    return Probes(probes, config, by=by).comparison(**options)


def section(seeds: int = 1) -> Comparison:
    return compared(trial(seeds), by="group")


def of_gpt(found: Comparison) -> dict[str, Row]:
    """The GPT's differences, by the other method."""
    return {row.against: row for row in found.differences("gpt") if row.against}


def share_right(probed: Probed, of: str) -> float:
    row = next(row for row in probed["methods"] if row["of"] == of)
    return float(np.mean([one == other for one, other in zip(row["predictions"], probed["truth"], strict=True)]))


@pytest.mark.parametrize("seeds", [1, 2])
def test_every_fold_and_seed_weighs_the_same(seeds: int) -> None:
    found = section(seeds)
    for of, row in found.tested.items():
        values = {name: np.mean([share_right(trial(seeds)[name, seed], of) for seed in range(seeds)]) for name in FOLDS}
        assert found.means(of, "fold") == pytest.approx(values)
        assert found.means(of, "group") == pytest.approx(values)  # here each fold tests one group
        assert row.value == pytest.approx(np.mean(list(values.values())))
        assert (row.low or 0) < row.value < (row.high or 0)
        of_seeds = {
            seed: np.mean([share_right(trial(seeds)[name, seed], of) for name in FOLDS]) for seed in range(seeds)
        }
        assert found.means(of, "seed") == pytest.approx(of_seeds)
    assert found.methods == ["supervised_head", "gpt", "simclr", "log_mel"]
    assert (found.clips, found.unlabelled, found.regularisation_strengths, found.seeds) == (
        180,
        5,
        6,
        list(range(seeds)),
    )


def test_differences_have_an_interval_over_seeds() -> None:
    found = section(3)
    for against, row in of_gpt(found).items():
        each = np.array([found.means("gpt", "seed")[seed] - found.means(against, "seed")[seed] for seed in range(3)])
        half = 2.919986 * each.std(ddof=1) / np.sqrt(3)  # Student's t of 90 %, 2 degrees of freedom
        assert (row.seed_low, row.seed_high) == pytest.approx((each.mean() - half, each.mean() + half), rel=1e-5)
    assert {row.seed_low for row in of_gpt(section(1)).values()} == {None}


def test_the_gpt_is_compared_with_every_other_method() -> None:
    rows = of_gpt(section())
    assert list(rows) == ["supervised_head", "simclr", "log_mel"]  # the strongest first
    for against, row in rows.items():
        folds = [share_right(trial()[name, 0], "gpt") - share_right(trial()[name, 0], against) for name in FOLDS]
        assert row.value == pytest.approx(np.mean(folds))
        assert (row.fold_low or 1) <= row.value <= (row.fold_high or -1)
    ahead = rows["log_mel"]  # over the people, who are the folds
    assert (ahead.over, ahead.low, ahead.high) == ("groups", ahead.fold_low, ahead.fold_high)
    assert not section().over_folds  # so one interval is shown
    assert 0 < (ahead.p or 0) < (rows["simclr"].p or 0) < 0.05


def test_other_references_take_the_place_of_the_gpt() -> None:
    given = ("simclr", "supervised_head", "gone")
    found = compared(trial(), by="group", references=given)
    assert found.references == ["simclr", "supervised_head"]
    assert list(found.confusion) == ["simclr", "supervised_head"]
    rows = {(row.of, row.against): row.value for row in found.rows(name="difference", share=None)}
    assert len(rows) == 2 * 3
    assert rows["simclr", "gpt"] == pytest.approx(-of_gpt(section())["simclr"].value)
    assert rows["simclr", "supervised_head"] == pytest.approx(-rows["supervised_head", "simclr"])
    table, _, most_frequent = methods_table(found).partition("\n\n")
    heads, _, *lines = table.splitlines()
    assert "| SimCLR ahead by |" in heads
    assert "| interval over 3 groups of test clips, never narrower than over clips |" in heads
    assert "33.3" in most_frequent
    assert [line.split(" | ")[0].strip("| ") for line in lines] == ["supervised_head", "gpt", "simclr", "log_mel"]
    assert not compared(trial(), by="group", references=("gone",)).rows(name="difference")


def test_layers_have_the_pooling_that_validation_prefers() -> None:
    layers = section().layers("gpt")
    assert list(layers) == ["layer_1", "layer_2", "all_layers"]
    assert [splits["validation"].value for splits in layers.values()] == pytest.approx([0.1, 0.3, 0.4])
    assert not section().layers("simclr")


def test_learning_curves_are_means_with_intervals_over_people() -> None:
    curves = section().along("share")
    assert set(curves) == {"log_mel", "gpt", "simclr"}
    for of, points in curves.items():
        assert [point.share for point in points] == [0.1, 1.0]
        mean = np.mean([share_right(trial()[name, 0], of) for name in FOLDS])
        assert points[1].value == pytest.approx(mean)
        row = section().tested[of]
        assert (points[1].over, points[1].over_count) == ("groups", 3)
        # In the table clips of several folds are counted, and in a curve their intervals are combined.
        assert (points[1].low, points[1].high) == pytest.approx((row.low, row.high), abs=0.015)
    apart = section().rows(name="difference", of="gpt", against="log_mel")
    assert [row.labels for row in apart] == [None, 10, 100]
    assert (apart[2].value, apart[2].low, apart[2].p) == pytest.approx((apart[0].value, apart[0].low, apart[0].p))
    assert {(row.over, row.over_count) for row in apart} == {("groups", 3)}


@pytest.mark.parametrize(("place", "column"), [("learning_curve", "labels"), ("noise", "noise_snr")])
def test_a_difference_with_few_labels_or_noise_is_that_of_the_table(place: str, column: str) -> None:
    """Where the same clips are right; without groups it is paired over clips."""
    probed = drawn("ann", 0) | {"groups": [None] * FOLDS["ann"]}
    for row in probed["methods"]:
        right = [float(one == other) for one, other in zip(row["predictions"], probed["truth"], strict=True)]
        ends = {"test_accuracy": np.mean(right), "values": [[np.mean(right)]], "over": "clips", "hits": right}
        row[place] = [{"share": 0.5, "clips": 7, "kind": "white", "snr": 10.0, **ends}]
    found = compared({("test", 0): probed})
    for against, row in of_gpt(found).items():
        pairs = found.rows(name="difference", of="gpt", against=against)
        (apart,) = (each for each in pairs if getattr(each, column) is not None)
        figures = ((each.value, each.low, each.high, each.p) for each in (apart, row))
        assert next(figures) == pytest.approx(next(figures))
        assert (apart.over, apart.over_count) == ("clips", 40)
        assert apart.low < apart.value < apart.high or against == "gpt"


def test_an_interval_under_noise_is_never_narrower_than_over_clips() -> None:
    """Two people with equal shares, whose own interval has no width; rankings have no hits, and are not paired."""
    probed = drawn("ann", 0) | {"groups": ["one", "other"] * 20}
    for row in probed["methods"]:
        right = [float(number // 2 % 20 < (15 if row["of"] == "gpt" else 10)) for number in range(40)]
        shares = {"test_accuracy": np.mean(right), "values": [[np.mean(right)]] * 2, "over": "groups"}
        ends = dict(zip(("clips_low", "clips_high"), share_interval(np.mean(right), 40, confidence=0.9), strict=True))
        row["noise"] = [
            {"kind": "white", "snr": 20.0, **shares, "hits": right},
            {"kind": "white", "snr": 10.0, **shares, **ends},
        ]
    found = compared({("test", 0): probed})
    exact = share_interval(0.75, 40, confidence=CONFIG.confidence)
    for row in found.along("noise_snr")["gpt"]:
        assert (row.low, row.high) == pytest.approx(exact)
    pairs = found.rows(name="difference", of="gpt", against="log_mel")
    paired, alone = (next(row for row in pairs if row.noise_snr == snr) for snr in (20.0, 10.0))
    assert 0.1 < paired.low < 0.2 < paired.value == 0.25 < 0.3 < paired.high < 0.4
    assert alone.low < paired.low < paired.high < alone.high
    assert (paired.over, paired.over_count) == (alone.over, alone.over_count) == ("groups", 2)


def test_seeds_without_groups_are_in_the_interval() -> None:
    """The oracle is the crossed model of clips and seeds; seeds that answer alike change nothing."""
    probes = {("test", seed): drawn("ann", 0) | {"groups": [None] * 40} for seed in range(3)}
    alike = compared(probes).tested["gpt"]
    assert (alike.over, alike.over_count) == ("clips", 40)
    exact = share_interval(alike.value, 40, confidence=CONFIG.confidence)
    assert alike.low <= exact[0]
    assert alike.high >= exact[1]
    assert (alike.low, alike.high) == pytest.approx(exact, abs=0.03)
    hits = np.zeros((40, 3))
    for seed in range(3):
        hits[: 20 + 5 * seed, seed] = 1
        own = next(row for row in probes["test", seed]["methods"] if row["of"] == "gpt")
        own["predictions"] = answers(probes["test", seed]["truth"], [bool(each) for each in hits[:, seed]])
        ends = {"test_accuracy": hits[:, seed].mean(), "values": [[hits[:, seed].mean()]], "over": "clips"}
        own["noise"] = [{"kind": "white", "snr": 10.0, **ends, "hits": hits[:, seed].tolist()}]
    found = compared(probes)
    low, high, _ = over_groups(hits, confidence=CONFIG.confidence)
    assert found.tested["gpt"].low < share_interval(0.625, 40, confidence=CONFIG.confidence)[0]
    for row in (found.tested["gpt"], *found.along("noise_snr")["gpt"]):
        assert (row.low, row.high) == pytest.approx((low, high))
        assert row.over_count == 40


@pytest.mark.parametrize("seeds", [1, 2])
def test_folds_of_several_people_have_intervals_over_all_people(seeds: int) -> None:
    """Also with few labels and under noise, where each fold has the values of its people."""
    rng, probes, values = np.random.default_rng(0), trial(seeds), dict[tuple[str, str], list[Any]]()
    for probed in probes.values():
        probed["groups"] = [f"{probed['groups'][0]} {number % 2}" for number in range(len(probed["groups"]))]
        for row in probed["methods"]:
            row["noise"] = [{"kind": "white", "snr": 10.0, "share": 0, **(row["learning_curve"] or [row])[0]}]
            for name in ("learning_curve", "noise"):
                for point in row[name]:
                    own = rng.random((2, 5)) / 10 + point["test_accuracy"] - 0.05
                    point |= {"values": own.tolist(), "test_accuracy": own.mean()}
                    point |= {"clips_low": own.mean() - 0.01, "clips_high": own.mean() + 0.01}
                    point.pop("hits", None)  # whose intervals over clips would be wider
                    values.setdefault((row["of"], name), []).append(own)
    found = compared(probes, by="groups")
    assert (found.protocol, found.fold_noun, found.over) == ("folds of whole groups", "fold", "groups")
    assert found.tested["gpt"].over_count == 6
    assert len(found.along("group")["gpt"]) == 6
    points = {"learning_curve": found.along("share")["gpt"][0], "noise": found.along("noise_snr")["gpt"][0]}
    for name, point in points.items():
        first = values["gpt", name][:: 2 if name == "learning_curve" else 1]  # of two shares
        people = np.concatenate([np.stack(first[fold * seeds :][:seeds], axis=1) for fold in range(3)])
        low, high, _ = over_groups(people, confidence=CONFIG.confidence, value=point.value)
        assert (point.over, point.over_count) == ("groups", 6)
        assert (point.low, point.high) == pytest.approx((low, high))
    few = found.rows(name="difference", of="gpt", against="log_mel", labels=10.0)
    assert [(row.over, row.over_count) for row in few] == [("groups", 6)]
    for row in next(iter(probes.values()))["methods"]:  # a fold whose people have no values of their own
        for point in row["learning_curve"]:
            point["values"] = [np.mean(point["values"], axis=0).tolist()]
    point = compared(probes, by="groups").along("share")["gpt"][0]
    assert (point.over, point.over_count) == ("folds", 3)


def test_answers_are_counted_by_true_class() -> None:
    counts = np.array(section(2).confusion["gpt"])
    assert counts.sum() == 180
    assert counts.sum(1).tolist() == [sum(drawn(name, 0)["truth"].count(label) for name in FOLDS) for label in CLASSES]
    assert np.trace(counts) / 180 == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize(("speakers", "over"), [(1, "clips"), (5, "groups"), (20, "groups")])
def test_one_split_has_intervals_over_its_speakers_if_there_are_several(speakers: int, over: str) -> None:
    """One of them is never understood, and the others always are."""
    probed = drawn("ann", 0)
    probed["groups"] = [str(number * speakers // 40) for number in range(40)]
    for row in probed["methods"]:
        row["predictions"] = answers(probed["truth"], [group != "0" for group in probed["groups"]])
    found = compared({("test", 3): probed})
    assert (found.protocol, found.over, found.tested["gpt"].over) == ("one split", over, over)
    assert found.tested["gpt"].value == 1 - 1 / speakers
    assert found.tests_one_group == (speakers == 1)
    assert {(row.fold_low, row.fold_high) for row in of_gpt(found).values()} == {(None, None)}


def test_seeds_on_one_split_have_no_fold() -> None:
    rows = compared({("test", seed): drawn("ann", seed) for seed in (0, 1)}).along("seed")["gpt"]
    assert [(row.fold, row.seed) for row in rows] == [(None, 0), (None, 1)]


@pytest.mark.parametrize(("right", "shown"), [(24, False), (58, True), (2, True)])
def test_the_figure_that_chose_stands_beside_that_of_test_with_a_warning_of_a_gap_beyond_chance(
    right: int, shown: bool
) -> None:
    probed = drawn("ann", 0)
    own = next(row for row in probed["methods"] if row["of"] == "log_mel")  # about 40 % of its test clips are right
    judged = [number < right for number in range(VALIDATION)]
    own |= {"validation_predictions": answers(probed["validation_truth"], judged), "validation_accuracy": right / 60}
    found = compared({("test", 0): probed})
    row = found.validated["log_mel"]
    assert (row.value, row.count) == (right / 60, VALIDATION)
    assert (row.low or 0) < row.value < (row.high or 0)
    assert found.gaps["log_mel"].value == pytest.approx(row.value - found.tested["log_mel"].value)
    assert [of for of, row in found.gaps.items() if row.excludes_zero] == ["log_mel"] * shown
    assert found.split_groups == {"validation": ["dan"], "test": ["ann"]}
    warning = " ".join(sentences("gap", found))
    assert all((part in warning) == shown for part in ("dan", "ann", "compare.folds=group", "60 clips"))


def test_the_figure_that_chose_is_a_mean_over_folds() -> None:
    row = section(2).validated["gpt"]
    assert (row.value, row.count) == (pytest.approx(0.8), VALIDATION)
    assert not section().split_groups


@pytest.mark.parametrize(("mean", "high"), [(0.6, 0.768585), (0.9, 1.0)])
def test_cross_validation_has_the_interval_of_its_parts(mean: float, high: float) -> None:
    """The t interval of three parts, within 0 and 1."""
    probed = drawn("ann", 0)
    for method in probed["methods"]:
        del method["validation_predictions"]
        method |= {"parts": [mean - 0.1, mean, mean + 0.1], "validation_accuracy": mean}
    row = compared({("test", 0): probed}).validated["gpt"]
    assert (row.low, row.high) == pytest.approx((mean - 0.168585, high), rel=1e-4)
    folds = {(name, 0): drawn(name, 0) for name in FOLDS}
    for each in folds.values():
        for method in each["methods"]:
            del method["validation_predictions"]
    found = compared(dict(folds), by="group")
    assert found.validated["gpt"].low is None
    assert not found.gaps


def test_the_same_clips_have_one_key_and_one_set_of_draws() -> None:
    def key(config: ProbeConfig = CONFIG, **changes: Any) -> str:
        probed = {**drawn("ann", 0), **changes}
        return compared({("test", 0): probed}, config=config).clips_key

    others = [key(clips=["x"] * 40), key(groups=["x"] * 40)]
    assert key() == key(notices=["another run"]) == key(replace(CONFIG, seed=1, resamples=20))
    assert key() not in others
    probes = {("test", 0): drawn("ann", 0)}
    seeded = [Probes(probes, replace(CONFIG, seed=seed), by="split") for seed in (0, 1)]
    assert not np.array_equal(seeded[0].tested.draws, seeded[1].tested.draws)
    assert np.array_equal(seeded[0].paired_draws["gpt"], seeded[1].paired_draws["gpt"])
    fewer = Probes(probes, replace(CONFIG, resamples=20, seed=2), by="split")
    assert np.array_equal(fewer.paired_draws["gpt"], seeded[0].paired_draws["gpt"][:20])


def test_accuracy_under_noise_is_the_mean_over_folds_and_is_no_overall_figure() -> None:
    probes = trial()
    for place, probed in enumerate(probes.values()):
        for row in probed["methods"]:
            ends = {"test_accuracy": 0.3 + place / 10, "low": 0.2, "high": 0.6, "clips_low": 0.2, "clips_high": 0.6}
            row["noise"] = [{"kind": "white", "snr": 10.0, "values": [[0.3 + place / 10]], **ends}]
            row["noise"] += [{"kind": "rain", "snr": 20.0, "values": [[0.5]], **ends}]
    clean, noisy = section(), compared(probes, by="group")
    found = noisy.along("added").items()
    both = [("white", 10.0), ("rain", 20.0)]
    assert {of: [row.added for row in rows] for of, rows in found} == dict.fromkeys(RIGHT, both)
    assert [*noisy.under_noise("gpt")] == [None, *both]
    assert noisy.along("added")["gpt"][0].value == pytest.approx(0.4)
    assert not clean.along("added")
    assert noisy.tested == clean.tested
    assert noisy.means("gpt", "fold") == clean.means("gpt", "fold")
    assert not clean.noise_rows


def test_a_network_stands_alone_and_with_its_input_at_each_noise_beside_its_largest_input() -> None:
    probes = trial()
    for place, probed in enumerate(probes.values()):
        for row in probed["methods"]:
            ends = {"test_accuracy": 0.3, "clips_low": 0.2, "clips_high": 0.6, "values": [[0.3]]}
            row["noise"] = [
                {"kind": "rain", "snr": snr, **ends, "largest_input": snr + place, "kept": (snr + place) / 40}
                for snr in (10.0, 20.0)
            ]
            if row["of"] != "gpt":
                continue
            alone = row["candidates"][-1]  # all layers
            row["candidates"].append({**alone, "of": "gpt/all_layers_with_input:mean", "test_accuracy": 0.7})
            for number, each in enumerate(row["candidates"]):
                points = [{"snr": snr, "test_accuracy": (number + place) / 10} for snr in (10.0, 20.0)]
                each["noise"] = [{"kind": "rain", **point} for point in points]
    found = compared(probes, by="group")
    soft, loud = (Noise("rain", snr) for snr in (20.0, 10.0))
    names = [name for name, *_ in found.noise_rows]
    assert names == ["supervised_head", "gpt", "gpt/all_layers", "gpt/all_layers_with_input", "simclr", "log_mel"]
    rows = {name: {snr: row.value for snr, row in under.items()} for name, _, under, _ in found.noise_rows}
    assert [*rows["gpt"]] == [*rows["gpt/all_layers"]] == [None, soft, loud]
    assert rows["gpt/all_layers"][loud] == pytest.approx(0.5)  # the fifth candidate, over three folds
    assert rows["gpt/all_layers_with_input"] == pytest.approx({None: 0.7, soft: 0.6, loud: 0.6})
    # the share that is kept is the mean over folds, and the input the largest of all
    assert found.noise_notes("gpt") == {loud: (pytest.approx(11 / 40), 12.0), soft: (pytest.approx(21 / 40), 22.0)}
    assert found.layers("gpt")["all_layers_with_input"]["test"].value == pytest.approx(0.7)
    table = methods_table(found)
    assert "| no noise | rain 20 dB | rain 10 dB |" in table
    assert "\n| gpt/all_layers_with_input | 40.0% | 70.0% | 60.0% | 60.0% |" in table
    assert "\n| simclr | 60.0% | " in table
    assert " | 30.0% (52%, 22.0) | 30.0% (27%, 12.0) |" in table


def test_an_interval_over_parts_of_cross_validation_is_never_narrower_than_over_clips() -> None:
    probed = drawn("ann", 0)
    for row in probed["methods"]:
        del row["validation_predictions"]
        row["validation_accuracy"], row["parts"] = 0.5, [0.5, 0.5, 0.5, 0.51, 0.49]
    judged = compared({("test", 0): probed}).validated["gpt"]
    assert (judged.over, judged.over_count) == ("parts", 5)
    exact = share_interval(0.5, VALIDATION, confidence=CONFIG.confidence)
    assert (judged.low, judged.high) == pytest.approx(exact)
