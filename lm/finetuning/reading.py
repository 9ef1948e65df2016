"""How a body reads sound: the samples and inputs of a state, and windows for recordings longer than its context.

State ``s`` reads the inputs ``[s * inputs_per_state, (s + 1) * inputs_per_state + shared_inputs)``::

    inputs   |<- inputs_per_state ->|<- inputs_per_state ->|<- shared_inputs ->|
    state 0  [---------------------------------------------]                        shared_inputs: also of state 1
    state 1                         [------------------------------------------]

An input is a code, a frame or a sample. Windows overlap by half, as those of the language model (`lm.windows`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lm.windows import windows

Network = Callable[[Tensor, Tensor], Tensor]  # inputs (batch, time, ...) and lengths (batch,) -> (batch, states, dim)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a body reads sound."""

    sample_rate: int  # Hz
    samples_per_state: int
    window: int  # states that are read at once
    inputs_per_state: int = 1
    shared_inputs: int = 0  # by two neighbouring states
    rounded_up: bool = True  # whether an incomplete last state is read, too; its inputs are padded

    @property
    def states_per_second(self) -> float:
        """States per second of sound."""
        return self.sample_rate / self.samples_per_state

    @property
    def inputs_per_second(self) -> float:
        """Inputs per second of sound."""
        return self.inputs_per_state * self.states_per_second

    def num_states(self, num_inputs: int) -> int:
        """Count the states of a recording of ``num_inputs`` inputs."""
        own = num_inputs - self.shared_inputs
        return max(-(-own // self.inputs_per_state) if self.rounded_up else own // self.inputs_per_state, 1)

    def num_inputs(self, states: int) -> int:
        """Count the inputs that ``states`` neighbouring states read."""
        return states * self.inputs_per_state + self.shared_inputs

    def states_of(self, lengths: Tensor) -> Tensor:
        """Count the states of each clip of a batch, from its inputs ``(batch,)``."""
        return torch.tensor([self.num_states(length) for length in lengths.tolist()], device=lengths.device)


def read_states(network: Network, reading: Reading, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the states ``(batch, states, dim)`` of whole clips, and the number of states of each ``(batch,)``.

    Clips of more states than a window are read in windows; each state is computed once, with at least half a window
    before it.
    """
    counts = reading.states_of(lengths)
    longest = int(counts.max())
    if longest <= reading.window:
        return network(inputs, lengths), counts
    parts: list[Tensor] = []
    for window in windows(longest, reading.window):
        rows = (counts > window.counted).nonzero()[:, 0]  # clips that end earlier have no state here
        first, end = window.start * reading.inputs_per_state, reading.num_inputs(window.stop)
        ends = (lengths[rows] - first).clamp(max=end - first)
        found = network(inputs[rows, first:end], ends)[:, window.counted - window.start :]
        empty = found.new_zeros(len(inputs), window.stop - window.counted, found.shape[2])
        padded = nn.functional.pad(found, (0, 0, 0, empty.shape[1] - found.shape[1]))
        parts.append(empty.index_copy(0, rows, padded))
    return torch.cat(parts, dim=1), counts
