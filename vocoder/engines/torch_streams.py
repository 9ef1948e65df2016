"""The PyTorch engines: the step of a `WaveNet` in a loop, on any device, and the same step as a CUDA graph.

The past is in ring buffers (Paine et al. 2016, arXiv:1611.09482). One step of all clips is the same small arithmetic
again and again, so it is laid out for few calls::

    past of every layer  = one gather from the ring buffers, one batched product     (known before the step begins)
    each layer           = product of the present tap, tanh, gate, product of the residual
    all skip connections = one product

The faster engines are tested against this one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

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
        """Set the next frames' conditions ``(width, frames, layers, gates)``; return whether their memory stays."""
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


# A clip must not depend on its company, but narrow products round differently from wide ones: with MKL rows were
# equal to the last bit from 4 rows on. So a clip alone has three silent companions, for up to a third of its speed.
NARROWEST = 4
WARM_UP_STEPS = 3  # before a capture, as libraries choose and load their kernels


class TorchStreams:
    """Clips side by side, step after step; the other engines are tested against this one.

    It implements `vocoder.engines.choice.Streams` on the model's device. If ``captured``, each step is replayed as a
    CUDA graph: one call instead of a hundred.
    """

    def __init__(self, model: WaveNet, clips: int, *, captured: bool = False) -> None:
        self.clips, self.width, self.captured = clips, max(clips, NARROWEST), captured
        self.device = model.embedding.weight.device
        self.stepper = Stepper(model, self.width)
        self.previous = torch.full((self.width,), silence(levels=model.config.levels), device=self.device)
        self.place = torch.zeros(1, dtype=torch.int64, device=self.device)  # step of the chunk
        self.given = torch.zeros(0, self.width, dtype=torch.int64, device=self.device)
        self.draws = torch.zeros(0, self.width, device=self.device)
        self.levels = torch.zeros_like(self.given)
        self.graphs: dict[Sampling, torch.cuda.CUDAGraph] = {}

    def advance(self, conditions: Tensor, given: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
        self._go_on(conditions, given, draws)
        with one_thread():
            if self.captured and given.shape[1]:
                graph = self._graph(sampling)
                for _ in range(given.shape[1]):
                    graph.replay()
            else:
                for _ in range(given.shape[1]):
                    self._step(sampling)
        return self.levels[: given.shape[1], : self.clips].T.cpu()

    def score(self, conditions: Tensor, given: Tensor) -> Tensor:
        self._go_on(conditions, given, torch.zeros(given.shape))
        logits = []
        with one_thread():
            for wanted in self.given[: given.shape[1]]:
                logits.append(self.stepper.step(self.previous)[: self.clips])
                self.previous.copy_(wanted)
        return torch.stack(logits, dim=1).cpu()

    def bookmark(self) -> Callable[[], None]:
        moving = (self.stepper.rings.slots, self.stepper.time, self.previous)
        kept = [each.clone() for each in moving]

        def go_back() -> None:
            for each, was in zip(moving, kept, strict=True):
                each.copy_(was)

        return go_back

    def _go_on(self, conditions: Tensor, given: Tensor, draws: Tensor) -> None:
        """Fill the tensors that steps read. If they are too short, they are replaced and graphs dropped."""
        stays = self.stepper.go_on(self._filled(conditions))
        steps = given.shape[1]
        if not stays or steps > len(self.given):
            self.graphs.clear()
            self.given, self.draws = (each.new_zeros(steps, self.width) for each in (self.given, self.draws))
            self.levels = torch.zeros_like(self.given)
        self.given[:steps] = copy_to(self._filled(given).T.contiguous(), self.device)
        self.draws[:steps] = copy_to(self._filled(draws).T.contiguous(), self.device)
        self.place.zero_()

    def _step(self, sampling: Sampling) -> None:
        levels = draw_levels(self.stepper.step(self.previous), self.draws.index_select(0, self.place).T, sampling)
        given = self.given.index_select(0, self.place)[0]
        self.previous.copy_(torch.where(given < 0, levels, given))
        self.levels.index_copy_(0, self.place, self.previous.unsqueeze(0))
        self.place += 1

    def _graph(self, sampling: Sampling) -> torch.cuda.CUDAGraph:
        if sampling not in self.graphs:
            go_back, time = self.bookmark(), self.stepper.time.clone()
            aside = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]  # torch's own
            aside.wait_stream(torch.cuda.current_stream(self.device))
            with _unsorted_writes(), torch.cuda.stream(aside):
                for _ in range(WARM_UP_STEPS):
                    self._step(sampling)
                    self.place.zero_()
                    self.stepper.time.copy_(time)
            torch.cuda.current_stream(self.device).wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with _unsorted_writes(), torch.cuda.graph(graph):
                self._step(sampling)
            self.graphs[sampling] = graph
            go_back()  # capturing runs nothing; the warm-up did
            self.place.zero_()
        return self.graphs[sampling]

    def _filled(self, rows: Tensor) -> Tensor:
        """Add rows of zeros for the silent companions: ``(clips, ...)`` -> ``(width, ...)``."""
        return pad(rows, (0, 0) * (rows.dim() - 1) + (0, self.width - self.clips))


@contextmanager
def _unsorted_writes() -> Iterator[None]:
    """Turn PyTorch's deterministic algorithms off, which training turns on for the rest of a process.

    They sort the places of each write to the rings, in several kernels. A step writes each place once, so its results
    do not depend on the order.
    """
    wanted, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(wanted, warn_only=warns)


def draw_levels(logits: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
    """Draw levels ``(batch,)`` from logits ``(batch, levels)`` and uniform draws ``(batch, 1)`` in [0, 1)."""
    if sampling.temperature == 0:
        return logits.argmax(dim=1)
    probabilities = torch.softmax(logits / sampling.temperature, dim=1)
    if sampling.top_p < 1:
        probabilities = _nucleus(probabilities, sampling.top_p)
    cumulative = probabilities.cumsum(dim=1)
    levels = torch.searchsorted(cumulative, draws * cumulative[:, -1:], right=True)
    return levels.squeeze(1).clamp_(max=logits.shape[1] - 1)


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Set all but the most probable levels that reach ``top_p`` to zero; ties with the last of them are kept."""
    ranked = probabilities.sort(dim=1, descending=True).values
    before = ranked.cumsum(dim=1) - ranked
    least = torch.where(before < top_p, ranked, 1.0).amin(dim=1, keepdim=True)
    return torch.where(probabilities >= least, probabilities, 0.0)
