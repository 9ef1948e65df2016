"""NT-Xent against loops, and a GPT whose states are contrasted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.batches import CodeSequences, TrainingBatches, loss, validation_batches
from lm.contrast import ContrastedGPT, ContrastedLoss, create_contrasted, nt_xent
from lm.gpt import create_gpt
from lm.options import BatchConfig, ContrastConfig, Interleaving
from lm.probing.vectors import pool
from lm.tokens import Vocabulary
from tests.lm.reference import nt_xent_by_loops
from tests.lm.tiny import TINY, random_codes
from wordless.base.errors import InputError

CONTRAST = ContrastConfig(hidden=16, dim=8, temperature=0.2)
VOCABULARY = Vocabulary(codebook_size=7, streams=3)
SEQUENCES = CodeSequences.of(
    [random_codes(length, streams=3, seed=10 * clip + view).values for view in range(2)]
    for clip, length in enumerate((5, 9, 20, 3, 14, 8))
)


@given(clips=st.lists(st.integers(0, 3), min_size=2, max_size=5), temperature=st.floats(0.1, 2))
def test_loss_is_that_of_the_formula(clips: list[int], temperature: float) -> None:
    vectors = torch.randn(2 * len(clips), 3, generator=torch.Generator().manual_seed(len(clips)))
    units = torch.nn.functional.normalize(vectors, dim=1)
    found, views = nt_xent(units, torch.tensor(clips), temperature=temperature)
    assert views == 2 * len(clips)
    assert float(found) == pytest.approx(nt_xent_by_loops(vectors.tolist(), clips, temperature), rel=1e-4, abs=1e-4)


def test_pairs_that_agree_and_differ_from_all_others_cost_nothing() -> None:
    axes = torch.eye(4)
    agreeing, _ = nt_xent(torch.cat([axes, axes]), torch.arange(4), temperature=0.01)
    crossed, _ = nt_xent(torch.cat([axes, axes.roll(1, 0)]), torch.arange(4), temperature=0.01)
    assert float(agreeing) == pytest.approx(0, abs=1e-3)
    assert float(crossed) > 100


def _contrasted(interleaving: Interleaving = "parallel") -> ContrastedGPT:
    gpt = create_gpt(replace(TINY, interleaving=interleaving, context=40), VOCABULARY, seed=0)
    return create_contrasted(gpt, CONTRAST, seed=0)


def _batches() -> TrainingBatches:
    config = BatchConfig(batch_size=8, random_inputs=0.0)
    return TrainingBatches(SEQUENCES, VOCABULARY, config, capacity=10, paired=True)


@pytest.mark.parametrize("interleaving", ["parallel", "flattening"])
@torch.no_grad()
def test_what_is_contrasted_is_the_states_from_which_codes_are_predicted(interleaving: Interleaving) -> None:
    model, batch = _contrasted(interleaving).eval(), _batches().batch(0, 0, 1)
    assert batch.pairs is not None
    codes = batch.pairs.lengths
    assert codes.tolist() == (batch.targets >= 0).sum(1).tolist()
    logits, vectors = model(batch.inputs, codes)
    torch.testing.assert_close(logits, model.gpt(batch.inputs))
    streams = 3 if interleaving == "parallel" else 1
    for row, (inputs, count) in enumerate(zip(batch.inputs, codes.tolist(), strict=True)):
        states = model.gpt.decoded(inputs[None, :count])[0]
        assert len(states) == count // streams  # of a row by itself, without padding
        projected = model.projection(torch.from_numpy(pool(states.numpy(), "thirds"))[None])
        torch.testing.assert_close(vectors[row], torch.nn.functional.normalize(projected[0], dim=0))


def test_what_is_minimised_is_the_loss_of_codes_and_views_and_what_is_told_that_of_codes() -> None:
    model, batch = _contrasted().eval(), _batches().batch(1, 0, 1)
    assert batch.pairs is not None
    _, vectors = model(batch.inputs, batch.pairs.lengths)
    contrast, views = nt_xent(vectors, batch.pairs.clips, temperature=0.2)
    alone, codes = loss(model.gpt, batch)
    together, counted = ContrastedLoss(weight=0.5, temperature=0.2)(model, batch)
    assert (views, counted) == (8, codes)
    torch.testing.assert_close(together, alone)
    sum_of_both = alone / codes + 0.5 * contrast / views
    weights = model.gpt.transformer.final_proj.weight
    gradients = [torch.autograd.grad(each, weights)[0] for each in (together / codes, sum_of_both)]
    torch.testing.assert_close(*gradients)


def test_validation_costs_codes_alone() -> None:
    model = _contrasted().eval()
    for batch in validation_batches(SEQUENCES, VOCABULARY, batch_size=4, capacity=10):
        objective = ContrastedLoss(weight=0.5, temperature=0.2)
        torch.testing.assert_close(objective(model, batch)[0], loss(model.gpt, batch)[0])


def test_training_brings_the_views_of_a_clip_together() -> None:
    rng = np.random.default_rng(0)
    halves = [rng.integers(3, size=(12, 1), dtype=np.int32) for _ in range(12)]
    clips = CodeSequences.of([half, half + 3] for half in halves)  # the same, as a voice without common codes says it
    vocabulary = Vocabulary(codebook_size=7, streams=1)
    gpt = create_gpt(replace(TINY, context=20), vocabulary, seed=0)
    model = create_contrasted(gpt, CONTRAST, seed=0).train()
    batches = TrainingBatches(
        clips, vocabulary, BatchConfig(batch_size=16, random_inputs=0.0), capacity=12, paired=True
    )
    optimiser, objective = torch.optim.Adam(model.parameters(), lr=1e-2), ContrastedLoss(weight=1, temperature=0.2)

    def contrast(step: int) -> float:
        """NT-Xent per view of a batch; log(15) where a clip's other view is as good as any other sequence."""
        batch = batches.batch(step, 0, 1)
        assert batch.pairs is not None
        with torch.no_grad():
            summed, views = nt_xent(model(batch.inputs, batch.pairs.lengths)[1], batch.pairs.clips, temperature=0.2)
        return float(summed) / views

    before = contrast(0)
    for step in range(60):
        summed, codes = objective(model, batches.batch(step, 0, 1))
        optimiser.zero_grad()
        (summed / codes).backward()  # type: ignore[no-untyped-call]  # torch's
        optimiser.step()
    assert contrast(60) < 0.5 * before


@pytest.mark.parametrize("name", ["hidden", "dim", "temperature"])
def test_sizes_are_positive(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name}\b.*\b0\b"):
        ContrastConfig(**{name: 0})
