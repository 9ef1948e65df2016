"""Pre-training of wav2vec 2.0: hidden spans, batches, its loss, and the folder that it leaves."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import Wav2Vec2ForPreTraining

from lm.bodies.options import MaskConfig, TargetConfig, Wav2vec2Config
from lm.bodies.wav2vec2 import (
    MaskedBatch,
    MaskedLoss,
    MaskedPrediction,
    compare_with_targets,
    create_masked_prediction,
    draw_masks,
    draw_negatives,
    long_enough,
    masked_batches,
    measure_targets,
    predict,
    save_pretrained,
    transformers_config,
    validation_batches,
)
from tests import reference
from tests.lm.bodies.speech import BATCHES, RATE, SMALL, TARGETS, tones
from wordless.audio.speech_models.description import describe_speech_model
from wordless.audio.speech_models.encoder import load_speech_encoder, normalise
from wordless.base.errors import InputError
from wordless.base.values import build

FRAMES = np.array([40, 12, 25])
CONFIG = MaskConfig(share=0.5, length=5)


def test_spans_lie_within_their_clip_and_follow_from_the_seed() -> None:
    one, again, other = (draw_masks(FRAMES, CONFIG, seed=seed, least=1) for seed in (3, 3, 4))
    assert one.shape == (3, 40)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    for masked, frames in zip(one, FRAMES, strict=True):
        assert 5 <= masked.sum() <= frames
        assert not masked[frames:].any()


def test_numpys_own_generator_stays_as_it_was() -> None:
    np.random.seed(7)  # noqa: NPY002  # the generator in question
    wanted = np.random.rand()  # noqa: NPY002  # as above
    np.random.seed(7)  # noqa: NPY002  # as above
    draw_negatives(draw_masks(FRAMES, CONFIG, seed=0, least=1), 4, seed=0)
    assert np.random.rand() == wanted  # noqa: NPY002  # as above


def test_about_as_much_is_hidden_as_is_asked() -> None:
    shares = [draw_masks(np.full(20, 200), MaskConfig(share=0.2, length=4), seed=seed).mean() for seed in range(20)]
    assert 0.15 < np.mean(shares) < 0.2  # some spans overlap
    assert not draw_masks(FRAMES, MaskConfig(share=0.0), seed=0).any()


def test_clips_shorter_than_a_span() -> None:
    assert draw_masks(np.array([3, 2]), CONFIG, seed=0, least=1)[0].all()  # a span is as long as the longest clip
    assert not draw_masks(np.array([40, 3]), CONFIG, seed=0, least=1)[1].any()


def test_negatives_are_other_hidden_frames_of_the_clip() -> None:
    masked = draw_masks(FRAMES, CONFIG, seed=1, least=1)
    negatives = draw_negatives(masked, 30, seed=2)
    assert np.array_equal(negatives, draw_negatives(masked, 30, seed=2))
    for clip, frame in np.argwhere(masked):
        drawn = set(negatives[clip, frame].tolist())
        assert frame not in drawn
        assert drawn <= set(np.flatnonzero(masked[clip]).tolist())
    assert not negatives[~masked].any()


CLIPS, _ = tones(24)
LOSS = MaskedLoss(diversity_weight=TARGETS.diversity_weight)


def _clips(batch: MaskedBatch) -> Tensor:
    """Return the row of each masked frame's clip."""
    return batch.places // batch.masked.shape[1]


def _model() -> MaskedPrediction:
    return create_masked_prediction(SMALL, diversity_weight=TARGETS.diversity_weight, seed=0)


