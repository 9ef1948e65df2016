"""Limiter of sound that is made louder: its peaks bend before they clip, sample by sample.

::

    out   0.9999 |             ......------
          KNEE   |         ..-'
                 |      .'          below the knee nothing changes
                 +----------------------- in
"""

import torch
from torch import Tensor

KNEE = 0.9  # of full scale
HIGHEST = 1 - 2**-14  # in 16 bits below full scale, so no sample counts as clipped


def limited(samples: Tensor) -> Tensor:
    """Bend magnitudes above the knee; the results are below full scale."""
    above, room = samples.abs() - KNEE, HIGHEST - KNEE
    bent = samples.sign() * (KNEE + room * torch.tanh(above / room))
    return torch.where(above > 0, bent, samples)
