"""The supervised encoder: targets, batches, and what it learns."""

from dataclasses import replace

import pytest
import torch

from foundation.errors import InputError
from lm.baselines.augmentation import AugmentationConfig, augmenting
from lm.baselines.clip_batches import ClipBatchConfig, ClipViews
from lm.baselines.encoder import ConvEncoderConfig
from lm.baselines.supervised import (
    HeadConfig,
    LabelledBatches,
    class_scores,
    class_targets,
    create_classifier,
    loss,
    validation_clips,
)
from tests.lm.baselines.sounds import MELS, ridges

CLASSES = ("falls", "rises", "stays")
ENCODER = ConvEncoderConfig(channels=(8, 16), time_strides=(2, 2), mel_strides=(2, 2))
BATCHES = ClipBatchConfig(batch_size=12, max_frames=40, pool_batches=2)
CLIPS, NAMES = ridges(60)
TARGETS = class_targets(NAMES, CLASSES, multi_label=False)


def _batches(config: ClipBatchConfig = BATCHES, targets: torch.Tensor = TARGETS) -> LabelledBatches:
    light = AugmentationConfig(crop=0.9, speed=0.1, formant=0.05, mix=0.1, time_mask=0.1, mel_mask=0.1)
    views = ClipViews(CLIPS, config, augmenting(light, std=torch.ones(MELS)))
    return LabelledBatches(views=views, targets=targets, label_smoothing=0.1)


def test_targets_are_the_places_of_the_classes() -> None:
    assert class_targets(["b", "a"], ("a", "b"), multi_label=False).tolist() == [1, 0]
    several = class_targets([("b", "a"), (), "b"], ("a", "b"), multi_label=True)
    assert several.tolist() == [[1, 1], [0, 0], [0, 1]]
    with pytest.raises(InputError, match="the label 'c' is none of 2 classes"):
        class_targets(["c"], ("a", "b"), multi_label=False)
    with pytest.raises(InputError, match="a clip has 2 labels"):
        class_targets([("a", "b")], ("a", "b"), multi_label=False)


def test_parts_together_are_the_whole() -> None:
    whole, parts = _batches().batch(3, 0, 1), [_batches().batch(3, part, 2) for part in range(2)]
    for part, batch in enumerate(parts):
        assert batch.targets.tolist() == whole.targets[part::2].tolist()
        assert torch.equal(batch.inputs, whole.inputs[part::2, : batch.inputs.shape[1]])


def test_validation_holds_every_clip_once_as_it_is() -> None:
    batches = validation_clips(CLIPS, TARGETS, batch_size=16)
    assert sum(len(batch.targets) for batch in batches) == 60
    assert sorted(torch.cat([batch.lengths for batch in batches]).tolist()) == sorted(CLIPS.lengths.tolist())
    assert {batch.label_smoothing for batch in batches} == {0.0}


def test_batches_without_labels_are_refused() -> None:
    with pytest.raises(InputError, match="60 train clips and 10 labels"):
        _batches(targets=TARGETS[:10])
    with pytest.raises(InputError, match="0 validation clips"):
        validation_clips(CLIPS.of_rows([]), TARGETS[:0], batch_size=4)


@pytest.mark.parametrize("multi_label", [False, True])
def test_training_tells_what_a_ridge_does(multi_label: bool) -> None:
    targets = class_targets(NAMES, CLASSES, multi_label=multi_label)
    model = create_classifier(ENCODER, 3, HeadConfig(dropout=0.0), seed=0).train()
    batches, optimiser = _batches(targets=targets), torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(40):
        total, clips = loss(model, batches.batch(step, 0, 1))
        optimiser.zero_grad()
        (total / clips).backward()
        optimiser.step()
    new, names = ridges(30, seed=1)
    wanted = class_targets(names, CLASSES, multi_label=False)
    correct = 0
    with torch.no_grad():
        for batch in validation_clips(new, wanted, batch_size=10):
            scores = class_scores(model.eval()(batch.inputs, batch.lengths), multi_label=multi_label)
            assert multi_label or torch.allclose(scores.sum(1), torch.ones(len(scores)))
            correct += int((scores.argmax(1) == batch.targets).sum())
    assert correct >= 27


def test_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"head\.dropout is 1"):
        replace(HeadConfig(), dropout=1.0)
