"""The step of a `WaveNet` in PyTorch: its past in ring buffers (Paine et al. 2016, arXiv:1611.09482).

One step of all clips is the same small arithmetic again and again, so it is laid out for few calls::

    past of every layer  = one gather from the ring buffers, one batched product     (known before the step begins)
    each layer           = product of the present tap, tanh, gate, product of the residual
    all skip connections = one product

It is what the faster engines are checked against.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from audio.threads import one_thread
from vocoder.mu_law import silence
from vocoder.sampling import Sampling, sample
from vocoder.wavenet import WaveNet

# A clip must not depend on its company, but narrow products round differently from wide ones: with MKL rows were
# equal to the last bit from 4 rows on. So a clip alone has three silent companions, for up to a third of its speed.
NARROWEST = 4


class StepWeights:
    """A model's weights as the step uses them: transposed, layers stacked."""

    def __init__(self, model: WaveNet) -> None:
        residual, kept = model.config.residual_channels, len(model.residual)
        dilated = torch.stack([layer.weight.T for layer in _linears(model.dilated)])  # (L, taps * R, G)
        self.past = dilated[:, :-residual].contiguous()  # (L, (taps - 1) * R, G), oldest tap first
        self.present = dilated[:, -residual:].contiguous().unbind()  # L x (R, G)
        self.residual = torch.stack([layer.weight.T for layer in _linears(model.residual)]).unbind() if kept else ()
        self.embedding = model.embedding.weight
        self.skip, self.skip_bias = model.skip.weight.T.contiguous(), model.skip.bias
        self.hidden, self.hidden_bias = model.hidden.weight.T.contiguous(), model.hidden.bias
        self.output, self.output_bias = model.output.weight.T.contiguous(), model.output.bias


def _linears(layers: torch.nn.ModuleList) -> list[torch.nn.Linear]:
    return [layer for layer in layers if isinstance(layer, torch.nn.Linear)]


