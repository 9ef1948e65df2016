"""The step of a `WaveNet` in PyTorch: its past in ring buffers (Paine et al. 2016, arXiv:1611.09482).

One step of all clips is the same small arithmetic again and again, so it is laid out for few calls::

    past of every layer  = one gather from the ring buffers, one batched product     (known before the step begins)
    each layer           = product of the present tap, tanh, gate, product of the residual
    all skip connections = one product

The faster engines are tested against this one.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from vocoder.wavenet.network import WaveNet


class StepWeights:
    """A model's weights in the layout of the step: transposed, layers stacked."""

    def __init__(self, model: WaveNet) -> None:
        residual, kept = model.config.residual_channels, len(model.residual)
        dilated = torch.stack(matrices(model.dilated))  # (L, taps * R, G)
        self.past = dilated[:, :-residual].contiguous()  # (L, (taps - 1) * R, G), oldest tap first
        self.present = dilated[:, -residual:].contiguous().unbind()  # L x (R, G)
        self.residual = torch.stack(matrices(model.residual)).unbind() if kept else ()
        self.embedding = model.embedding.weight
        self.skip, self.skip_bias = model.skip.weight.T.contiguous(), model.skip.bias
        self.hidden, self.hidden_bias = model.hidden.weight.T.contiguous(), model.hidden.bias
        self.output, self.output_bias = model.output.weight.T.contiguous(), model.output.bias


def matrices(layers: Iterable[nn.Module]) -> list[Tensor]:
    """Return the weights ``(inputs, outputs)`` of linear layers."""
    return [layer.weight.detach().T for layer in layers if isinstance(layer, nn.Linear)]


class Stepper:
    """The network one sample at a time: `step` maps the clips' last levels to the logits of their next levels.

    All changing state, also the time, is in tensors that are never reallocated, so that a step can be captured as a
    CUDA graph.
    """

    def __init__(self, model: WaveNet, width: int) -> None:
        config, device = model.config, model.embedding.weight.device
        self.weights = StepWeights(model)
        self.hop_length = config.hop_length
        self.time = torch.zeros(1, dtype=torch.int64, device=device)
        self.first_time = torch.zeros_like(self.time)
        self.conditions = torch.zeros(0, config.layers, width, config.gate_channels, device=device)
        self.inputs = torch.zeros(config.layers, width, config.residual_channels, device=device)
        self.gates = torch.zeros(config.layers, width, config.gate_channels, device=device)
        self.gated = torch.zeros(width, config.layers, config.gate_channels // 2, device=device)
        self.rings = _Rings(config.dilations, config.kernel_size - 1, self.inputs)
        # Views of the above, made once: L x (N, R), L x (N, G), twice L x (N, G / 2), L x (N, G / 2).
        self.layer_inputs, self.layer_gates = self.inputs.unbind(), self.gates.unbind()
        self.halves = [gates.chunk(2, dim=1) for gates in self.layer_gates]
        self.layer_gated = self.gated.unbind(1)

    def go_on(self, conditions: Tensor) -> bool:
        """Set the conditions of the next frames ``(width, frames, layers, gates)`` after all steps of previous frames.

        Returns whether the conditions are in the same memory as before.
        """
        turned = conditions.permute(1, 2, 0, 3)  # (N, F, L, G) -> (F, L, N, G)
        stays = len(turned) <= len(self.conditions)
        if stays:
            self.conditions[: len(turned)] = turned
        else:
            self.conditions = turned.contiguous()
        self.first_time.copy_(self.time)
        return stays

    def step(self, previous: Tensor) -> Tensor:
        """Compute logits ``(width, levels)`` from levels ``(width,)`` int64."""
        weights = self.weights
        torch.index_select(weights.embedding, 0, previous, out=self.layer_inputs[0])
        frame = (self.time - self.first_time).div_(self.hop_length, rounding_mode="floor")
        condition = self.conditions.index_select(0, frame)[0]  # (L, N, G)
        torch.baddbmm(condition, self.rings.read(self.time), weights.past, out=self.gates)
        self._layers()
        self.rings.write(self.time, self.inputs)
        self.time += 1
        skipped = torch.addmm(weights.skip_bias, self.gated.flatten(1), weights.skip).relu_()
        hidden = torch.addmm(weights.hidden_bias, skipped, weights.hidden).relu_()
        return torch.addmm(weights.output_bias, hidden, weights.output)

    def _layers(self) -> None:
        """Apply all layers; their gates already hold the contributions of past inputs and conditions."""
        weights, inputs, gated = self.weights, self.layer_inputs, self.layer_gated
        for layer, (gates, (a, b)) in enumerate(zip(self.layer_gates, self.halves, strict=True)):
            gates.addmm_(inputs[layer], weights.present[layer]).tanh_()
            torch.addcmul(a, a, b, out=gated[layer])
            if layer < len(weights.residual):
                torch.addmm(inputs[layer], gated[layer], weights.residual[layer], out=inputs[layer + 1])


class _Rings:
    """Past inputs of all layers, ring after ring in a single tensor, each as long as its layer's taps reach."""

    def __init__(self, dilations: Sequence[int], past_taps: int, like: Tensor) -> None:
        """Create rings of zeros for inputs of the shape and device of ``like (layers, batch, channels)``."""
        spacing = torch.tensor(dilations, device=like.device)
        self.lengths = spacing * past_taps
        self.starts = self.lengths.cumsum(0) - self.lengths
        self.delays = spacing.unsqueeze(1) * torch.arange(past_taps, 0, -1, device=like.device)  # (L, taps)
        self.past_taps = past_taps
        self.slots = like.new_zeros(int(self.lengths.sum()), *like.shape[1:])

    def read(self, time: Tensor) -> Tensor:
        """Read inputs of the past taps, oldest first, ``(layers, batch, taps * channels)``; zeros at first."""
        places = (time - self.delays).remainder_(self.lengths.unsqueeze(1)).add_(self.starts.unsqueeze(1))
        past = self.slots.index_select(0, places.flatten())  # (L * taps, N, R)
        if self.past_taps == 1:
            return past
        return past.view(-1, self.past_taps, *past.shape[1:]).transpose(1, 2).flatten(2)

    def write(self, time: Tensor, inputs: Tensor) -> None:
        """Write this step's inputs ``(layers, batch, channels)`` in place of the oldest."""
        self.slots.index_copy_(0, (time % self.lengths).add_(self.starts), inputs)
