"""Weights, gradients and moments that are divided among the processes of a gang, by fairseq2's FSDP2.

Each process holds a share of each weight. The whole weights of a layer are gathered before the layer computes, and
freed after it (Zhao et al., "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel", 2023,
arXiv:2304.11277).
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

if TYPE_CHECKING:
    from fairseq2.gang import Gangs
    from fairseq2.nn.fsdp import FSDP2Module, FSDPWrapper


def shard(model: nn.Module, gangs: "Gangs", *, dtype: torch.dtype) -> "FSDP2Module":
    """Return a twin of a model whose weights are divided among the gang, each layer of a transformer on its own.

    The weights of ``model`` itself are freed, layer by layer; `gather` returns weights to it. ``dtype`` is the type of
    gathered weights; the shares and the sums of gradients stay float32.
    """
    from fairseq2.models.transformer_lm import TransformerLM
    from fairseq2.models.transformer_lm.fsdp import apply_fsdp_to_transformer_lm
    from fairseq2.nn.fsdp import to_fsdp2

    def divide(module: nn.Module, wrapper: "FSDPWrapper") -> nn.Module:
        def wrap(module: nn.Module, reshard_after_forward: bool | None = None) -> nn.Module:
            whole = [weight for weight in module.parameters() if not isinstance(weight, DTensor)]
            # Gathered weights that outlived a validation pass would be stale after the next change of the shares.
            wrapped = wrapper(module, reshard_after_forward=True)
            for weight in whole:
                weight.data = weight.new_empty(0)
            return wrapped

        for part in module.modules():
            if isinstance(part, TransformerLM):
                apply_fsdp_to_transformer_lm(part, "layer", wrap)
        return wrap(module)

    twin = deepcopy(model, {id(weight): weight for weight in model.parameters()})  # the modules, not the weights
    return to_fsdp2(twin, gangs, divide, mixed_precision_dtype=dtype, fp32_reduce=True)


def gather(weights: Mapping[str, Tensor], model: nn.Module, device: torch.device) -> None:
    """Give the model that `shard` emptied whole weights, from the shares of all processes; one weight at a time."""
    own = dict(model.named_parameters(remove_duplicate=False))
    buffers = dict(model.named_buffers(remove_duplicate=False))
    for name, value in weights.items():
        if name in own:
            own[name].data = gathered(value)
        else:
            buffers[name].data = value
    model.to(device)


def gathered(tensor: Tensor) -> Tensor:
    """Return a tensor whose shares all processes hold; each process must call this."""
    return tensor.full_tensor().clone() if isinstance(tensor, DTensor) else tensor  # shares may be padded


def share(tensor: Tensor) -> Tensor:
    """Return this process's share of a divided tensor, in the same memory; other tensors are returned as they are."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
