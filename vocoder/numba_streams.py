"""The numba engine: weights laid out for the kernels, and clips shared out among lanes and cores."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor, nn

from vocoder.kernels import LANES, PADDING, Draw, FloatArray, IntArray, KernelWeights, lanes, one_stream
from vocoder.mu_law import silence
from vocoder.sampling import Sampling
from vocoder.wavenet import WaveNet, WaveNetConfig

NEVER = -1e30  # the logit of a level that is only padding
ALONE = 4  # clips per core up to which each is generated alone: sixteen lanes take about as long as so many


@dataclass(frozen=True, kw_only=True, eq=False)
class NumbaState:
    """All that the next step depends on but for its conditions."""

    rings: tuple[FloatArray, ...]
    time: int
    previous: IntArray


class NumbaStreams:
    """Clips side by side on the CPU's cores.

    Args:
        model: the network, on the CPU.
        clips: how many.
        threads: cores to use; what is generated does not depend on them.
    """

    def __init__(self, model: WaveNet, clips: int, *, threads: int) -> None:
        self.config, self.threads = model.config, threads
        self.shares = _shares(clips, threads)
        self.alone = all(len(share) == 1 for share in self.shares)
        self.weights = kernel_weights(model, in_rows=self.alone)
        room = int(self.weights.ring_starts[-1]) * _padded(model.config.residual_channels)
        self.rings = [np.zeros(room * (1 if self.alone else LANES), np.float32) for _ in self.shares]
        self.previous = np.full(clips, silence(levels=model.config.levels))
        self.time = 0

    def advance(self, conditions: Tensor, given: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
        """See `vocoder.engines.Streams`."""
        return self._run(conditions, given, draws, sampling, np.zeros((0, 0, 0), np.float32))

    def score(self, conditions: Tensor, given: Tensor) -> Tensor:
        """See `vocoder.engines.Streams`."""
        logits = np.zeros((*given.T.shape, _padded(self.config.levels)), np.float32)  # (steps, clips, levels)
        self._run(conditions, given, torch.zeros(given.shape), Sampling(), logits)
        return torch.from_numpy(logits[:, :, : self.config.levels]).transpose(0, 1)

    def state(self) -> NumbaState:
        """See `vocoder.engines.Streams`."""
        rings = tuple(ring.copy() for ring in self.rings)
        return NumbaState(rings=rings, time=self.time, previous=self.previous.copy())

    def restore(self, state: NumbaState) -> None:
        """See `vocoder.engines.Streams`."""
        self.rings = [ring.copy() for ring in state.rings]
        self.time, self.previous = state.time, state.previous.copy()

    def _run(self, conditions: Tensor, given: Tensor, draws: Tensor, sampling: Sampling, logits: FloatArray) -> Tensor:
        """Levels ``(clips, samples)``; fills ``logits (samples, clips, padded levels)`` unless it is empty."""
        draw = Draw(float(sampling.temperature), float(sampling.top_p))
        levels = np.zeros(tuple(given.T.shape), np.int64)  # (steps, clips)

        def work(number: int) -> None:
            share, few = self.shares[number], slice(self.shares[number].start, self.shares[number].stop)
            kept = np.zeros((len(levels), len(share), logits.shape[2]), np.float32) if logits.size else logits
            made = np.zeros((len(levels), len(share)), np.int64)
            arguments = (given[few].T.contiguous().numpy(), draws[few].T.contiguous().numpy())
            last, rings = self.previous[few], self.rings[number]
            if self.alone:
                here = _flat_conditions(conditions[few], 1)
                one_stream(
                    self.weights, here, *(each[:, 0] for each in arguments), draw, rings, self.time, last[0],
                    made[:, 0], kept.reshape(-1),
                )  # fmt: skip
            else:
                here = _flat_conditions(conditions[few], LANES)
                lanes(self.weights, here, *arguments, draw, rings, self.time, last, made, kept)
            levels[:, few] = made
            if logits.size:
                logits[:, few] = kept

        _each(work, len(self.shares), self.threads)
        self.time += len(levels)
        if len(levels):
            self.previous = levels[-1].copy()
        return torch.from_numpy(levels.T.copy())


def _each(work: Callable[[int], None], count: int, threads: int) -> None:
    if count == 1 or threads == 1:
        for number in range(count):
            work(number)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, range(count)):
            pass


def _shares(clips: int, threads: int) -> list[range]:
    """Clips alone while they are few, else in lanes, as many on each core."""
    if clips <= ALONE * threads:
        return [range(clip, clip + 1) for clip in range(clips)]
    count = max(-(-clips // LANES), min(threads, clips))
    ends = [clips * (share + 1) // count for share in range(count)]
    return [range(start, stop) for start, stop in zip([0, *ends], ends, strict=False)]


def kernel_weights(model: WaveNet, *, in_rows: bool) -> KernelWeights:
    """The model's weights in rows for `one_stream`, or in panels for `lanes`."""
    config, taps = model.config, model.config.kernel_size
    channels, half = config.residual_channels, config.gate_channels // 2
    lay = _rows if in_rows else _panels
    lengths = [1 << ((taps - 1) * dilation - 1).bit_length() for dilation in config.dilations]
    dilated = [_gates(tap, half) for layer in _matrices(model.dilated) for tap in torch.split(layer, channels)]
    skip = torch.cat([_filled(each, _padded(half), each.shape[1]) for each in torch.split(_matrix(model.skip), half)])
    return KernelWeights(
        embedding=_rows([model.embedding.weight.detach()]),
        past=lay([tap for number, tap in enumerate(dilated) if number % taps < taps - 1]),
        present=lay(dilated[taps - 1 :: taps]),
        residual=lay(_matrices(model.residual)),
        skip=lay([skip]),
        skip_bias=_bias(model.skip),
        hidden=lay([_matrix(model.hidden)]),
        hidden_bias=_bias(model.hidden),
        output=lay([_matrix(model.output)]),
        output_bias=_bias(model.output, fill=NEVER),
        dilations=np.array(config.dilations),
        ring_starts=np.array([0, *accumulate(lengths)]),
        sizes=_sizes(config),
    )


