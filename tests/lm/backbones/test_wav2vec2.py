"""wav2vec 2.0: pre-training, and speech models as classifiers and as backbones."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForAudioClassification, Wav2Vec2ForPreTraining

from lm.backbones.clips import WaveformAugmentationConfig
from lm.backbones.wav2vec2 import (
    MaskConfig,
    MaskedBatch,
    MaskedBatches,
    MaskedPrediction,
    create_masked_prediction,
    draw_masks,
    draw_negatives,
    masked_loss,
    save_pretrained,
    speech_source,
    transformers_config,
    validation_batches,
)
from lm.finetuned import FineTunedModel, create_network, freeze
from lm.finetuning import ClassificationOptions
from lm.heads import ClassificationTask
from pipelines.backbones.wav2vec2_backbone import Wav2vec2FinetuneSettings
from tests.lm.backbones.sounds import BATCHES, RATE, SMALL, TARGETS, tones
from tests.wordless.audio.speech_models.checkpoints import KINDS, save_checkpoint
from wordless.audio.speech_models import SpeechModel, normalise
from wordless.base.messages import InputError

FRAMES = np.array([40, 12, 25])
CONFIG = MaskConfig(share=0.5, length=5)


def test_spans_lie_within_their_clip_and_follow_from_the_seed() -> None:
    one, again, other = (draw_masks(FRAMES, CONFIG, seed=seed, least=1) for seed in (3, 3, 4))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    for masked, frames in zip(one, FRAMES, strict=True):
        assert 5 <= masked.sum() <= frames
        assert not masked[frames:].any()


def test_about_as_much_is_hidden_as_is_asked_also_of_short_clips() -> None:
    shares = [draw_masks(np.full(20, 200), MaskConfig(share=0.2, length=4), seed=seed).mean() for seed in range(20)]
    assert 0.15 < np.mean(shares) < 0.2  # some spans overlap
    assert not draw_masks(FRAMES, MaskConfig(share=0.0), seed=0).any()
    for frames, row, masked in (([3, 2], 0, True), ([40, 3], 1, False)):  # a span is as long as the longest clip
        assert (draw_masks(np.array(frames), CONFIG, seed=0, least=1)[row, : frames[row]] == masked).all()


def test_negatives_are_other_hidden_frames_of_the_clip() -> None:
    masked = draw_masks(FRAMES, CONFIG, seed=1, least=1)
    negatives = draw_negatives(masked, 30, seed=2)
    assert np.array_equal(negatives, draw_negatives(masked, 30, seed=2))
    for clip, frame in np.argwhere(masked):
        drawn = set(negatives[clip, frame].tolist())
        assert frame not in drawn
        assert drawn <= set(np.flatnonzero(masked[clip]).tolist())
    assert not negatives[~masked].any()


CLIPS = tones(24)
LOSS = partial(masked_loss, diversity_weight=TARGETS.diversity_weight)


def _predict(model: MaskedPrediction, batch: MaskedBatch) -> tuple[Tensor, Tensor]:
    found = model(batch.samples, batch.lengths, batch.masked, batch.places, batch.negatives, batch.temperature)
    return found[0], found[1]


def test_parts_together_are_the_whole() -> None:
    batches = MaskedBatches(CLIPS, BATCHES, SMALL.convolutions, TARGETS, steps=10)
    whole, parts = batches.batch(3, 0, 1), [batches.batch(3, part, 3) for part in range(3)]
    for part, batch in enumerate(parts):
        rows, frames = slice(part, None, 3), batch.masked.shape[1]
        assert torch.equal(batch.lengths, whole.lengths[rows])
        assert torch.equal(batch.samples, whole.samples[rows, : batch.samples.shape[1]])
        assert torch.equal(batch.masked, whole.masked[rows, :frames])
        assert torch.equal(batch.places, batch.masked.flatten().nonzero()[:, 0])
        of_part = torch.isin(whole.places // whole.masked.shape[1], torch.arange(len(whole.lengths))[rows])
        assert torch.equal(batch.negatives, whole.negatives[of_part])
        assert frames == int(SMALL.convolutions.frames_of(batch.lengths).max())
    again = MaskedBatches(CLIPS, BATCHES, SMALL.convolutions, TARGETS, steps=10).batch(3, 0, 1)
    assert torch.equal(again.masked, whole.masked)
    assert not torch.equal(batches.batch(4, 0, 1).masked, whole.masked)


def test_the_temperature_falls_by_the_same_factor() -> None:
    batches = MaskedBatches(CLIPS, BATCHES, SMALL.convolutions, TARGETS, steps=4)
    assert [batches.batch(step, 0, 1).temperature for step in (0, 2)] == pytest.approx([2.0, 1.0])
    assert TARGETS.temperature_at(1.0) == pytest.approx(0.5)


def test_the_loss_is_that_of_transformers_for_each_clip_alone() -> None:
    """Padding changes nothing: loss and gradients of a batch are the sums over its clips."""
    model, batch = validated()
    theirs = Wav2Vec2ForPreTraining(transformers_config(SMALL)).eval()
    theirs.load_state_dict(model.model.state_dict())
    total, count = LOSS(model, batch)
    nats = list[Tensor]()
    for row, length in enumerate(batch.lengths.tolist()):
        frames = SMALL.convolutions.frames(length)
        negatives = torch.zeros(1, frames, TARGETS.negatives, dtype=torch.long)
        negatives[batch.masked[row : row + 1, :frames]] = batch.negatives[batch.places // batch.masked.shape[1] == row]
        found = theirs(
            normalise(batch.samples[row : row + 1, :length], batch.lengths[row : row + 1]),
            mask_time_indices=batch.masked[row : row + 1, :frames],
            sampled_negative_indices=negatives,
        )
        nats.append(found.contrastive_loss)
    assert count == int(batch.masked.sum())
    assert float(total.detach()) == pytest.approx(sum(float(each.detach()) for each in nats), rel=1e-4)
    for each in (total, torch.stack(nats).sum()):
        each.backward()  # type: ignore[no-untyped-call]  # torch's own
    _require_the_same_gradients(model.model, theirs)


def _require_the_same_gradients(ours: Wav2Vec2ForPreTraining, theirs: Wav2Vec2ForPreTraining) -> None:
    found, wanted = (
        {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
        for model in (ours, theirs)
    )
    assert {*found} == {*wanted}
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-4, rtol=1e-3)


def test_training_minimises_the_loss_of_transformers() -> None:
    """With the penalty, and with targets that the Gumbel softmax draws: one clip whose frames are all masked."""
    model, weight = validated()[0].train(), TARGETS.diversity_weight
    theirs = Wav2Vec2ForPreTraining(transformers_config(SMALL, diversity_weight=weight)).train()
    theirs.load_state_dict(model.model.state_dict())
    samples, lengths = torch.randn(1, 1500, generator=torch.Generator().manual_seed(0)), torch.tensor([1500])
    masked = torch.ones(1, SMALL.convolutions.frames(1500), dtype=torch.bool)
    negatives = torch.from_numpy(draw_negatives(masked.numpy(), TARGETS.negatives, seed=0))
    batch = MaskedBatch(
        samples=samples,
        lengths=lengths,
        masked=masked,
        places=masked.flatten().nonzero()[:, 0],
        negatives=negatives[0],
        temperature=1.5,
    )
    theirs.set_gumbel_temperature(1.5)  # type: ignore[arg-type]  # it takes any number
    torch.manual_seed(0)
    total, _ = LOSS(model, batch)
    torch.manual_seed(0)
    found = theirs(normalise(samples, lengths), mask_time_indices=masked, sampled_negative_indices=negatives)
    assert float(total.detach()) == pytest.approx(float(found.contrastive_loss.detach()), rel=1e-4)  # without penalty
    for each in (total, found.loss):
        each.backward()
    assert model.model.quantizer.weight_proj.weight.grad is not None
    _require_the_same_gradients(model.model, theirs)


def validated() -> tuple[MaskedPrediction, MaskedBatch]:
    """A model that is not trained, and the first batch of validation."""
    model = create_masked_prediction(SMALL, diversity_weight=TARGETS.diversity_weight, seed=0).eval()
    return model, validation_batches(CLIPS, BATCHES, SMALL.convolutions, TARGETS)[0]


def test_the_codes_of_targets_are_counted_as_transformers_counts_them() -> None:
    """The masked frames of the whole batch count, each once."""
    model, batch = validated()
    with torch.no_grad():
        _, share = _predict(model, batch)
        features = model.model.wav2vec2(normalise(batch.samples, batch.lengths)).extract_features
        _, perplexity = model.model.quantizer(features, mask_time_indices=batch.masked)
    assert float(share) * 16 == pytest.approx(float(perplexity), rel=1e-4)  # two groups of 8 codes


def test_a_saved_model_is_a_folder_of_transformers(tmp_path: Path) -> None:
    model, batch = validated()
    save_pretrained(model, tmp_path, sample_rate=RATE)
    described = SpeechModel.of_folder(tmp_path, option="weights")
    assert (described.name, described.sample_rate, described.layers, described.width) == ("wav2vec 2.0", RATE, 2, 16)
    assert described.convolutions.stride == SMALL.convolutions.stride == 80
    again = MaskedPrediction(Wav2Vec2ForPreTraining.from_pretrained(tmp_path).eval())
    with torch.no_grad():
        torch.testing.assert_close(_predict(again, batch), _predict(model, batch))


def _classifier(folder: Path, *, freeze_inputs: bool = True, seed: int = 0) -> FineTunedModel:
    source = speech_source(folder, masking=MaskConfig(share=0.2, length=3))
    options = ClassificationOptions(pooling="mean", dropout=0.0, label_smoothing=0.0)
    task = ClassificationTask(options=options, classes=("high", "low"), projected=24)
    network = create_network(source.backbone, source.create(seed=seed), task, seed=seed)
    freeze(network.backbone, "inputs" if freeze_inputs else 0)
    return FineTunedModel(network, source.backbone, task)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_that_is_trained_gets_a_gradient(kind: str, tmp_path: Path) -> None:
    """Processes that train together wait for the gradient of each."""
    save_checkpoint(tmp_path, kind)
    samples, lengths = torch.randn(2, 1200), torch.tensor([1200, 700])
    for frozen in (True, False):
        model = _classifier(tmp_path, freeze_inputs=frozen).network.train()
        torch.manual_seed(0)
        model(samples, lengths)[0].sum().backward()
        without = [name for name, each in model.named_parameters() if each.requires_grad and each.grad is None]
        assert not without
        kept = {name.split(".")[2] for name, each in model.named_parameters() if not each.requires_grad}
        assert kept == ({"feature_extractor", "masked_spec_embed"} if frozen else {"masked_spec_embed"})


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert"])
def test_the_head_begins_as_that_of_transformers(kind: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, kind)
    torch.manual_seed(3)
    theirs = AutoModelForAudioClassification.from_pretrained(tmp_path, classifier_proj_size=24, mask_time_prob=0.5)
    head = _classifier(tmp_path, seed=3).network.head.state_dict()
    for name, layer in (("projection", theirs.projector), ("linear", theirs.classifier)):
        assert torch.equal(head[f"{name}.weight"], layer.weight)
        assert torch.equal(head[f"{name}.bias"], layer.bias)


def test_frames_are_masked_in_training_alone(tmp_path: Path) -> None:
    save_checkpoint(tmp_path)
    options = Wav2vec2FinetuneSettings(masking=MaskConfig(share=0.5, length=2), weights=str(tmp_path))
    network = options.open({}).create(seed=0)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    samples, lengths, found = torch.randn(2, 4800), torch.tensor([3200, 4800]), list[Tensor]()
    for training in (False, True, True):
        torch.manual_seed(0)
        found.append(network.train(training)(samples, lengths)[0])
    torch.testing.assert_close(found[1], found[2])
    assert not torch.allclose(found[0], found[1], atol=1e-3)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: replace(SMALL, width=15), r"width\b.*\b15\b.*\b2\b"),
        (lambda: replace(SMALL, strides=(5, 4)), r"\bstrides\b.*\[5, 4\].*\bkernels\b"),
        (lambda: replace(SMALL, code_dim=7), r"code_dim\b.*\b7\b.*\b2\b"),
        (lambda: replace(TARGETS, masking=MaskConfig(share=0.0)), "mask"),
        (lambda: replace(TARGETS, masking=MaskConfig(length=1)), r"masking\.length\b.*\b1\b.*\b2\b"),
        (lambda: Wav2vec2FinetuneSettings(augmentation=WaveformAugmentationConfig(crop=0.9)), r"crop\b.*\b0\.9\b"),
    ],
)
def test_options_that_cannot_be_are_refused(make: Callable[[], object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        make()
