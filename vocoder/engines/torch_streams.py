"""The PyTorch engine: the step of a `WaveNet` in a loop, on any device.

The past is in ring buffers (Paine et al. 2016, arXiv:1611.09482). One step of all clips is the same small arithmetic
again and again, so it is laid out for few calls::

    past of every layer  = one gather from the ring buffers, one batched product     (known before the step begins)
    each layer           = product of the present tap, tanh, gate, product of the residual
    all skip connections = one product

The faster engines are tested against this one.
"""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from vocoder.vocoder_options import Sampling
from vocoder.wavenet import WaveNet, silence
from wordless.base.machine import copy_to, one_thread


def matrices(layers: Iterable[nn.Module]) -> list[Tensor]:
    """Return the weights ``(inputs, outputs)`` of linear layers."""
    return [layer.weight.detach().T for layer in layers if isinstance(layer, nn.Linear)]


def filled(matrix: Tensor, rows: int, columns: int) -> Tensor:
    """Pad a matrix with zeros after its rows and columns."""
    return pad(matrix, (0, columns - matrix.shape[1], 0, rows - matrix.shape[0]))


# A clip must not depend on its company, but narrow products round differently from wide ones: with MKL rows were
# equal to the last bit from 4 rows on. So a clip alone has three silent companions, for up to a third of its speed.
NARROWEST = 4


class TorchStreams:
    """Clips side by side, step after step; the other engines are tested against this one.

    It implements `vocoder.engines.choice.Streams` on the model's device.
    """

    state = ("slots", "time", "previous")  # of the clips

    def __init__(self, model: WaveNet, clips: int) -> None:
        config, device = model.config, model.embedding.weight.device
        self.model, self.clips, self.width, self.device = model, clips, max(clips, NARROWEST), device
        self.previous = torch.full((self.width,), silence(levels=config.levels), device=device)
        self.time = 0
        # The weights in the layout of the step: transposed, layers stacked.
        residual = config.residual_channels
        dilated = torch.stack(matrices(model.dilated))  # (L, taps * R, G)
        self.past = dilated[:, :-residual].contiguous()  # (L, (taps - 1) * R, G), oldest tap first
        self.present = dilated[:, -residual:].contiguous().unbind()  # L x (R, G)
        self.residual = torch.stack(matrices(model.residual)).unbind() if len(model.residual) else ()
        self.ends = [(each.bias, each.weight.T.contiguous()) for each in (model.skip, model.hidden, model.output)]
        # Past inputs of all layers, ring after ring in a single tensor, each as long as its layer's taps reach.
        spacing = torch.tensor(config.dilations, device=device)
        self.past_taps = config.kernel_size - 1
        self.lengths = spacing * self.past_taps
        self.starts = self.lengths.cumsum(0) - self.lengths
        self.delays = spacing.unsqueeze(1) * torch.arange(self.past_taps, 0, -1, device=device)  # (L, taps)
        zeros = partial(torch.zeros, device=device, dtype=torch.float32)
        self.slots = zeros(int(self.lengths.sum()), self.width, residual)
        self.inputs = zeros(config.layers, self.width, residual)
        self.gates = zeros(config.layers, self.width, config.gate_channels)
        self.gated = zeros(self.width, config.layers, config.gate_channels // 2)
        # Views of the above, made once: L x (N, R), L x (N, G), twice L x (N, G / 2), L x (N, G / 2).
        self.layer_inputs, self.layer_gates = self.inputs.unbind(), self.gates.unbind()
        self.halves = [gates.chunk(2, dim=1) for gates in self.layer_gates]
        self.layer_gated = self.gated.unbind(1)

    def advance(
        self,
        conditions: Tensor,
        given: Tensor,
        draws: Tensor,
        sampling: Sampling,
        carried: Tensor | None = None,
        logits: Tensor | None = None,
    ) -> Tensor:
        given, draws = self._by_time(given), self._by_time(draws)
        conditions = self._filled(conditions).permute(1, 2, 0, 3).contiguous()  # (N, F, L, G) -> (F, L, N, G)
        added = None if carried is None else self._filled(carried).transpose(0, 1)  # (samples, width, residual)
        levels = torch.zeros_like(given)
        with one_thread():
            for place in range(len(given)):
                own = self._step(conditions[place // self.model.config.hop_length], added, place)
                if logits is not None:
                    logits[:, place] = own[: self.clips]
                drawn = draw_levels(own, draws[place].unsqueeze(1), sampling)
                levels[place] = self.previous = torch.where(given[place] < 0, drawn, given[place])
        return levels[:, : self.clips].T.cpu()

    def _step(self, condition: Tensor, added: Tensor | None, place: int) -> Tensor:
        """Compute logits from ``previous``, the frame's conditions ``(L, width, gates)``, and what the voice adds."""
        torch.index_select(self.model.embedding.weight, 0, self.previous, out=self.layer_inputs[0])
        if added is not None:
            self.layer_inputs[0].add_(added[place])
        slots = (self.time - self.delays).remainder_(self.lengths.unsqueeze(1)).add_(self.starts.unsqueeze(1))
        past = self.slots.index_select(0, slots.flatten())  # (L * taps, N, R), the oldest first; zeros at first
        if self.past_taps > 1:
            past = past.view(-1, self.past_taps, *past.shape[1:]).transpose(1, 2).flatten(2)
        torch.baddbmm(condition, past, self.past, out=self.gates)
        for layer, (gates, (a, b)) in enumerate(zip(self.layer_gates, self.halves, strict=True)):
            gates.addmm_(self.layer_inputs[layer], self.present[layer]).tanh_()  # past inputs and conditions are in
            gated = torch.addcmul(a, a, b, out=self.layer_gated[layer])
            if layer < len(self.residual):
                torch.addmm(self.layer_inputs[layer], gated, self.residual[layer], out=self.layer_inputs[layer + 1])
        self.slots.index_copy_(0, torch.remainder(self.time, self.lengths).add_(self.starts), self.inputs)
        self.time += 1
        (skip_bias, skip), (hidden_bias, hidden), (output_bias, output) = self.ends
        skipped = torch.addmm(skip_bias, self.gated.flatten(1), skip).relu_()
        return torch.addmm(output_bias, torch.addmm(hidden_bias, skipped, hidden).relu_(), output)

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
