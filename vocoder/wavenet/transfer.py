"""Weights of a trained WaveNet for the codes of another tokenizer of the same front end.

A tokenizer normalises each mel band of a log-mel ``m`` by the mean and standard deviation of its own training
recordings. The trained network, the start, reads ``x = (m - mean) / std``; the new network reads
``x' = (m - mean') / std'``. Both are affine in the same ``m``::

    x = a x' + b,    a = std' / std,    b = (mean' - mean) / std

The first convolution over the frames is linear, so these weights compute from ``x'`` what the start's compute from
``x``::

    W'[:, band, tap] = a[band] W[:, band, tap]
    bias' = bias + sum over bands and taps of b[band] W[:, band, tap]

Nothing else depends on the tokenizer: a codebook, an autoencoder and the length of a patch are not part of the network.

Only frames beyond the ends of a clip differ. They are zeros for both networks, which are the average level of the
recordings of each. They reach ``condition_layers`` frames into a clip. Measured with a start of 250 steps on synthetic
voices, and 40 spoken digits at their own level, 20 dB quieter, 12 dB louder and noisy: the cross entropy of the first
and last 20 ms changed by -0.09 to +0.12 nats per sample, of 2 to 5, and mostly fell. So they stay zeros.

Start weights for every tokenizer, such as those in ``vocoder/universal``, read ``m`` itself: mean 0 and standard
deviation 1. Nothing is ever decoded with them: they are converted to the tokenizer of a run first, and the zeros beyond
the ends are then those of this run.
"""

import torch
from torch import Tensor

from vocoder.options import WaveNetConfig
from vocoder.wavenet.network import FrameConditions, WaveNet, create_wavenet

FIRST = "conditions.convolutions.0"
Statistics = tuple[Tensor, Tensor]  # mean and standard deviation of the log-mel of each mel band
GROUPS, PROJECTION = "conditions.groups.weight", "conditions.group_projection.weight"


def as_it_is(n_mels: int) -> Statistics:
    """Return the statistics of a network that reads log-mel as it is, of whatever recordings, without normalisation."""
    return torch.zeros(n_mels), torch.ones(n_mels)


@torch.no_grad()
def transferred(start: WaveNet, config: WaveNetConfig, *, known: Statistics, new: Statistics, seed: int) -> WaveNet:
    """Create a network for a tokenizer with the statistics ``new`` that computes what ``start`` does with ``known``.

    It computes what the start computes for a clip of an unknown group, the average of the start's groups, whatever the
    group. The projection of the groups of ``config`` begins at zero, and their vectors begin at random.

    ``config`` has the start's sizes and the condition ``meaning``; both tokenizers have the same front end.
    """
    model, trained = create_wavenet(config, seed=seed), start.conditions
    assert isinstance(trained, FrameConditions), "a vocoder is conditioned on codes"
    weights = start.state_dict()
    mean, std, own_mean, own_std = (each.double() for each in (*known, *new))
    filters, bias = (weights[f"{FIRST}.{name}"].double() for name in ("weight", "bias"))
    bands = filters[:, : config.n_mels]  # (channels, bands, taps); the inputs after them are positions within a code
    bias = bias + bands.sum(dim=2) @ ((own_mean - mean) / std)
    if start.config.groups:
        bias += trained.group_projection(trained.group_vectors(None, 1))[0].double()
    filters[:, : config.n_mels] = bands * (own_std / std)[:, None]
    weights |= {f"{FIRST}.weight": filters.float(), f"{FIRST}.bias": bias.float()}
    own = model.state_dict()
    for name in own:
        if name == PROJECTION:
            own[name] = torch.zeros_like(own[name])
        elif name != GROUPS:
            own[name] = weights[name]
    model.load_state_dict(own)
    return model
