"""Codes that the GPT filters, against a loop over time steps."""

from pathlib import Path

import numpy as np
import torch

from lm.filtered import filtered
from lm.gpt import GPTConfig
from lm.model import LanguageModel
from pipelines.stages.filtered import filtered_codes
from tests.pipelines.tiny import save_tokenizer
from tokenizer.assignments import soft_assignments
from tokenizer.codes import Codes
from tokenizer.encoder import Encoder


def test_a_filter_is_evidence_times_prediction() -> None:
    heard, expected = torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([[0.1, 0.1, 0.8]])
    wanted = torch.tensor([[0.05, 0.03, 0.16]]) / 0.24
    torch.testing.assert_close(filtered(heard, expected), wanted)
    assert torch.isfinite(filtered(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))).all()


def test_filtered_codes_are_what_a_loop_over_steps_finds(tmp_path: Path) -> None:
    tokenizer = save_tokenizer(tmp_path, seed=0, mels=8)  # two streams
    config = GPTConfig(model_dim=8, layers=1, heads=1, ffn_dim=16, context=17, dropout=0.0)
    model = LanguageModel.create(config, tokenizer.format, seed=0)
    bottlenecks = 0.3 * torch.randn(20, 2, 4, generator=torch.Generator().manual_seed(0))
    encoder = Encoder(folder=tmp_path / "tokenizer", root=tmp_path)
    found = torch.cat([*filtered_codes(encoder, model, bottlenecks.flatten(1))])  # several windows
    values = tokenizer.nearest(bottlenecks).to(torch.int32).numpy()
    evidence = soft_assignments(bottlenecks, tokenizer.codebooks)
    assert found.shape == evidence.shape == (20, 2, 8)
    for step in range(20):
        for stream in range(2):
            predicted = np.exp([_log_probability(model, values, step, stream, code) for code in range(8)])
            product = evidence[step, stream].numpy() * predicted
            np.testing.assert_allclose(found[step, stream], product / product.sum(), atol=1e-5)


def _log_probability(model: LanguageModel, values: np.ndarray, step: int, stream: int, code: int) -> float:
    """What the model gives to a code in the place of the one that was heard."""
    other = values.copy()
    other[step, stream] = code
    codes = Codes(values=other, num_samples=len(other) * model.format.samples_per_code, format=model.format)
    return float(model.log_probabilities(codes)[step, stream])