def test_parts_together_are_the_whole() -> None:
    batches = masked_batches(CLIPS, BATCHES, SMALL.convolutions, TARGETS, steps=10)
    whole, parts = batches.batch(3, 0, 1), [batches.batch(3, part, 3) for part in range(3)]
    for part, batch in enumerate(parts):
        rows, frames = slice(part, None, 3), batch.masked.shape[1]
        assert torch.equal(batch.lengths, whole.lengths[rows])
        assert torch.equal(batch.samples, whole.samples[rows, : batch.samples.shape[1]])
        assert torch.equal(batch.masked, whole.masked[rows, :frames])
        assert torch.equal(batch.places, batch.masked.flatten().nonzero()[:, 0])
        of_part = torch.arange(len(whole.lengths))[rows]
        assert torch.equal(batch.negatives, whole.negatives[torch.isin(_clips(whole), of_part)])
        assert frames == int(SMALL.convolutions.frames_of(batch.lengths).max())
    again = masked_batches(CLIPS, BATCHES, SMALL.convolutions, TARGETS, steps=10).batch(3, 0, 1)
    assert torch.equal(again.masked, whole.masked)
    assert not torch.equal(batches.batch(4, 0, 1).masked, whole.masked)


def test_the_temperature_falls_by_the_same_factor() -> None:
    batches = masked_batches(CLIPS, BATCHES, SMALL.convolutions, TARGETS, steps=4)
    assert [batches.batch(step, 0, 1).temperature for step in (0, 2)] == pytest.approx([2.0, 1.0])
    assert TARGETS.temperature_at(1.0) == pytest.approx(0.5)


def test_the_loss_is_that_of_transformers_for_each_clip_alone() -> None:
    """Padding changes nothing: loss and gradients of a batch are the sums over its clips."""
    model = _model().eval()
    theirs = Wav2Vec2ForPreTraining(transformers_config(SMALL)).eval()
    theirs.load_state_dict(model.model.state_dict())
    (batch, *_) = validation_batches(CLIPS, BATCHES, SMALL.convolutions, TARGETS)
    total, count = LOSS(model, batch)
    nats = list[Tensor]()
    for row, length in enumerate(batch.lengths.tolist()):
        frames = SMALL.convolutions.frames(length)
        negatives = torch.zeros(1, frames, TARGETS.negatives, dtype=torch.long)
        negatives[batch.masked[row : row + 1, :frames]] = batch.negatives[_clips(batch) == row]
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
    model = _model().train()
    weight = TARGETS.diversity_weight
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
    for each in (total, found.loss):
        each.backward()
    assert model.model.quantizer.weight_proj.weight.grad is not None
    _require_the_same_gradients(model.model, theirs)