class Stepper:
    """The network one sample at a time; `step` takes the clips' last levels and returns the logits of their next ones.

    Args:
        model: the network, in evaluation mode.
        conditions: of the first frames, ``(batch, frames, layers, gates)``, as `FrameConditions` gives them.
    """

    def __init__(self, model: WaveNet, conditions: Tensor) -> None:
        config, batch, device = model.config, len(conditions), conditions.device
        self.weights = StepWeights(model)
        self.hop_length = config.hop_length
        self.time = 0
        self.go_on(conditions)
        self.inputs = torch.zeros(config.layers, batch, config.residual_channels, device=device)
        self.gates = torch.zeros(config.layers, batch, config.gate_channels, device=device)
        self.gated = torch.zeros(batch, config.layers, config.gate_channels // 2, device=device)
        self.rings = _Rings(config.dilations, config.kernel_size - 1, self.inputs)
        # Views of the above, made once: L x (N, R), L x (N, G), twice L x (N, G / 2), L x (N, G / 2).
        self.layer_inputs, self.layer_gates = self.inputs.unbind(), self.gates.unbind()
        self.halves = [gates.chunk(2, dim=1) for gates in self.layer_gates]
        self.layer_gated = self.gated.unbind(1)

    def go_on(self, conditions: Tensor) -> None:
        """Take the conditions of the next frames ``(batch, frames, layers, gates)``; all before have been stepped."""
        self.conditions = conditions.permute(1, 2, 0, 3).contiguous()  # (N, F, L, G) -> (F, L, N, G)
        self.first_time = self.time

    def step(self, previous: Tensor) -> Tensor:
        """Levels ``(batch,)`` int64 -> logits ``(batch, levels)``."""
        weights = self.weights
        torch.index_select(weights.embedding, 0, previous, out=self.layer_inputs[0])
        condition = self.conditions[(self.time - self.first_time) // self.hop_length]  # (L, N, G)
        torch.baddbmm(condition, self.rings.read(self.time), weights.past, out=self.gates)
        self._layers()
        self.rings.write(self.time, self.inputs)
        self.time += 1
        skipped = torch.addmm(weights.skip_bias, self.gated.flatten(1), weights.skip).relu_()
        hidden = torch.addmm(weights.hidden_bias, skipped, weights.hidden).relu_()
        return torch.addmm(weights.output_bias, hidden, weights.output)

    def _layers(self) -> None:
        """All layers one after the other; their gates hold already what their pasts and conditions add."""
        weights, inputs, gated = self.weights, self.layer_inputs, self.layer_gated
        for layer, (gates, (a, b)) in enumerate(zip(self.layer_gates, self.halves, strict=True)):
            gates.addmm_(inputs[layer], weights.present[layer]).tanh_()
            torch.addcmul(a, a, b, out=gated[layer])
            if layer < len(weights.residual):
                torch.addmm(inputs[layer], gated[layer], weights.residual[layer], out=inputs[layer + 1])


class _Rings:
    """Past inputs of all layers, ring after ring in a single tensor, each as long as its layer's taps reach."""

    def __init__(self, dilations: Sequence[int], past_taps: int, like: Tensor) -> None:
        """Rings of zeros for inputs of the shape and device of ``like (layers, batch, channels)``."""
        spacing = torch.tensor(dilations, device=like.device)
        self.lengths = spacing * past_taps
        self.starts = self.lengths.cumsum(0) - self.lengths
        self.delays = spacing.unsqueeze(1) * torch.arange(past_taps, 0, -1, device=like.device)  # (L, taps)
        self.past_taps = past_taps
        self.slots = like.new_zeros(int(self.lengths.sum()), *like.shape[1:])

    def read(self, time: int) -> Tensor:
        """Inputs of the past taps, oldest first, ``(layers, batch, taps * channels)``; zeros before the beginning."""
        places = (time - self.delays).remainder_(self.lengths.unsqueeze(1)).add_(self.starts.unsqueeze(1))
        past = self.slots.index_select(0, places.flatten())  # (L * taps, N, R)
        if self.past_taps == 1:
            return past
        return past.view(-1, self.past_taps, *past.shape[1:]).transpose(1, 2).flatten(2)

    def write(self, time: int, inputs: Tensor) -> None:
        """Keep this step's inputs ``(layers, batch, channels)`` in place of the oldest."""
        self.slots.index_copy_(0, (time % self.lengths).add_(self.starts), inputs)


@dataclass(frozen=True, kw_only=True, eq=False)
class StepperState:
    """All that the next step depends on but for its conditions."""

    slots: Tensor
    time: int
    previous: Tensor


class TorchStreams:
    """Clips side by side, one step after another in PyTorch: the oracle of the engines, on any device."""

    def __init__(self, model: WaveNet, clips: int) -> None:
        self.clips, self.width = clips, max(clips, NARROWEST)
        config, device = model.config, model.embedding.weight.device
        self.stepper = Stepper(model, torch.zeros(self.width, 0, config.layers, config.gate_channels, device=device))
        self.previous = torch.full((self.width,), silence(levels=config.levels), device=device)

    def advance(self, conditions: Tensor, given: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
        """See `vocoder.engines.Streams`."""
        device, levels = conditions.device, torch.empty_like(given)
        self.stepper.go_on(self._filled(conditions))
        given_here, draws_here = (self._filled(each).T.to(device) for each in (given, draws))  # (steps, width)
        made = torch.empty_like(given_here)
        with one_thread():
            for step, (wanted, draw) in enumerate(zip(given_here, draws_here, strict=True)):
                drawn = sample(self.stepper.step(self.previous), draw.unsqueeze(1), sampling)
                self.previous = torch.where(wanted < 0, drawn, wanted)
                made[step] = self.previous
        levels[:] = made.T[: self.clips]
        return levels

    def score(self, conditions: Tensor, given: Tensor) -> Tensor:
        """See `vocoder.engines.Streams`."""
        self.stepper.go_on(self._filled(conditions))
        logits = []
        with one_thread():
            for wanted in self._filled(given).T.to(conditions.device):
                logits.append(self.stepper.step(self.previous)[: self.clips])
                self.previous = wanted
        return torch.stack(logits, dim=1).cpu()

    def state(self) -> StepperState:
        """See `vocoder.engines.Streams`."""
        return StepperState(slots=self.stepper.rings.slots.clone(), time=self.stepper.time, previous=self.previous)

    def restore(self, state: StepperState) -> None:
        """See `vocoder.engines.Streams`."""
        self.stepper.rings.slots.copy_(state.slots)
        self.stepper.time, self.previous = state.time, state.previous

    def _filled(self, rows: Tensor) -> Tensor:
        """Rows of zeros for the silent companions: ``(clips, ...)`` -> ``(width, ...)``."""
        return pad(rows, (0, 0) * (rows.dim() - 1) + (0, self.width - self.clips))