def _sizes(config: WaveNetConfig) -> IntArray:
    half = config.gate_channels // 2
    padded = (_padded(size) for size in (config.residual_channels, half, config.skip_channels, config.levels))
    return np.array([*padded, config.levels, config.kernel_size, config.hop_length])


def _padded(size: int) -> int:
    return -(-size // PADDING) * PADDING


def _matrix(layer: nn.Linear) -> Tensor:
    """``(inputs, outputs)``."""
    return layer.weight.detach().T


def _matrices(layers: nn.ModuleList) -> list[Tensor]:
    return [_matrix(layer) for layer in layers if isinstance(layer, nn.Linear)]


def _gates(tap: Tensor, half: int) -> Tensor:
    """``(inputs, gates)`` with tanh's and sigmoid's halves padded each."""
    return torch.cat([_filled(each, len(tap), _padded(half)) for each in torch.split(tap, half, dim=1)], dim=1)


def _filled(matrix: Tensor, rows: int, columns: int) -> Tensor:
    """With zeros after its rows and columns."""
    return nn.functional.pad(matrix, (0, columns - matrix.shape[1], 0, rows - matrix.shape[0]))


def _rows(matrices: Sequence[Tensor]) -> FloatArray:
    """Matrices one after the other, padded, flat: row after row."""
    return _flat([_whole(each) for each in matrices])


def _panels(matrices: Sequence[Tensor]) -> FloatArray:
    """The same in panels of 16 outputs: ``(inputs, outputs)`` -> ``(outputs / 16, inputs, 16)``."""
    return _flat([_whole(each).view(-1, _padded(each.shape[1]) // LANES, LANES).transpose(0, 1) for each in matrices])


def _whole(matrix: Tensor) -> Tensor:
    return _filled(matrix, _padded(matrix.shape[0]), _padded(matrix.shape[1]))


def _flat(matrices: Sequence[Tensor]) -> FloatArray:
    flat: FloatArray = torch.cat([*(each.reshape(-1) for each in matrices), torch.zeros(0)]).numpy()
    return flat


def _bias(layer: nn.Linear, fill: float = 0.0) -> FloatArray:
    size = layer.out_features
    return np.pad(layer.bias.detach().numpy(), (0, _padded(size) - size), constant_values=fill).astype(np.float32)


def _flat_conditions(conditions: Tensor, width: int) -> FloatArray:
    """``(clips, frames, layers, gates)`` -> flat ``(frames, layers, 2 * padded half, width)``, lanes at the end."""
    half = conditions.shape[3] // 2
    halves = conditions.reshape(*conditions.shape[:3], 2, half).permute(1, 2, 3, 4, 0)  # (F, L, 2, H, N)
    filled = nn.functional.pad(halves, (0, width - len(conditions), 0, _padded(half) - half))
    flat: FloatArray = filled.reshape(-1).numpy()
    return flat
