"""The supervised encoder: targets, batches, and what it learns."""

from dataclasses import replace

import pytest
import torch

from lm.baselines.augmentation import AugmentationConfig, augmenting
from lm.baselines.clip_batches import ClipBatchConfig, ClipViews
from lm.baselines.encoder import ConvEncoderConfig
from lm.baselines.labelled_batches import LabelledBatch, LabelledBatches, validation_batches
from lm.baselines.supervised import ClassLoss, HeadConfig, class_scores, class_targets, create_classifier
from tests.lm.baselines.sounds import MELS, ridges
from wordless.base.errors import InputError

CLASSES = ("falls", "rises", "stays")
ENCODER = ConvEncoderConfig(channels=(8, 16), time_strides=(2, 2), mel_strides=(2, 2))
BATCHES = ClipBatchConfig(batch_size=12, max_frames=40, pool_batches=2)
CLIPS, NAMES = ridges(60)
TARGETS = class_targets(NAMES, CLASSES, multi_label=False)


def _batches(config: ClipBatchConfig = BATCHES, targets: torch.Tensor = TARGETS) -> LabelledBatches:
    light = AugmentationConfig(crop=0.9, speed=0.1, formant=0.05, mix=0.1, time_mask=0.1, mel_mask=0.1)
    views = ClipViews(CLIPS, config, augmenting(light, std=torch.ones(MELS)))
    return LabelledBatches(views=views, targets=targets)


def test_targets_are_the_places_of_the_classes() -> None:
    assert class_targets(["b", "a"], ("a", "b"), multi_label=False).tolist() == [1, 0]
    several = class_targets([("b", "a"), (), "b"], ("a", "b"), multi_label=True)
    assert several.tolist() == [[1, 1], [0, 0], [0, 1]]
    with pytest.raises(InputError, match=r"'c'.*\b2 classes"):
        class_targets(["c"], ("a", "b"), multi_label=False)
    with pytest.raises(InputError, match=r"\b2 labels"):
        class_targets([("a", "b")], ("a", "b"), multi_label=False)


def test_parts_of_augmented_batches_together_are_the_whole() -> None:
    whole, parts = _batches().batch(3, 0, 1), [_batches().batch(3, part, 2) for part in range(2)]
    for part, batch in enumerate(parts):
        assert batch.targets.tolist() == whole.targets[part::2].tolist()
        assert torch.equal(batch.inputs, whole.inputs[part::2, : batch.inputs.shape[1]])


def test_labels_are_smoothed_in_training_alone() -> None:
    """Training: 0.9 * -log p(class) + 0.1 * the mean of -log p over the three classes; validation: -log p(class)."""
    model = _Logits(torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    batch = LabelledBatch(inputs=torch.zeros(2, 1), lengths=torch.tensor([1, 1]), targets=torch.tensor([0, 2]))
    surprise = -model.logits.log_softmax(-1)
    plain = surprise[0, 0] + surprise[1, 2]
    total, clips = ClassLoss(label_smoothing=0.1)(model.train(), batch)
    torch.testing.assert_close(total, 0.9 * plain + 0.1 * surprise.mean(1).sum())
    assert clips == 2
    torch.testing.assert_close(ClassLoss(label_smoothing=0.1)(model.eval(), batch)[0], plain)


def test_the_loss_of_several_labels_is_the_mean_over_the_classes() -> None:
    """Of each class: -log p where the clip has it, -log (1 - p) where not; nothing is smoothed."""
    model = _Logits(torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]])).train()
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    batch = LabelledBatch(inputs=torch.zeros(2, 1), lengths=torch.tensor([1, 1]), targets=targets)
    probable = model.logits.sigmoid()
    wanted = -(probable[0, 0] * (1 - probable[0, 1]) * probable[0, 2]).log() / 3 - (1 - probable[1]).log().mean()
    total, clips = ClassLoss(label_smoothing=0.1)(model, batch)
    torch.testing.assert_close(total, wanted)
    assert clips == 2


class _Logits(torch.nn.Module):
    """A model whose answer is given."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.logits


@pytest.mark.parametrize("multi_label", [False, True])
def test_training_tells_what_a_ridge_does(multi_label: bool) -> None:
    targets = class_targets(NAMES, CLASSES, multi_label=multi_label)
    model = create_classifier(ENCODER, 3, HeadConfig(dropout=0.0), seed=0).train()
    batches, optimiser = _batches(targets=targets), torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(40):
        total, clips = ClassLoss(label_smoothing=0.1)(model, batches.batch(step, 0, 1))
        optimiser.zero_grad()
        (total / clips).backward()
        optimiser.step()
    new, names = ridges(30, seed=1)
    wanted = class_targets(names, CLASSES, multi_label=False)
    correct = 0
    with torch.no_grad():
        for batch in validation_batches(new, wanted, batch_size=10):
            scores = class_scores(model.eval()(batch.inputs, batch.lengths), multi_label=multi_label)
            assert multi_label or torch.allclose(scores.sum(1), torch.ones(len(scores)))
            correct += int((scores.argmax(1) == batch.targets).sum())
    assert correct >= 27


def test_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"head\.dropout\b.*\b1\b"):
        replace(HeadConfig(), dropout=1.0)
