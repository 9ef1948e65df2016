"""Heads of classification, regression and sequences: targets, losses, figures, rows, probes and what is refused."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score

from lm.finetuned import create_task
from lm.finetuning import ClassificationOptions, RegressionOptions, SequenceOptions
from lm.heads import ClassificationTask, PooledTask, RegressionTask, SequenceTask, beam_search, error_rates
from lm.probing.intervals import measure
from lm.probing.probe_options import FigureConfig, ProbeConfig
from lm.probing.vectors import pool
from tests.lm.reference import text_probabilities
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError

SEVERAL, FIGURES = ClassificationOptions(label_separator=";"), FigureConfig(resamples=100)


def test_losses_are_those_of_the_formulas() -> None:
    """One label: 0.9 * -log p(class) + 0.1 * the mean of -log p over the classes in training, else -log p(class).

    Several labels: the mean over the classes of -log p where the clip has the class, of -log (1 - p) where not.
    """
    outputs, steps = torch.tensor([[[2.0, 0.0, -1.0]], [[0.0, 1.0, 3.0]]]), torch.ones(2)
    one = create_task(ClassificationOptions(label_smoothing=0.1), "abc", [])
    surprisal = -outputs[:, 0].log_softmax(-1)
    plain = surprisal[0, 0] + surprisal[1, 2]
    smoothed = 0.9 * plain + 0.1 * surprisal.mean(1).sum()
    probable = outputs[:, 0].sigmoid()
    each = -(probable[0, 0] * (1 - probable[0, 1]) * probable[0, 2]).log() / 3 - (1 - probable[1]).log().mean()
    has = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    for own, targets, training, wanted in (
        (one, torch.tensor([0, 2]), True, smoothed),
        (one, torch.tensor([0, 2]), False, plain),
        (create_task(SEVERAL, "abc", []), has, True, each),
    ):
        total, clips = own.loss(outputs, steps, targets, training=training)
        torch.testing.assert_close(total, wanted)
        assert clips == 2
    summed, clips = task().loss(outputs[..., :1], steps, torch.tensor([0.5, 2.0]), training=True)
    assert (float(summed), clips) == (6.25, 2)  # squared errors


def one(*classes: str) -> ClassificationTask:
    return create_task(ClassificationOptions(label_smoothing=0.0, dropout=0.0), classes, [])


def logits(*rows: tuple[float, ...]) -> list[np.ndarray]:
    return [np.array([row], np.float32) for row in rows]


def test_labels_become_targets() -> None:
    assert one("b", "a", "b").classes == ("a", "b")
    assert one("b", "a").targets(["b", "a"]).tolist() == [1, 0]
    several = create_task(SEVERAL, ["b; a", "c", " a "], ["c"])
    assert several.targets(["a;c", "b"]).tolist() == [[1, 0, 1], [0, 1, 0]]


def test_the_head_pools_the_states_of_each_clip() -> None:
    task = one("a", "b", "c")
    head, states, lengths = task.create(4, states_per_second=50), torch.randn(3, 9, 4), torch.tensor([9, 1, 5])
    outputs, steps = head(states, lengths)
    assert steps.tolist() == [1, 1, 1]
    for clip, length in enumerate(lengths.tolist()):
        pooled = torch.from_numpy(pool(states[clip, :length].numpy(), "thirds"))
        torch.testing.assert_close(outputs[clip, 0], head.linear(pooled))


def test_figures_of_known_answers() -> None:
    answers, truth = logits((1, 0), (1, 0), (0, 1), (3, 2)), ["a", "b", "b", "a"]
    accuracy, f1 = one("a", "b").figures(answers, truth, FIGURES)
    assert (accuracy.name, accuracy.value, accuracy.percent) == ("accuracy", 0.75, True)
    assert accuracy.low <= 0.75 <= accuracy.high
    assert f1.value == pytest.approx((0.8 + 2 / 3) / 2)
    assert f1.low < f1.value <= f1.high
    # All clips of a group have the same answer: ten clips of each say no more than one clip of each.
    clips, grouped = (
        one("a", "b").figures(answers * 20, truth * 20, FIGURES, names)[0] for names in ((), [*"stuvwxyz"] * 10)
    )
    assert clips.high - clips.low < 0.6 * (grouped.high - grouped.low)
    several = create_task(SEVERAL, ["a", "b"], [])
    precision, _ = several.figures(logits((2, -1), (1, 3), (-1, 2)), ["a", "a;b", "b"], FIGURES)
    assert (precision.name, precision.value) == ("mean average precision", 1.0)
    labels = ["a", "b", "b"]
    accuracy, _ = one(*labels).figures([one(*labels).constant(labels)] * 3, labels, FIGURES)
    assert accuracy.value == pytest.approx(2 / 3)


def test_rows_name_the_answer_and_all_probabilities() -> None:
    (row,) = one("a", "b").rows(logits((0, np.log(3))))
    assert row == {
        "label": "b",
        "probability": pytest.approx(0.75),
        "probability of a": pytest.approx(0.25),
        "probability of b": pytest.approx(0.75),
    }
    several = create_task(SEVERAL, ["a", "b", "c"], []).rows(logits((2, -2, 1), (-1, -1, -1)))
    assert [row["label"] for row in several] == ["a;c", ""]


@pytest.mark.parametrize("several", [False, True])
def test_outputs_of_a_ridge_probe_keep_the_order_of_its_values(several: bool) -> None:
    """Cut off at 0 and 1, all clips far from the border would have equal scores, and mean average precision suffer."""
    labels = ["a", "b"] * 20
    far = np.array([[(1 if label == "a" else -1) * (1 + number)] for number, label in enumerate(labels)], np.float32)
    candidates = {"noise": np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32), "far": far}
    rows = {"train": np.arange(20), "validation": np.arange(20, 30), "test": np.arange(30, 40)}
    task = create_task(SEVERAL, ["a", "b"], []) if several else one("a", "b")
    assert isinstance(task, PooledTask)
    outputs, chosen = task.probe(
        candidates,
        labels,
        rows,
        ProbeConfig(regularisation_strengths=4, classifier="ridge", feature_clipping=(100.0,)),
        threads=1,
    )
    assert chosen == "far"
    of_a = np.concatenate(outputs)[:, 0]
    assert len({*of_a.tolist()}) == 10
    assert np.array_equal(np.argsort(of_a), np.argsort(far[rows["test"], 0]))
    assert [row["label"] for row in task.rows(outputs)] == labels[30:]


LABELS = [str(number) for number in (10, 20, 30, 40, -5.5)]


def task(labels: list[str] = LABELS) -> RegressionTask:
    return create_task(RegressionOptions(dropout=0.0), labels, [])


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda: ClassificationOptions().require(["dog"] * 3), r"\b2 classes\b.*\b3 clips\b.*'dog'"),
        (lambda: create_task(ClassificationOptions(), ["dog", "cow"], ["dog", "cat"]), r"\b1 class\b.*\bcat\b"),
        (lambda: RegressionOptions().require(["3", "3.0"]), r"\b2\b.*\blabels\b.*\b3\b"),
        (lambda: RegressionOptions().require([]), "no recording"),
        (lambda: SequenceOptions().require(["7", "seven", "8"]), r"head=sequence.*\b2 labels\b.*'7'"),
        (lambda: SequenceOptions().require([]), "head=sequence.*no label"),
        (lambda: create_task(RegressionOptions(), LABELS, ["loud"]), "'loud'.*head=regression"),
        *(
            (lambda label=label: RegressionOptions().require([*LABELS, label]), rf"{label!r}.*head=regression")
            for label in ("nan", "-Infinity", "1,5", "", "1e999")
        ),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(ask: Callable[[], object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        ask()


@pytest.mark.parametrize("labels", [LABELS, [str(1_700_000_000 + number) for number in range(100)]])
def test_outputs_are_normalised_with_the_training_labels_however_large(labels: list[str]) -> None:
    targets = task(labels).targets(labels)
    assert float(targets.mean()) == pytest.approx(0, abs=1e-6)
    assert float(targets.std(correction=0)) == pytest.approx(1)
    rows = task(labels).rows(list(targets.numpy()[:, None, None]))
    assert [row["value"] for row in rows] == pytest.approx([float(label) for label in labels], abs=0.01)
    for label in ("7", "0.1", "1e300", "1700000000.7"):  # no deviation that is an error of rounding
        assert task([label] * 3).std == 1


def test_the_mean_explains_nothing_and_the_fit_to_equal_numbers_is_not_known() -> None:
    fit, error = task().figures([np.ones((1, 1), np.float32)] * 3, ["20"] * 3, FIGURES)
    assert (fit.plain["value"], fit.plain["low"], fit.plain["high"]) == (None, None, None)
    assert error.plain["value"] == pytest.approx(error.value)
    own = task()
    fit, error = own.figures([own.constant(LABELS)] * 5, LABELS, FIGURES)
    assert (fit.name, error.name) == ("R2", "mean absolute error")
    assert fit.value == pytest.approx(0, abs=1e-6)
    assert error.value == pytest.approx(np.abs(np.array(LABELS, float) - own.mean).mean(), rel=1e-6)
    assert error.low < error.value < error.high


def test_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, own = rng.normal(50, 10, 60), task()
    predicted = (truth + rng.normal(0, 5, 60)).astype(np.float32)
    outputs = [np.array([[(value - own.mean) / own.std]], np.float32) for value in predicted]
    fit, error = own.figures(outputs, [str(value) for value in truth], FIGURES)
    assert fit.value == pytest.approx(r2_score(truth, predicted), abs=1e-5)
    assert error.value == pytest.approx(mean_absolute_error(truth, predicted), abs=1e-4)
    assert fit.low < fit.value < fit.high


def test_a_ridge_probe_reads_a_linear_feature() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(80, 6)).astype(np.float32)
    values = features @ np.array([3, -1, 0, 0, 0, 2]) + 7
    labels, own = [str(value) for value in values], task([str(value) for value in values[:40]])
    rows = {"train": np.arange(40), "validation": np.arange(40, 60), "test": np.arange(60, 80)}
    candidates = {"noise": rng.normal(size=(80, 6)).astype(np.float32), "linear": features}
    assert isinstance(own, PooledTask)
    outputs, chosen = own.probe(
        candidates, labels, rows, ProbeConfig(regularisation_strengths=8, feature_clipping=(100.0,)), threads=1
    )
    assert chosen == "linear"
    fit, _ = own.figures(outputs, labels[60:], FIGURES)
    assert fit.value > 0.99


def text_task(*texts: str, beam_size: int = 0, rate: float = 50) -> SequenceTask:
    options = SequenceOptions(dropout=0.0, beam_size=beam_size, least_steps_per_second=rate)
    return create_task(options, texts, [])


def path(own: SequenceTask, steps: str) -> FloatArray:
    """Logits of one alignment; "-" is the blank."""
    outputs = np.zeros((len(steps), 1 + len(own.characters)), np.float32)
    outputs[np.arange(len(steps)), [0 if c == "-" else 1 + own.characters.index(c) for c in steps]] = 9
    return outputs


def test_texts_become_numbers_of_characters() -> None:
    own = text_task("Two  threes", "wet")
    assert "".join(own.characters) == " ehorstw"
    assert own.targets(["wet", "a tee"]).tolist() == [[8, 2, 7, 0], [1, 7, 2, 2]]  # "a" was never learned


def test_the_loss_is_the_logarithm_of_the_probability_of_all_alignments() -> None:
    own = text_task("ab")
    outputs = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    texts = ["ab", "bb"]
    summed, characters = own.loss(outputs, torch.tensor([5, 4]), own.targets(texts), training=True)
    wanted = [
        text_probabilities(outputs[clip, :steps].numpy(), own.characters)[text]
        for clip, (steps, text) in enumerate(zip((5, 4), texts, strict=True))
    ]
    assert characters == 4
    assert float(summed) == pytest.approx(-np.log(wanted).sum(), rel=1e-4)


def test_a_clip_without_room_for_its_text_does_not_spoil_a_batch() -> None:
    own = text_task("abb")
    outputs = torch.zeros(1, 3, 3, requires_grad=True)
    summed, characters = own.loss(outputs, torch.tensor([3]), own.targets(["abb"]), training=True)
    summed.backward()  # type: ignore[no-untyped-call]
    assert (float(summed.detach()), characters) == (0, 0)
    both = own.loss(outputs.detach().expand(2, 3, 3), torch.tensor([3, 3]), own.targets(["abb", "ab"]), training=False)
    assert both == own.loss(outputs.detach(), torch.tensor([3]), own.targets(["ab"]), training=False)
    assert bool(outputs.grad.isfinite().all())


def test_few_states_give_several_steps_each() -> None:
    own = text_task("ab", rate=50)
    head, states = own.create(6, states_per_second=20), torch.randn(2, 4, 6)
    outputs, steps = head(states, torch.tensor([4, 2]))
    assert outputs.shape == (2, 12, 3)
    assert steps.tolist() == [12, 6]
    torch.testing.assert_close(outputs[1, 3:6].flatten(), head.linear(states[1, 1]))


@pytest.mark.parametrize("text", ["ab", "a b"])
def test_beam_search_finds_the_most_probable_text(text: str) -> None:
    own = text_task(text)
    for seed in range(12):
        outputs = 2 * np.random.default_rng(seed).normal(size=(4, 1 + len(own.characters))).astype(np.float32)
        probable = text_probabilities(outputs, own.characters)
        (found,) = beam_search([outputs], own.characters, beam_size=200)
        assert found == max(probable, key=lambda text: probable[text]).strip()


def test_greedy_decoding_merges_repetitions_drops_blanks_and_adds_no_alignments() -> None:
    own = text_task("the re")
    outputs = [path(own, "-tth-re-ee-"), path(own, "---"), path(own, " t  h ")]
    assert [row["text"] for row in own.rows(outputs)] == ["three", "", "t h"]
    both = np.log(np.array([[0.6, 0.4], [0.6, 0.4]], np.float32))  # "": 0.36; "a": 0.64
    assert text_task("a", beam_size=10).rows([both]) == [{"text": "a", "greedy": ""}]


def test_the_error_rate_and_the_constant_answer_of_known_cases() -> None:
    rates = error_rates(["sitting", "cat"], ["kitten", "cat"])
    assert float(measure(rates)[0, 0]) == pytest.approx(3 / 9)
    texts = ["cat", "hat", "hut", "hat"]
    own = text_task(*texts)
    for labels, wanted in ((texts, "hat"), (["tt"], "tt")):
        assert [row["text"] for row in own.rows([own.constant(labels)])] == [wanted]


def test_figures_of_known_texts() -> None:
    own = text_task("kitens", beam_size=5)
    outputs = [path(own, "k-i-t-t-e-n"), path(own, "s-i-t")]
    greedy, beam, right = own.figures(outputs, ["KITTEN", "set"], FIGURES)
    assert [each.name for each in (greedy, beam)] == [
        "character error rate, greedy",
        "character error rate, beam search",
    ]
    assert greedy.value == beam.value == pytest.approx(1 / 9)
    assert right.value == 0.5
