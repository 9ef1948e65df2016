"""Drawing of a sample's level from the logits."""

import torch
from torch import Tensor

from vocoder.sampling import Sampling


def sample(logits: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
    """Draw levels ``(batch,)`` from logits ``(batch, levels)`` and uniform draws ``(batch, 1)`` in [0, 1)."""
    if sampling.temperature == 0:
        return logits.argmax(dim=1)
    probabilities = torch.softmax(logits / sampling.temperature, dim=1)
    if sampling.top_p < 1:
        probabilities = _nucleus(probabilities, sampling.top_p)
    cumulative = probabilities.cumsum(dim=1)
    levels = torch.searchsorted(cumulative, draws * cumulative[:, -1:], right=True)
    return levels.squeeze(1).clamp_(max=logits.shape[1] - 1)


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Set all but the most probable levels that reach ``top_p`` to zero; ties with the last of them are kept."""
    ranked = probabilities.sort(dim=1, descending=True).values
    before = ranked.cumsum(dim=1) - ranked
    least = torch.where(before < top_p, ranked, 1.0).amin(dim=1, keepdim=True)
    return torch.where(probabilities >= least, probabilities, 0.0)
