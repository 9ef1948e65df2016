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
from pipelines.plugins.zerospeech.utterance_pairs import asked_pairs
from pipelines.plugins.zerospeech.word_tests import MODELS, item_accuracies, item_figures, word_scores
from pipelines.results.run_record import Row, read_results, where
from tests.lm.reference import accuracy_of_item
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import composed, run
from tokenizer.tokenizer import Tokenizer
from wordless.audio.recordings.embedded import SLOTS, EmbeddedConfig, speak
from wordless.base.messages import InputError

WORDS = ("stages=[zerospeech,report]", "zerospeech.voices=2")


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
    assert {*right} == {*MODELS, "word_bigram"}
    assert set(content["corpus"]["labels"]) <= {*SLOTS[-1]}  # last words
    assert "3 pairs" in (tmp_path / "run/report.html").read_text().partition("</header>")[0]


def test_agreement_is_tested_where_pairs_of_words_are_at_chance(tmp_path: Path) -> None:
    words = ("embedded.words=null", "embedded.repetitions=null", "embedded.voices=5", "embedded.sentences=4")
    tests = ("embedded.agreement=true", "zerospeech.voices=4", "zerospeech.sentences=4", "probe.resamples=100")
    assert run(tmp_path / "store", tmp_path / "run", *words, *tests, "stages=[tokenizer,lm,zerospeech,report]") == 0
    rows = where(read_results(tmp_path / "run")["figures"], stage="zerospeech", name="agreement")
    right = {row.of: row.value for row in rows}
    assert right["word_bigram"] == 0.5
    assert {*MODELS} < {*right}
    report = (tmp_path / "run/report.html").read_text()
    assert "the other number of its noun" in report


ROW = Row(stage="zerospeech", name="word_order", value=0.0, artifact="", seeds=2)


def test_the_interval_resamples_items_and_seeds_are_averaged() -> None:
    accuracies = {name: [[0.0, 1.0, 0.5, 1.0], [1.0, 1.0, 0.5, 0.0]] for name in MODELS}
    trainings: dict[tuple[str, int], dict[str, list[float]]] = {
        ("ann", seed): {name: each[seed] for name, each in accuracies.items()} for seed in range(2)
    }
    config = run_settings(composed(Path("store"), "probe.resamples=2000")).probe
    trainings["ann", 0]["unigram"] = [0.0, 0.0, 0.5, 0.0]
    found = [*item_figures(trainings, ROW, config)]
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
