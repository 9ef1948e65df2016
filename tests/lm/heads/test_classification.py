"""Classification: targets, batches, figures, rows, probes and what is refused."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from lm.bodies.augmentation import augment
from lm.bodies.clips import ClipViews, LabelledBatches
from lm.bodies.convolutional import ConvBody
from lm.bodies.options import AugmentationConfig, ClipBatchConfig, ConvEncoderConfig
from lm.finetuned import FineTunedModel, TaskLoss, create_network
from lm.finetuning import ClassificationOptions, FigureConfig
from lm.heads import ClassificationTask, PooledTask
from lm.options import ProbeConfig
from lm.probing.comparison import whole_groups
from lm.probing.vectors import pool
from tests.lm.bodies.sounds import MELS, ridges
from wordless.audio.options import SpectrogramConfig
from wordless.base.errors import InputError

CLASSES = ("falls", "rises", "stays")
ENCODER = ConvEncoderConfig(channels=(8, 16), time_strides=(2, 2), mel_strides=(2, 2))
BATCHES = ClipBatchConfig(batch_size=12, max_frames=40, pool_batches=2)
CLIPS, NAMES = ridges(60)
SEVERAL = ClassificationOptions(label_separator=";")
TARGETS = torch.tensor([CLASSES.index(name) for name in NAMES])


def _batches(config: ClipBatchConfig = BATCHES, targets: torch.Tensor = TARGETS) -> LabelledBatches:
    light = AugmentationConfig(crop=0.9, speed=0.1, formant=0.05, mix=0.1, time_mask=0.1, mel_mask=0.1)
    views = ClipViews(CLIPS, config, partial(augment, config=light, std=torch.ones(MELS)))
    return LabelledBatches(views=views, targets=targets)


def test_parts_of_augmented_batches_together_are_the_whole() -> None:
    whole, parts = _batches().batch(3, 0, 1), [_batches().batch(3, part, 2) for part in range(2)]
    for part, batch in enumerate(parts):
        assert batch.targets.tolist() == whole.targets[part::2].tolist()
        assert torch.equal(batch.inputs, whole.inputs[part::2, : batch.inputs.shape[1]])


def test_labels_are_smoothed_in_training_alone() -> None:
    """Training: 0.9 * -log p(class) + 0.1 * the mean of -log p over the three classes; validation: -log p(class)."""
    outputs, targets = torch.tensor([[[2.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]]), torch.tensor([0, 2])
    task = ClassificationOptions(label_smoothing=0.1).task(CLASSES, [])
    surprise = -outputs[:, 0].log_softmax(-1)
    plain = surprise[0, 0] + surprise[1, 2]
    total, clips = task.loss(outputs, torch.ones(2), targets, training=True)
    torch.testing.assert_close(total, 0.9 * plain + 0.1 * surprise.mean(1).sum())
    assert clips == 2
    torch.testing.assert_close(task.loss(outputs, torch.ones(2), targets, training=False)[0], plain)


def test_the_loss_of_several_labels_is_the_mean_over_the_classes() -> None:
    """Of each class: -log p where the clip has it, -log (1 - p) where not; nothing is smoothed."""
    outputs = torch.tensor([[[2.0, 0.0, -1.0]], [[0.0, 1.0, 3.0]]])
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    probable = outputs[:, 0].sigmoid()
    wanted = -(probable[0, 0] * (1 - probable[0, 1]) * probable[0, 2]).log() / 3 - (1 - probable[1]).log().mean()
    total, clips = SEVERAL.task(CLASSES, []).loss(outputs, torch.ones(2), targets, training=True)
    torch.testing.assert_close(total, wanted)
    assert clips == 2


@pytest.mark.parametrize("options", [ClassificationOptions(dropout=0.0), replace(SEVERAL, dropout=0.0)])
def test_training_tells_what_a_ridge_does(options: ClassificationOptions) -> None:
    task = options.task(CLASSES, [])
    body = ConvBody(encoder=ENCODER, audio=SpectrogramConfig(n_mels=MELS))
    model = create_network(body, body.create(seed=0), task, seed=0).train()
    batches, optimiser = _batches(targets=task.targets(NAMES)), torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(40):
        total, clips = TaskLoss(task=task)(model, batches.batch(step, 0, 1))
        optimiser.zero_grad()
        (total / clips).backward()
        optimiser.step()
    new, names = ridges(30, seed=1)
    outputs = FineTunedModel(model, body, "classification", task).outputs(new)
    found = [row["label"] for row in task.rows(outputs)]
    assert sum(label == name for label, name in zip(found, names, strict=True)) >= 27


FIGURES = FigureConfig(resamples=50)


def one(*classes: str) -> ClassificationTask:
    return ClassificationOptions(label_smoothing=0.0, dropout=0.0).task(classes, [])


def logits(*rows: tuple[float, ...]) -> list[np.ndarray]:
    return [np.array([row], np.float32) for row in rows]


def test_labels_become_targets() -> None:
    assert one("b", "a", "b").classes == ("a", "b")
    assert one("b", "a").targets(["b", "a"]).tolist() == [1, 0]
    several = SEVERAL.task(["b; a", "c", " a "], ["c"])
    assert several.targets(["a;c", "b"]).tolist() == [[1, 0, 1], [0, 1, 0]]
    assert several.strata(["a;c", "b"]).tolist() == [[True, False, True], [False, True, False]]


def test_one_class_and_unknown_classes_are_refused() -> None:
    with pytest.raises(InputError, match=r"\b2 classes\b.*\b3 clips\b.*'dog'"):
        ClassificationOptions().require(["dog"] * 3)
    with pytest.raises(InputError, match=r"\b1 class\b.*\bcat\b.*corpus\.split"):
        ClassificationOptions().task(["dog", "cow"], ["dog", "cat"])


def test_the_head_pools_the_states_of_each_clip() -> None:
    task = one("a", "b", "c")
    head, states, lengths = task.create(4, states_per_second=50), torch.randn(3, 9, 4), torch.tensor([9, 1, 5])
    outputs, steps = head(states, lengths)
    assert steps.tolist() == [1, 1, 1]
    for clip, length in enumerate(lengths.tolist()):
        pooled = torch.from_numpy(pool(states[clip, :length].numpy(), "thirds"))
        torch.testing.assert_close(outputs[clip, 0], head.linear(pooled))


def test_the_loss_is_the_cross_entropy_in_nats_with_smoothed_labels_in_training_alone() -> None:
    outputs = torch.tensor([[[2.0, 0.0]], [[0.0, 0.0]]])
    summed, clips = one("a", "b").loss(outputs, torch.ones(2), torch.tensor([0, 1]), training=True)
    assert clips == 2
    assert float(summed) == pytest.approx(np.log(1 + np.exp(-2)) + np.log(2))
    several = SEVERAL.task(["a", "b"], [])
    summed, clips = several.loss(outputs, torch.ones(2), torch.tensor([[1.0, 0.0], [1.0, 1.0]]), training=True)
    assert float(summed) == pytest.approx((np.log(1 + np.exp(-2)) + np.log(2)) / 2 + np.log(2))
    task = ClassificationOptions(label_smoothing=0.2).task(["a", "b"], [])
    outputs, targets = torch.tensor([[[4.0, 0.0]]]), torch.tensor([0])
    losses = [float(task.loss(outputs, torch.ones(1), targets, training=one)[0]) for one in (True, False)]
    assert losses[0] > losses[1] == pytest.approx(np.log(1 + np.exp(-4)), abs=1e-6)


def test_figures_of_known_answers() -> None:
    accuracy, f1 = one("a", "b").figures(logits((1, 0), (1, 0), (0, 1), (3, 2)), ["a", "b", "b", "a"], FIGURES)
    assert (accuracy.name, accuracy.value, accuracy.percent) == ("accuracy", 0.75, True)
    assert accuracy.low <= 0.75 <= accuracy.high
    assert f1.value == pytest.approx((0.8 + 2 / 3) / 2)
    assert f1.low < f1.value <= f1.high
    task = SEVERAL.task(["a", "b"], [])
    precision, _ = task.figures(logits((2, -1), (1, 3), (-1, 2)), ["a", "a;b", "b"], FIGURES)
    assert (precision.name, precision.value) == ("mean average precision", 1.0)
    task = one("a", "b", "b")
    accuracy, _ = task.figures([task.constant(["a", "b", "b"])] * 3, ["a", "b", "b"], FIGURES)
    assert accuracy.value == pytest.approx(2 / 3)


def test_many_groups_are_resampled_as_a_whole() -> None:
    """All clips of a group have the same answer, so ten clips of each say no more than one clip of each."""
    names = [f"speaker {number:02d}" for number in range(20)]
    right = [True, True, False, True] * 5
    outputs = logits(*((1.0, 0.0) if own else (0.0, 1.0) for own in right))
    single, _ = one("a", "b").figures(outputs, ["a"] * 20, FIGURES)
    clips, _ = one("a", "b").figures(outputs * 10, ["a"] * 200, FIGURES)
    grouped, _ = one("a", "b").figures(outputs * 10, ["a"] * 200, FIGURES, whole_groups(names * 10))
    assert (grouped.value, grouped.low, grouped.high) == pytest.approx((single.value, single.low, single.high))
    assert clips.high - clips.low < 0.6 * (grouped.high - grouped.low)
    assert whole_groups(names[:19] * 10) is None


def test_rows_name_the_answer_and_all_probabilities() -> None:
    (row,) = one("a", "b").rows(logits((0, np.log(3))))
    assert row == {
        "label": "b",
        "probability": pytest.approx(0.75),
        "probability of a": pytest.approx(0.25),
        "probability of b": pytest.approx(0.75),
    }
    several = SEVERAL.task(["a", "b", "c"], []).rows(logits((2, -2, 1), (-1, -1, -1)))
    assert [row["label"] for row in several] == ["a;c", ""]


@pytest.mark.parametrize("several", [False, True])
def test_outputs_of_a_ridge_probe_keep_the_order_of_its_values(several: bool) -> None:
    """Cut off at 0 and 1, all clips far from the border would have equal scores, and mean average precision suffer."""
    labels = ["a", "b"] * 20
    far = np.array([[(1 if label == "a" else -1) * (1 + number)] for number, label in enumerate(labels)], np.float32)
    rows = {"train": np.arange(20), "validation": np.arange(20, 30), "test": np.arange(30, 40)}
    task = SEVERAL.task(["a", "b"], []) if several else one("a", "b")
    assert isinstance(task, PooledTask)
    probed = task.probe({"far": far}, labels, rows, ProbeConfig(penalties=4, classifier="ridge"), threads=1)
    of_a = np.concatenate(probed.outputs)[:, 0]
    assert len({*of_a.tolist()}) == 10
    assert np.array_equal(np.argsort(of_a), np.argsort(far[rows["test"], 0]))
    assert [row["label"] for row in task.rows(probed.outputs)] == labels[30:]


def test_a_probe_answers_in_the_form_of_the_head() -> None:
    rng = np.random.default_rng(0)
    labels = ["a", "b"] * 20
    clear = np.array([[1.0 if label == "a" else -1.0] for label in labels]) + rng.normal(0, 0.1, (40, 1))
    candidates = {"noise": rng.normal(size=(40, 3)).astype(np.float32), "clear": clear.astype(np.float32)}
    rows = {"train": np.arange(20), "validation": np.arange(20, 30), "test": np.arange(30, 40)}
    task = one("a", "b")
    assert isinstance(task, PooledTask)
    probed = task.probe(candidates, labels, rows, ProbeConfig(penalties=4), threads=1)
    assert probed.chosen == "clear"
    assert [row["label"] for row in task.rows(probed.outputs)] == labels[30:]
