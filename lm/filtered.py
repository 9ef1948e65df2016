"""The GPT as a filter of codes: what was heard, weighed by what was to be expected.

A code is a hard decision about a bottleneck that may lie between two centroids. A filter combines the evidence of the
sound with the prediction from the past, as Bayes' rule does with a prior::

    f(k) = o(k) q(k) / sum over j of o(j) q(j)

with o the soft assignment of the bottleneck to the centroids, and q the GPT's probability of each code before it is
heard.
"""

from torch import Tensor


def filtered(assigned: Tensor, predicted: Tensor) -> Tensor:
    """Combine assignments o and predictions q, both ``(..., codebook_size)``, to f of the same shape; rows sum to 1."""
    product = assigned * predicted
    return product / product.sum(-1, keepdim=True).clamp(min=1e-30)
