"""What is frozen together with the first layers of a body."""

from torch import Tensor, nn

from lm.bodies.body import Body, BodyNetwork, freeze
from lm.finetuned import FineTunedNetwork


def require_frozen_before(count: int, body: Body, network: BodyNetwork, inputs: Tensor, lengths: Tensor) -> None:
    """Freeze ``count`` layers; all that computes before the next layer must have no trainable weight and no dropout."""
    freeze(network, count)
    FineTunedNetwork(network, nn.Identity(), body.reading).train()
    done: list[nn.Module] = []
    before: list[nn.Module] = []
    for module in network.modules():
        module.register_forward_hook(lambda module, *_: done.append(module))
    network.stack[1 + count].register_forward_pre_hook(lambda *_: before.extend(done))
    network(inputs, lengths)
    assert before
    assert not [module for module in before if module.training]
    assert not [module for module in before if any(weight.requires_grad for weight in module.parameters())]
    assert all(weight.requires_grad for layer in network.stack[1 + count :] for weight in layer.parameters())
