"""Detection of generated sound that runs away into noise or falls silent, which recordings do not.

The measure is the root mean square of every half second, compared with those of the training recordings::

    dBFS  ..... silent | QUIETER | lowest .......... highest | LOUDER | runaway .....

A sound shorter than half a second counts as a whole, in the recordings and here. Silence is wrong only where the codes
mean more than the average level of the recordings. A window that began before the new samples is odd only if the new
samples in it are odd too, because drawing them again cannot improve older samples.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wordless.base.errors import InputError

SECONDS = 0.5
STEPS_PER_WINDOW = 4  # windows overlap by three quarters
QUARTERS_TOGETHER = 64  # quarters of windows of a recording that are squared at a time
LOWEST_SHARE, HIGHEST_SHARE = 0.005, 0.995  # quantiles, so that a few odd recordings do not matter
LOUDER = QUIETER = 6.0  # dB
ATTEMPTS = 2  # at drawing a block again
COOLER, WARMER = 0.8, 1 / 0.8  # factors of the temperature for each attempt: after loud sound, after silence
FLOOR = 1e-12  # power of digital silence: -120 dBFS

Fault = Literal["loud", "silent"]


@dataclass(frozen=True, kw_only=True)
class LoudnessRange:
    """Root mean square of half seconds of recordings, in dB relative to full scale."""

    lowest: float
    highest: float

    def __post_init__(self) -> None:
        if not self.lowest <= self.highest:
            raise InputError(f"loudness is [{self.lowest}, {self.highest}] dBFS; the lowest comes first")

    @classmethod
    def of(cls, sounds: Iterable[npt.NDArray[np.int16]], sample_rate: int) -> "LoudnessRange | None":
        """Measure recordings ``(samples,)`` in 16 bits, without the extreme half percents; None without recordings."""
        rms = [_decibels(_window_powers(each, sample_rate)) for each in sounds if len(each)]
        if not rms:
            return None
        low, high = np.quantile(torch.cat(rms).numpy(), [LOWEST_SHARE, HIGHEST_SHARE])
        return cls(lowest=round(float(low), 2), highest=round(float(high), 2))


class RunawayGuard:
    """A guard that finds blocks of sound to draw again, and counts them."""

    def __init__(self, loudness: LoudnessRange) -> None:
        self.loudness = loudness
        self.found = 0  # blocks that ran away or fell silent
        self.left = 0  # blocks for which every attempt did so

    def fault(self, samples: Tensor, sample_rate: int, *, meant: float, before: int = 0) -> Fault | None:
        """Return whether some half second is too loud, or else wrongly silent.

        Args:
            samples: ``(samples,)`` float, those in question and the half second before them.
            sample_rate: Hz.
            meant: mean of the normalised log-mel that the samples in question stand for; 0 is the recordings' average.
            before: how many of the samples are not in question.
        """
        power = _windows(samples.double().square(), sample_rate)
        new = _windows(torch.arange(len(samples)) >= before, sample_rate)
        power, new = power[new.any(dim=1)], new[new.any(dim=1)]
        whole, own = _decibels(power.mean(dim=1)), _decibels((power * new).sum(dim=1) / new.sum(dim=1))
        if bool((torch.minimum(whole, own) > self.loudness.highest + LOUDER).any()):
            return "loud"
        if meant > 0 and bool((torch.maximum(whole, own) < self.loudness.lowest - QUIETER).any()):
            return "silent"
        return None

    def notice(self) -> str | None:
        """Describe what was found; None if nothing was."""
        if not self.found:
            return None
        again = "all came right when drawn again" if not self.left else f"{self.left} stayed so when drawn again"
        return f"blocks of sound that ran away or fell silent: {self.found}; {again}"


def history(sample_rate: int) -> int:
    """Return how many samples before a block `RunawayGuard.fault` needs: every window then holds a part of it."""
    return (STEPS_PER_WINDOW - 1) * _step(sample_rate)


def _step(sample_rate: int) -> int:
    """Return the samples of a quarter of a window."""
    return max(round(SECONDS * sample_rate / STEPS_PER_WINDOW), 1)


def _windows(samples: Tensor, sample_rate: int) -> Tensor:
    """Cut ``(windows, samples)`` of half a second; a shorter sound is one window."""
    size = STEPS_PER_WINDOW * _step(sample_rate)
    return samples.unfold(0, size, _step(sample_rate)) if len(samples) >= size else samples.unsqueeze(0)


def _window_powers(samples: npt.NDArray[np.int16], sample_rate: int) -> Tensor:
    """Compute mean squares ``(windows,)`` of `_windows` of a recording in nearly constant memory."""
    step = _step(sample_rate)
    if len(samples) < STEPS_PER_WINDOW * step:
        return _squares(samples).mean(dim=0, keepdim=True)
    ends = range(0, len(samples) // step * step, QUARTERS_TOGETHER * step)
    blocks = [samples[start : start + QUARTERS_TOGETHER * step] for start in ends]  # views
    quarters = [_squares(block[: len(block) // step * step]).view(-1, step).mean(dim=1) for block in blocks]
    return torch.cat(quarters).unfold(0, STEPS_PER_WINDOW, 1).mean(dim=1)


def _squares(samples: npt.NDArray[np.int16]) -> Tensor:
    return torch.from_numpy(samples / 32768).square()


def _decibels(power: Tensor) -> Tensor:
    return 10 * power.clamp(min=FLOOR).log10()


def retry_temperature(temperature: float, fault: Fault) -> float:
    """Return the temperature of the next attempt at a block, after one at ``temperature`` that was loud or silent.

    A network runs away after improbable levels, which a lower temperature avoids. In silence the most probable level
    is silence again, which a lower temperature makes more probable still.
    """
    match fault:
        case "loud":
            return temperature * COOLER
        case "silent":
            return temperature * WARMER


def retry_seed(seed: int, time: int, attempt: int) -> int:
    """Derive a seed for a block that begins ``time`` samples into a clip with seed ``seed``."""
    return int(np.random.SeedSequence([seed, time, attempt]).generate_state(1)[0])
