"""The stage zerospeech: tests of the GPT by pairs of utterances, from the run to its report."""

import json
import shutil
from contextlib import nullcontext
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from lm.model import LanguageModel
from pipelines.jobs.run_rules import run_settings
from pipelines.plugins.zerospeech import ZerospeechConfig
from pipelines.plugins.zerospeech.pair_probe import (
    PAIR_METHODS,
    JudgedUtterance,
    can_probe,
    config_of_pairs,
    pair_probe_rows,
    probe_pairs,
)
from pipelines.plugins.zerospeech.sound_pairs import CHANGES, JoinedSound, consistency_pairs
from pipelines.plugins.zerospeech.utterance_pairs import asked_pairs
from pipelines.plugins.zerospeech.word_tests import MODELS, PASTS, item_accuracies, item_figures, word_scores
from pipelines.results.run_record import Row, read_results, where
from tests.lm.reference import accuracy_of_item
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import composed, run
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read
from wordless.audio.recordings.embedded import SLOTS, EmbeddedConfig, speak
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError

WORDS = ("stages=[zerospeech,report]", "zerospeech.voices=2", "zerospeech.consistency=1")


@pytest.fixture(scope="module")
def judged(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with the tests, on the models of the finished run, beside a store of its own."""
    place = tmp_path_factory.mktemp("judged")
    shutil.copytree(finished_run.store, place / "store")  # other tests compare the finished run's own store
    assert run(place / "store", place / "run", *WORDS) == 0
    return place / "run"


def test_the_gpt_is_asked_about_words_in_unheard_voices(finished_run: FinishedRun, judged: Path) -> None:
    """Two words give two pseudo-words in each of two voices; the oracle scores them one by one."""
    found = json.loads((judged / "results.json").read_text())["zerospeech"]["pairs"]
    assert (found["test"], found["items"], found["pairs"], found["voices"]) == ("spot_the_word", 2, 4, 2)
    rows = where(read_results(judged)["figures"], stage="zerospeech", name="spot_the_word")
    assert tuple(row.of for row in rows) == MODELS
    asked = asked_pairs(ZerospeechConfig(voices=2, words=30, sentences=1), EmbeddedConfig(voices=5, words=2))
    spoken = speak(asked.utterances, judged.parent / "store/embedded", seed=0, phones=True)
    tokenizer = Tokenizer.from_pretrained(finished_run.folder / "tokenizer")
    gpt = LanguageModel.from_pretrained(finished_run.folder / "lm")

    def score(file: str) -> float:
        return float(gpt.log_probabilities(tokenizer.encode_file(spoken / file)).mean())

    right = [score(pair.right) > score(pair.wrong) for pair in asked.pairs]
    assert rows[0].value == pytest.approx(np.mean(right))


def test_the_gpt_is_asked_about_sounds_that_change(finished_run: FinishedRun, judged: Path) -> None:
    """Four voices say one text in two parts; the oracle scores the sounds of another gender one by one."""
    found = json.loads((judged / "results.json").read_text())["zerospeech"]["consistency"]
    assert (found["texts"], found["pairs"], found["voices"]) == (1, 24, 4)
    config, embedded = ZerospeechConfig(voices=2, consistency=1), EmbeddedConfig(voices=5, words=2)
    pairs, utterances = consistency_pairs(config.texts(embedded), voices=2, seed=0)
    spoken = speak(utterances, judged.parent / "store/embedded", seed=0)
    tokenizer = Tokenizer.from_pretrained(finished_run.folder / "tokenizer")
    gpt, rate = LanguageModel.from_pretrained(finished_run.folder / "lm"), tokenizer.format.sample_rate

    def score(sound: JoinedSound) -> float:
        first, second = (read(spoken / file, rate).samples for file in sound.files)
        silence = np.zeros(-len(first) % tokenizer.format.samples_per_code, np.float32)
        samples = np.concatenate([first, silence, second])
        return float(gpt.log_probabilities(tokenizer.encode(samples, rate)).mean())

    figures = read_results(judged)["figures"]
    right = [score(pair.right) > score(pair.wrong) for pair in pairs if pair.change == "gender"]
    (row, *_) = where(figures, stage="zerospeech", name="consistency_gender", of="gpt")
    assert row.value == pytest.approx(np.mean(right))
    for change in CHANGES:
        by_model = {each.of: each.value for each in where(figures, name=f"consistency_{change}")}
        assert by_model.keys() == {*MODELS}
        assert by_model["unigram"] == pytest.approx(0.5, abs=0.13)  # one pair in eight at the borders of codes


def test_sentences_are_tested_by_their_word_order(tmp_path: Path) -> None:
    """The default corpus in small, by one voice."""
    words = ("embedded.words=null", "embedded.repetitions=null", "embedded.voices=5", "embedded.sentences=4")
    tests = ("zerospeech.voices=1", "zerospeech.sentences=3")
    stages = "stages=[tokenizer,lm,zerospeech,report]"
    assert run(tmp_path / "store", tmp_path / "run", *words, *tests, stages) == 0
    content = json.loads((tmp_path / "run/results.json").read_text())
    assert content["zerospeech"].keys() == {"pairs"}
    found = content["zerospeech"]["pairs"]
    assert (found["test"], found["items"], found["pairs"], found["voices"]) == ("word_order", 3, 3, 1)
    rows = where(read_results(tmp_path / "run")["figures"], stage="zerospeech", name="word_order")
    right = {row.of: row.value for row in rows}
    assert right["word_bigram"] == 1  # no training sentence has the words in the wrong order
    assert {"gpt", *PASTS} < {*right}
    assert set(content["corpus"]["labels"]) <= {*SLOTS[-1]}  # last words
    assert "3 pairs" in (tmp_path / "run/report.html").read_text().partition("</header>")[0]


def test_agreement_is_tested_where_pairs_of_words_are_at_chance(tmp_path: Path) -> None:
    words = ("embedded.words=null", "embedded.repetitions=null", "embedded.voices=5", "embedded.sentences=4")
    tests = ("embedded.agreement=true", "zerospeech.voices=4", "zerospeech.sentences=4", "probe.resamples=100")
    assert run(tmp_path / "store", tmp_path / "run", *words, *tests, "stages=[tokenizer,lm,zerospeech,report]") == 0
    rows = where(read_results(tmp_path / "run")["figures"], stage="zerospeech", name="agreement")
    right = {row.of: row.value for row in rows}
    assert right["word_bigram"] == 0.5
    assert {*MODELS, *PASTS} < {*right}
    report = (tmp_path / "run/report.html").read_text()
    assert "the other number of its noun" in report
    about = json.loads((tmp_path / "run/results.json").read_text())["zerospeech"]["probe"]
    assert (about["test"], about["trained"], about["tested"]) == (
        "agreement_probe",
        12,
        8,
    )  # one voice of four is for validation
    probed = where(read_results(tmp_path / "run")["figures"], stage="zerospeech", name="agreement_probe")
    assert [(row.of, row.over, row.over_count, row.count) for row in probed] == [
        (of, "groups", 4, 8) for of in PAIR_METHODS
    ]
    assert "each tested once by a probe of 12 others" in report
    assert "A linear probe of its states" in report.partition("</header>")[0]


def test_a_probe_of_pairs_hears_what_is_right_and_learns_no_sentence_and_no_voice() -> None:
    """Controls: vectors that tell the answer, that tell sentence and answer, voice and answer, and nothing."""
    voices, items = [f"voice {number}" for number in range(8)], [f"sentence {number}" for number in range(12)]
    utterances = [JudgedUtterance(item=i, voice=v, right=r) for v, i, r in product(voices, items, (True, False))]
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((len(utterances), 8)).astype(np.float32)

    def known(names: list[str], of: list[str]) -> FloatArray:
        """One number for each name, which is 1 or -1: right or wrong."""
        told = np.array(
            [[(each == name) * (2 * u.right - 1) for name in names] for each, u in zip(of, utterances, strict=True)]
        )
        return np.concatenate([noise, told.astype(np.float32)], axis=1)

    answer = np.concatenate([noise, [[2 * each.right - 1] for each in utterances]], axis=1).astype(np.float32)
    features = {
        "gpt": {"mean": noise, "thirds": answer},
        "bag_of_codes": {"mean": known(items, [each.item for each in utterances])},
        "random_gpt": {"mean": known(voices, [each.voice for each in utterances])},
    }
    config = run_settings(composed(Path("store"), "probe.resamples=200")).probe
    record = probe_pairs(features, utterances, config_of_pairs(config))
    rows = {(row.of, row.against): row for row in pair_probe_rows({("", 0): record}, PROBE_ROW, config)}
    assert rows["gpt", None].value == 1.0
    for name in ("bag_of_codes", "random_gpt"):
        assert rows[name, None].value == pytest.approx(0.5, abs=0.15)
        assert (rows["gpt", name].low or 0) > 0.3
    assert rows["gpt", None].count == 8 * 12 * 2 // 4  # each fourth of the voices with each fourth of the sentences
    again = [*pair_probe_rows({("", 0): record, ("", 1): record}, PROBE_ROW, config)]
    assert again[0].value == 1.0


def test_too_few_voices_or_sentences_have_no_probe() -> None:
    few = [JudgedUtterance(item=item, voice="one", right=True) for item in "abcde"]
    assert not can_probe(few)
    assert can_probe([JudgedUtterance(item=i, voice=v, right=True) for i, v in product("abcd", "wxyz")])


PROBE_ROW = Row(stage="zerospeech", name="word_order_probe", value=0.0, artifact="")


ROW = Row(stage="zerospeech", name="word_order", value=0.0, artifact="", seeds=2)


def test_the_interval_resamples_items_and_seeds_are_averaged() -> None:
    accuracies = {name: [[0.0, 1.0, 0.5, 1.0], [1.0, 1.0, 0.5, 0.0]] for name in MODELS}
    trainings: dict[tuple[str, int], dict[str, list[float]]] = {
        ("ann", seed): {name: each[seed] for name, each in accuracies.items()} for seed in range(2)
    }
    config = run_settings(composed(Path("store"), "probe.resamples=2000")).probe
    trainings["ann", 0]["unigram"] = [0.0, 0.0, 0.5, 0.0]
    found = [*item_figures(trainings, ROW, config, gap="difference")]
    bigram, unigram, _ = (row for row in found if row.name == "difference")
    assert (bigram.value, bigram.low, bigram.high) == (0, 0, 0)
    assert unigram.value == pytest.approx(np.mean([0, 0.5, 0, 0.5]))  # per item, the mean of both seeds
    assert 0 <= (unigram.low or 0) < unigram.value < (unigram.high or 0) <= 0.5
    row, *each = (row for row in found if row.of == MODELS[0] and row.against is None)
    assert row.value == pytest.approx(np.mean([0.5, 1, 0.5, 0.5]))
    assert [(one.seed, one.value) for one in each] == [(0, pytest.approx(0.625)), (1, pytest.approx(0.625))]
    means = sorted(np.mean(drawn) for drawn in product([0.5, 1, 0.5, 0.5], repeat=4))  # all samples with replacement
    assert [row.low, row.high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=1e-9)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("corpus.root=elsewhere",), None),
        (("stages=[zerospeech]", "corpus.root=elsewhere", "unlabelled=embedded"), None),
        (("stages=[zerospeech]", "corpus.root=elsewhere"), r"corpus\b.*\bunlabelled=embedded\b"),
        (("stages=[zerospeech]", "corpus.root=elsewhere", "unlabelled=embedded", "unlabelled_hours=0"), r"this corpus"),
        (("stages=[zerospeech]", "embedded.voices=45"), r"^embedded\.voices\b.*\b45\b.*\b40\b.*zerospeech\.voices\b"),
        (("stages=[zerospeech]", "embedded.other=true"), r"^embedded\.other\b.*zerospeech\b"),
        (("stages=[zerospeech]", "embedded.words=1"), r"^embedded\.words\b.*\b1\b"),
    ],
)
def test_a_gpt_that_cannot_know_the_answers_is_not_asked(words: tuple[str, ...], told: str | None) -> None:
    with pytest.raises(InputError, match=told) if told else nullcontext():
        run_settings(composed(Path("store"), *words))


def test_an_item_has_the_share_of_its_pairs_that_are_right() -> None:
    rng = np.random.default_rng(0)
    scores = {str(number): float(rng.integers(4)) for number in range(30)}  # whole numbers, so that some are equal
    drawn = [(f"item {rng.integers(4)}", *(str(n) for n in rng.choice(30, size=2))) for _ in range(60)]
    pairs = [(item, right, wrong) for item, right, wrong in drawn]
    items, found = item_accuracies(scores, pairs)
    assert items == tuple(dict.fromkeys(item for item, _, _ in pairs))
    assert found.tolist() == pytest.approx([accuracy_of_item(scores, pairs, item) for item in items])


def test_a_bigram_of_words_knows_the_order_of_classes() -> None:
    known = ["the cat eats.", "the dog sleeps.", "a cat sleeps."]
    scores = word_scores(known, {"right": "a dog eats.", "wrong": "dog a eats."})
    assert scores["right"] > scores["wrong"]
    # (1 + 1) / (3 + 7): a begins one of three texts, and six words and the beginning stand before others
    first = word_scores(known, {"a": "a"})["a"]
    assert first == pytest.approx((np.log(2 / 10) + np.log(1 / 8)) / 2)