def test_the_codes_of_targets_are_counted_as_transformers_counts_them() -> None:
    """The masked frames of the whole batch count, each once."""
    model = _model().eval()
    (batch, *_) = validation_batches(CLIPS, BATCHES, SMALL.convolutions, TARGETS)
    with torch.no_grad():
        found = predict(model, batch)
        features = model.model.wav2vec2(normalise(batch.samples, batch.lengths)).extract_features
        _, perplexity = model.model.quantizer(features, mask_time_indices=batch.masked)
    assert float(found.perplexity_share) * model.total_codes == pytest.approx(float(perplexity), rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_similarities_are_those_of_single_frames(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    masked = torch.rand(3, 9, generator=generator) < 0.6
    places = masked.flatten().nonzero()[:, 0]
    predicted = torch.randn(3, 9, 4, generator=generator).to(dtype)
    targets = (torch.randint(0, 2, (len(places), 4), generator=generator) + 0.5).to(dtype)  # some are equal
    negatives = torch.from_numpy(draw_negatives(masked.numpy(), 6, seed=0))[masked]
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        found = compare_with_targets(predicted, targets, places, negatives)
    wanted = reference.similarities_of_masked_frames(predicted.float(), targets.float(), masked, negatives)
    torch.testing.assert_close(found, wanted)  # in full precision in either case
    assert found[:, 1:].isinf().any()


def test_the_penalty_is_minimised_but_not_reported() -> None:
    model = _model().train()
    batch = masked_batches(CLIPS, BATCHES, SMALL.convolutions, TARGETS, steps=10).batch(0, 0, 1)
    reported, gradients = [], []
    for weight in (0.0, 5.0):
        torch.manual_seed(0)
        total, _ = MaskedLoss(diversity_weight=weight)(model, batch)
        model.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]  # torch's own
        reported.append(float(total.detach()))
        gradients.append(model.model.quantizer.weight_proj.weight.grad)
    assert reported[0] == pytest.approx(reported[1])
    assert not torch.allclose(*gradients)


def test_training_finds_the_hidden_frames_and_leaves_a_folder(tmp_path: Path) -> None:
    model = _model().train()
    batches = masked_batches(CLIPS, BATCHES, SMALL.convolutions, TARGETS, steps=60)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(60):
        torch.manual_seed(step)
        total, frames = LOSS(model, batches.batch(step, 0, 1))
        optimiser.zero_grad()
        (total / frames).backward()
        optimiser.step()
    model.eval()
    validation = validation_batches(tones(12, seed=1)[0], BATCHES, SMALL.convolutions, TARGETS)
    used = measure_targets(model, validation)
    assert used["accuracy"] > 2 / (1 + TARGETS.negatives)  # twice chance
    assert 1 <= used["perplexity"] <= used["codes"] == 16
    save_pretrained(model, tmp_path, sample_rate=RATE)
    described = describe_speech_model(tmp_path, option="weights")
    assert (described.name, described.sample_rate, described.layers, described.width) == ("wav2vec 2.0", RATE, 2, 16)
    assert described.convolutions.stride == SMALL.convolutions.stride == 80
    encoder = load_speech_encoder(tmp_path, option="weights")
    assert encoder.takes_padding
    again = Wav2Vec2ForPreTraining.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        found, wanted = (predict(each, validation[0]) for each in (MaskedPrediction(again), model))
        torch.testing.assert_close(found.similarities, wanted.similarities)


def test_accuracy_and_perplexity_of_targets_that_are_all_the_same() -> None:
    model = _model().eval()
    with torch.no_grad():
        model.model.quantizer.codevectors.zero_()
    (batch, *_) = validation_batches(CLIPS, BATCHES, SMALL.convolutions, TARGETS)
    assert measure_targets(model, [batch])["accuracy"] == 0.0


def test_clips_in_which_no_span_can_be_hidden_are_left_out() -> None:
    least = SMALL.convolutions.samples(TARGETS.least_frames)
    kept = long_enough(CLIPS, SMALL.convolutions, replace(TARGETS, masking=MaskConfig(share=0.5, length=15)))
    assert 0 < len(kept) < len(CLIPS)
    assert int(kept.lengths.min()) >= SMALL.convolutions.samples(16)
    assert len(long_enough(CLIPS, SMALL.convolutions, TARGETS)) == len(CLIPS)
    assert SMALL.convolutions.frames(least) == 4


def test_weights_follow_from_the_seed() -> None:
    one, again, other = (create_masked_prediction(SMALL, diversity_weight=0.1, seed=seed) for seed in (0, 0, 1))
    states = [torch.nn.utils.parameters_to_vector(each.parameters()) for each in (one, again, other)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, channels=9, heads=4, codes=3, layers=1, kernels=(4, 3, 2))])
def test_the_weights_are_counted_without_the_model(config: Wav2vec2Config) -> None:
    model = create_masked_prediction(config, diversity_weight=0.1, seed=0)
    assert config.parameters == sum(each.numel() for each in model.parameters())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 15}, r"width\b.*\b15\b.*\b2\b"),
        ({"layers": 0}, r"layers\b.*\b0\b"),
        ({"strides": (5, 4)}, r"\bstrides\b.*\[5, 4\].*\bkernels\b"),
        ({"dropout": 1.0}, r"dropout\b.*\b1\b"),
        ({"code_dim": 7}, r"code_dim\b.*\b7\b.*\b2\b"),
    ],
)
def test_sizes_that_cannot_be_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(Wav2vec2Config, json.loads(json.dumps({**asdict(SMALL), **values})), name="wav2vec2.model")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"masking": MaskConfig(share=0.0)}, "mask"),
        ({"masking": MaskConfig(length=1)}, r"masking\.length\b.*\b1\b.*\b2\b"),
        ({"negatives": 0}, r"negatives\b.*\b0\b"),
        ({"final_temperature": 0.0}, r"final_temperature\b.*\b0\b"),
        ({"diversity_weight": -math.inf}, r"diversity_weight\b.*-inf\b"),
    ],
)
def test_targets_that_cannot_be_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TargetConfig(**{"masking": MaskConfig(), **values})  # type: ignore[arg-type]  # what a user may give
