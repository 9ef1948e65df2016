"""The numba engine: weights in the layout of its kernel, and clips divided among cores."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor, nn

from vocoder.engines.kernels import PADDING, Factors, KernelWeights, go_on, target_features
from vocoder.engines.torch_streams import filled, matrices
from vocoder.vocoder_options import Sampling
from vocoder.wavenet import WaveNet, silence
from wordless.base.arrays import FloatArray
from wordless.base.compiling import run
from wordless.base.machine import multiplies_bf16

NEVER = -1e30  # the logit of padding levels
TOGETHER = 16  # clips at most that share a reading of the weights; more are no faster, and exceed the caches


class NumbaStreams:
    """Clips side by side on the CPU's cores; it implements `vocoder.engines.choice.Streams`.

    The levels do not depend on the number of ``threads``. ``bf16`` multiplies in bfloat16, where
    `numba_multiplies_bf16`.
    """

    state = ("rings", "time", "previous")  # of the clips

    def __init__(self, model: WaveNet, clips: int, *, threads: int, bf16: bool = False) -> None:
        self.config, self.threads = model.config, threads
        self.weights = kernel_weights(model, bf16=bf16)
        self.shares = _shares(clips, threads)
        room = int(self.weights.ring_starts[-1]) * _padded(model.config.residual_channels) // (2 if bf16 else 1)
        kind = self.weights.present.dtype
        self.rings = [np.zeros(room * (share.stop - share.start), kind) for share in self.shares]
        self.previous = np.full(clips, silence(levels=model.config.levels))
        self.time = 0

    def advance(
        self,
        conditions: Tensor,
        given: Tensor,
        draws: Tensor,
        sampling: Sampling,
        carried: Tensor | None = None,
        logits: Tensor | None = None,
    ) -> Tensor:
        scored = (0, 0, 0) if logits is None else (*given.shape, _padded(self.config.levels))
        scores = np.zeros(scored, np.float32)
        temperature = float(sampling.temperature)
        fixed, uniform = given.contiguous().numpy(), draws.contiguous().numpy()
        levels = np.zeros_like(fixed)

        def work(number: int) -> None:
            few = self.shares[number]
            arguments = (
                self.weights,
                _flat(conditions[few].reshape(*conditions[few].shape[:3], 2, -1)),  # each half is padded
                fixed[few],
                uniform[few],
                temperature,
                self.rings[number],
                self.time,
                self.previous[few],
                levels[few],
                scores[few],
                np.zeros(0, np.float32) if carried is None else _flat(carried[few]),
            )
            run(go_on, *arguments)

        if len(self.shares) == 1 or self.threads == 1:
            for number in range(len(self.shares)):
                work(number)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(work, range(len(self.shares))))  # raises what a thread raised
        if logits is not None:
            logits.copy_(torch.from_numpy(scores[:, :, : self.config.levels]))
        self.time += levels.shape[1]
        return torch.from_numpy(levels)


def numba_multiplies_bf16() -> bool:
    """Return whether the CPU has instructions for bfloat16 products, and numba may use them.

    NUMBA_CPU_NAME, NUMBA_CPU_FEATURES and NUMBA_ENABLE_AVX can forbid numba instructions that the CPU has.
    """
    return multiplies_bf16(torch.device("cpu")) and "+avx512bf16" in target_features()


def _shares(clips: int, threads: int) -> list[slice]:
    """Divide clips into neighbouring slices for each call, equally among cores."""
    count = max(-(-clips // TOGETHER), min(threads, clips))
    ends = [clips * (share + 1) // count for share in range(count)]
    return [slice(start, stop) for start, stop in zip([0, *ends], ends, strict=False)]


def kernel_weights(model: WaveNet, *, bf16: bool = False) -> KernelWeights:
    """Convert the model's weights to the kernel's layout, in float32 or as pairs of bfloat16."""
    config, taps = model.config, model.config.kernel_size
    channels, half = config.residual_channels, config.gate_channels // 2
    sizes = channels, half, config.skip_channels, config.levels
    lay = _paired if bf16 else _laid
    lengths = [1 << ((taps - 1) * dilation - 1).bit_length() for dilation in config.dilations]
    dilated = [_gates(tap, half) for layer in matrices(model.dilated) for tap in torch.split(layer, channels)]
    (skip,) = matrices([model.skip])
    skip = torch.cat([filled(each, _padded(half), each.shape[1]) for each in torch.split(skip, half)])
    return KernelWeights(
        embedding=_laid([model.embedding.weight.detach()]),
        past=lay([tap for number, tap in enumerate(dilated) if number % taps < taps - 1]),
        present=lay(dilated[taps - 1 :: taps]),
        residual=lay(matrices(model.residual)),
        skip=lay([skip]),
        skip_bias=_bias(model.skip),
        hidden=lay(matrices([model.hidden])),
        hidden_bias=_bias(model.hidden),
        output=lay(matrices([model.output])),
        output_bias=_bias(model.output, fill=NEVER),
        dilations=np.array(config.dilations),
        ring_starts=np.array([0, *accumulate(lengths)]),
        sizes=np.array([*map(_padded, sizes), config.levels, taps, config.hop_length]),
    )


def _padded(size: int) -> int:
    return -(-size // PADDING) * PADDING


def _gates(tap: Tensor, half: int) -> Tensor:
    """Pad the halves of tanh and sigmoid in ``(inputs, gates)`` separately."""
    return torch.cat([filled(each, len(tap), _padded(half)) for each in torch.split(tap, half, dim=1)], dim=1)


def _laid(blocks: Sequence[Tensor]) -> FloatArray:
    """Concatenate padded matrices into a flat array."""
    whole = [filled(each, _padded(each.shape[0]), _padded(each.shape[1])).reshape(-1) for each in blocks]
    return torch.cat([*whole, torch.zeros(0, dtype=torch.float32)]).numpy()


def _paired(blocks: Sequence[Tensor]) -> Factors:
    """Do the same in bfloat16: of each ``(inputs, outputs)``, ``(inputs / 2, outputs)`` pairs in one int32 each."""
    halves = [torch.from_numpy(_laid([each])).to(torch.bfloat16).view(torch.int16) for each in blocks]
    widths = [_padded(each.shape[1]) for each in blocks]
    pairs = [half.view(-1, 2, width).transpose(1, 2).reshape(-1) for half, width in zip(halves, widths, strict=True)]
    return torch.cat([*pairs, torch.zeros(0, dtype=torch.int16)]).numpy().view(np.int32)


def _bias(layer: nn.Linear, fill: float = 0.0) -> FloatArray:
    size = layer.out_features
    return np.pad(layer.bias.detach().numpy(), (0, _padded(size) - size), constant_values=fill).astype(np.float32)


def _flat(rows: Tensor) -> FloatArray:
    """Flatten ``(..., channels)`` with padded channels."""
    return nn.functional.pad(rows, (0, _padded(rows.shape[-1]) - rows.shape[-1])).reshape(-1).numpy()
