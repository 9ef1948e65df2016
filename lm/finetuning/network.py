"""The network of a fine-tuned model: a body and a head, and the loss that trains both."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lm.baselines.labelled_batches import LabelledBatch
from lm.finetuning.body import Body, BodyNetwork
from lm.finetuning.reading import Reading, read_states
from lm.finetuning.task import Task
from wordless.base.devices import copy_to


class FineTunedNetwork(nn.Module):
    """A body and a head. Frozen layers stay in evaluation mode: they have no dropout in training either."""

    def __init__(self, body: BodyNetwork, head: nn.Module, reading: Reading) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.reading = reading

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map inputs ``(batch, time, ...)`` of lengths ``(batch,)`` to ``(batch, steps, width)`` and their lengths."""
        outputs, steps = self.head(*read_states(self.body, self.reading, inputs, lengths))
        return outputs, steps

    def train(self, mode: bool = True) -> "FineTunedNetwork":
        """Change between training and evaluation."""
        super().train(mode)
        for part in (self.body, *self.body.layers):
            if not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        return self


def create_network(body: Body, network: BodyNetwork, task: Task, *, seed: int) -> FineTunedNetwork:
    """Put a head on the network of a body; the head's weights follow from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = task.create(body.dim, states_per_second=body.reading.states_per_second)
    return FineTunedNetwork(network, head, body.reading)


@dataclass(frozen=True, kw_only=True)
class TaskLoss:
    """The loss of a task for the training loop."""

    task: Task

    def __call__(self, model: nn.Module, batch: LabelledBatch) -> tuple[Tensor, int]:
        """Sum the loss over the items of the batch; also return their number."""
        outputs, steps = model(batch.inputs, copy_to(batch.lengths, batch.inputs.device))
        return self.task.loss(outputs.float(), steps, batch.targets, training=model.training)
