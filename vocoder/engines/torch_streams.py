"""The PyTorch engine: the step of a `WaveNet` in a loop, on any device.

The past is in ring buffers (Paine et al. 2016, arXiv:1611.09482). One step of all clips is the same small arithmetic
again and again, so it is laid out for few calls::

    past of every layer  = one gather from the ring buffers, one batched product     (known before the step begins)
    each layer           = product of the present tap, tanh, gate, product of the residual
    all skip connections = one product

The faster engines are tested against this one.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from vocoder.options import Sampling
from vocoder.wavenet import WaveNet, silence
from wordless.base.machine import copy_to, one_thread


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


def filled(matrix: Tensor, rows: int, columns: int) -> Tensor:
    """Pad a matrix with zeros after its rows and columns."""
    return pad(matrix, (0, columns - matrix.shape[1], 0, rows - matrix.shape[0]))


class Stepper:
    """The network one sample at a time: `step` maps the clips' last levels to the logits of their next levels."""

    def __init__(self, model: WaveNet, width: int) -> None:
        config, device = model.config, model.embedding.weight.device
        self.weights = StepWeights(model)
        self.hop_length = config.hop_length
        self.time = self.first_time = 0
        self.carried: Tensor | None = None  # (samples, width, residual)
        self.conditions = torch.zeros(0, config.layers, width, config.gate_channels, device=device, dtype=torch.float32)
        self.inputs = torch.zeros(config.layers, width, config.residual_channels, device=device, dtype=torch.float32)
        self.gates = torch.zeros(config.layers, width, config.gate_channels, device=device, dtype=torch.float32)
        self.gated = torch.zeros(width, config.layers, config.gate_channels // 2, device=device, dtype=torch.float32)
        self.rings = _Rings(config.dilations, config.kernel_size - 1, self.inputs)
        # Views of the above, made once: L x (N, R), L x (N, G), twice L x (N, G / 2), L x (N, G / 2).
        self.layer_inputs, self.layer_gates = self.inputs.unbind(), self.gates.unbind()
        self.halves = [gates.chunk(2, dim=1) for gates in self.layer_gates]
        self.layer_gated = self.gated.unbind(1)

    def go_on(self, conditions: Tensor, carried: Tensor | None) -> None:
        """Set the next frames' conditions ``(width, frames, layers, gates)``.

        ``carried (width, samples, residual)`` is added to the embeddings of the levels; None: nothing.
        """
        self.carried = None if carried is None else carried.transpose(0, 1)
        self.conditions = conditions.permute(1, 2, 0, 3).contiguous()  # (N, F, L, G) -> (F, L, N, G)
        self.first_time = self.time

    def step(self, previous: Tensor) -> Tensor:
        """Compute logits ``(width, levels)`` from levels ``(width,)`` int64."""
        weights = self.weights
        torch.index_select(weights.embedding, 0, previous, out=self.layer_inputs[0])
        place = self.time - self.first_time
        if self.carried is not None:
            self.layer_inputs[0].add_(self.carried[place])
        condition = self.conditions[place // self.hop_length]  # (L, N, G)
        torch.baddbmm(condition, self.rings.read(self.time), weights.past, out=self.gates)
        for layer, (gates, (a, b)) in enumerate(zip(self.layer_gates, self.halves, strict=True)):
            gates.addmm_(self.layer_inputs[layer], weights.present[layer]).tanh_()  # past inputs and conditions are in
            gated = torch.addcmul(a, a, b, out=self.layer_gated[layer])
            if layer < len(weights.residual):
                torch.addmm(self.layer_inputs[layer], gated, weights.residual[layer], out=self.layer_inputs[layer + 1])
        self.rings.write(self.time, self.inputs)
        self.time += 1
        skipped = torch.addmm(weights.skip_bias, self.gated.flatten(1), weights.skip).relu_()
        hidden = torch.addmm(weights.hidden_bias, skipped, weights.hidden).relu_()
        return torch.addmm(weights.output_bias, hidden, weights.output)


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

    def read(self, time: int) -> Tensor:
        """Read inputs of the past taps, oldest first, ``(layers, batch, taps * channels)``; zeros at first."""
        places = (time - self.delays).remainder_(self.lengths.unsqueeze(1)).add_(self.starts.unsqueeze(1))
        past = self.slots.index_select(0, places.flatten())  # (L * taps, N, R)
        if self.past_taps == 1:
            return past
        return past.view(-1, self.past_taps, *past.shape[1:]).transpose(1, 2).flatten(2)

    def write(self, time: int, inputs: Tensor) -> None:
        """Write this step's inputs ``(layers, batch, channels)`` in place of the oldest."""
        self.slots.index_copy_(0, torch.remainder(time, self.lengths).add_(self.starts), inputs)


# A clip must not depend on its company, but narrow products round differently from wide ones: with MKL rows were
# equal to the last bit from 4 rows on. So a clip alone has three silent companions, for up to a third of its speed.
NARROWEST = 4


class TorchStreams:
    """Clips side by side, step after step; the other engines are tested against this one.

    It implements `vocoder.engines.choice.Streams` on the model's device.
    """

    def __init__(self, model: WaveNet, clips: int) -> None:
        self.clips, self.width = clips, max(clips, NARROWEST)
        self.device = model.embedding.weight.device
        self.stepper = Stepper(model, self.width)
        self.previous = torch.full((self.width,), silence(levels=model.config.levels), device=self.device)

    def advance(
        self, conditions: Tensor, given: Tensor, draws: Tensor, sampling: Sampling, carried: Tensor | None = None
    ) -> Tensor:
        self._go_on(conditions, carried)
        given, draws = self._by_time(given), self._by_time(draws)
        levels = torch.zeros_like(given)
        with one_thread():
            for step, fixed in enumerate(given):
                drawn = draw_levels(self.stepper.step(self.previous), draws[step].unsqueeze(1), sampling)
                levels[step] = self.previous = torch.where(fixed < 0, drawn, fixed)
        return levels[:, : self.clips].T.cpu()

    def score(self, conditions: Tensor, given: Tensor, carried: Tensor | None = None) -> Tensor:
        self._go_on(conditions, carried)
        logits = []
        with one_thread():
            for fixed in self._by_time(given):
                logits.append(self.stepper.step(self.previous)[: self.clips])
                self.previous = fixed
        return torch.stack(logits, dim=1).cpu()

    def bookmark(self) -> Callable[[], None]:
        slots, time, previous = self.stepper.rings.slots.clone(), self.stepper.time, self.previous

        def go_back() -> None:
            self.stepper.rings.slots.copy_(slots)
            self.stepper.time, self.previous = time, previous

        return go_back

    def _go_on(self, conditions: Tensor, carried: Tensor | None) -> None:
        self.stepper.go_on(self._filled(conditions), None if carried is None else self._filled(carried))

    def _by_time(self, rows: Tensor) -> Tensor:
        """Turn ``(clips, samples)`` into ``(samples, width)`` on the model's device."""
        return copy_to(self._filled(rows).T.contiguous(), self.device)

    def _filled(self, rows: Tensor) -> Tensor:
        """Add rows of zeros for the silent companions: ``(clips, ...)`` -> ``(width, ...)``."""
        return pad(rows, (0, 0) * (rows.dim() - 1) + (0, self.width - self.clips))


def draw_levels(logits: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
    """Draw levels ``(batch,)`` from logits ``(batch, levels)`` and uniform draws ``(batch, 1)`` in [0, 1)."""
    if sampling.temperature == 0:
        return logits.argmax(dim=1)
    probabilities = torch.softmax(logits / sampling.temperature, dim=1)
    cumulative = probabilities.cumsum(dim=1)
    levels = torch.searchsorted(cumulative, draws * cumulative[:, -1:], right=True)
    return levels.squeeze(1).clamp_(max=logits.shape[1] - 1)
