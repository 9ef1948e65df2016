"""Sample-by-sample generation: `WaveNet` with its past kept in ring buffers (Paine et al. 2016, arXiv:1611.09482).

One step of all clips is the same small arithmetic again and again, so it is laid out for few calls::

    past of every layer  = one gather from the ring buffers, one batched product     (known before the step begins)
    each layer           = product of the present tap, tanh, gate, product of the residual
    all skip connections = one product

What depends on the codes alone is computed once per frame, a few seconds of them at a time: what memory grows by as a
clip gets longer is its samples.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from audio.errors import InputError
from audio.threads import one_thread
from vocoder.mu_law import silence
from vocoder.wavenet import UNKNOWN_GROUP, WaveNet

WIDTH = 8  # clips per step at most
# A clip must not depend on its company, but narrow products round differently from wide ones: with MKL rows were
# equal to the last bit from 4 rows on. So a clip alone has three silent companions, for up to a third of its speed.
NARROWEST = 4
CHUNK_FRAMES = 256  # frames whose conditions and draws are made together, counted from the beginning of a clip

Progress = Callable[[int, int], None]  # steps done, steps in all


@dataclass(frozen=True, kw_only=True, eq=False)
class GenerationInput:
    """What one clip is generated from."""

    spectrogram: Tensor  # (frames, mels), normalised log-mel
    group: int = UNKNOWN_GROUP  # index into WaveNetConfig.groups
    seed: int = 0  # of this clip alone


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


@torch.inference_mode()
def generate(
    model: WaveNet, inputs: Sequence[GenerationInput], *, temperature: float = 1.0, progress: Progress | None = None
) -> list[Tensor]:
    """Levels ``(frames * hop_length,)`` int32 on the CPU of each clip, drawn from the model sample by sample.

    Clips are generated side by side, `WIDTH` at a time and those of similar length together; each draws from a
    generator of its own seed, so that the same clip comes out whatever stands beside it.

    Args:
        model: the network.
        inputs: one for each clip.
        temperature: divides the logits; 0 always takes the most probable level.
        progress: called about ten times per second of sound with the steps done and the steps in all.

    Raises:
        InputError: the temperature is negative.
    """
    if temperature < 0:
        raise InputError(f"temperature is {temperature}; choose 0 (the most probable level) or more, usually 0.8 to 1")
    order = sorted(range(len(inputs)), key=lambda index: len(inputs[index].spectrogram))
    groups = [order[start : start + WIDTH] for start in range(0, len(order), WIDTH)]
    total = model.config.hop_length * sum(max(len(inputs[index].spectrogram) for index in group) for group in groups)
    report = _Report(progress, every=max(model.config.sample_rate // 10, 1), total=total)
    levels: dict[int, Tensor] = {}
    with one_thread():
        for group in groups:
            made = _generate(model, [inputs[index] for index in group], temperature, report)
            levels.update(zip(group, made, strict=True))
    return [levels[index] for index in range(len(inputs))]


class _Report:
    """Counts steps over all groups of clips for a progress callback."""

    def __init__(self, progress: Progress | None, *, every: int, total: int) -> None:
        self.progress, self.every, self.total, self.done = progress, every, total, 0

    def step(self) -> None:
        self.done += 1
        if self.progress is not None and (self.done % self.every == 0 or self.done == self.total):
            self.progress(self.done, self.total)


def _generate(model: WaveNet, inputs: Sequence[GenerationInput], temperature: float, report: _Report) -> list[Tensor]:
    hop, device = model.config.hop_length, model.embedding.weight.device
    generators = [torch.Generator().manual_seed(clip.seed) for clip in inputs]
    sounds = [torch.empty(len(clip.spectrogram) * hop, dtype=torch.int32) for clip in inputs]
    stepper = Stepper(model, _conditions(model, inputs, range(0)))
    previous = torch.full((_width(inputs),), silence(levels=model.config.levels), device=device)
    for frames in _chunks(max(len(clip.spectrogram) for clip in inputs)):
        stepper.go_on(_conditions(model, inputs, frames))
        draws = _draws(generators, len(frames) * hop).to(device)
        levels = _chunk(stepper, previous, draws, temperature, report)
        previous = levels[-1]
        for sound, chunk in zip(sounds, levels.T.to("cpu", torch.int32), strict=False):
            written = sound[frames.start * hop : frames.stop * hop]
            written[:] = chunk[: len(written)]
    return sounds


def _chunks(frames: int) -> Iterator[range]:
    """``range(frames)`` in ranges of `CHUNK_FRAMES`."""
    return (range(first, min(first + CHUNK_FRAMES, frames)) for first in range(0, frames, CHUNK_FRAMES))


def _chunk(stepper: Stepper, previous: Tensor, draws: Tensor, temperature: float, report: _Report) -> Tensor:
    """Levels ``(steps, width)`` int64 after the levels ``previous (width,)``, from draws ``(steps, width, 1)``."""
    levels = previous.new_empty(draws.shape[:2])
    for step in range(len(draws)):
        previous = sample(stepper.step(previous), draws[step], temperature)
        levels[step] = previous
        report.step()
    return levels


def _width(inputs: Sequence[GenerationInput]) -> int:
    return max(len(inputs), NARROWEST)


def _conditions(model: WaveNet, inputs: Sequence[GenerationInput], frames: range) -> Tensor:
    """Of some frames, ``(width, frames, layers, gates)``; zeros where a clip has ended or there is none.

    Each clip's are computed alone, because a convolution of another shape rounds differently.
    """
    config, device = model.config, model.embedding.weight.device
    conditions = torch.zeros(_width(inputs), len(frames), config.layers, config.gate_channels, device=device)
    for row, clip in zip(conditions, inputs, strict=False):
        stop = min(frames.stop, len(clip.spectrogram))
        if frames.start < stop:
            seen = _with_neighbours(clip.spectrogram, frames.start, stop, config.look_ahead_frames).to(device)
            groups = torch.tensor([clip.group], device=device)
            row[: stop - frames.start] = model.conditions.project(seen.unsqueeze(0), groups)[0]
    return conditions


def _with_neighbours(spectrogram: Tensor, start: int, stop: int, edge: int) -> Tensor:
    """Frames ``[start - edge, stop + edge)`` of ``(frames, mels)``, zeros beyond its ends."""
    first, last = max(start - edge, 0), min(stop + edge, len(spectrogram))
    return pad(spectrogram[first:last], (0, 0, first - start + edge, stop + edge - last))


def _draws(generators: Sequence[torch.Generator], steps: int) -> Tensor:
    """The next uniform numbers in [0, 1), ``(steps, width, 1)``: each clip's from its own generator."""
    draws = torch.zeros(steps, max(len(generators), NARROWEST), 1)
    for index, generator in enumerate(generators):
        draws[:, index, 0] = torch.rand(steps, generator=generator)
    return draws


def sample(logits: Tensor, draws: Tensor, temperature: float) -> Tensor:
    """Levels ``(batch,)`` from logits ``(batch, levels)`` and uniform draws ``(batch, 1)``; temperature 0: the best."""
    if temperature == 0:
        return logits.argmax(dim=1)
    cumulative = torch.softmax(logits / temperature, dim=1).cumsum_(dim=1)
    levels = torch.searchsorted(cumulative, draws * cumulative[:, -1:], right=True)
    return levels.squeeze(1).clamp_(max=logits.shape[1] - 1)
