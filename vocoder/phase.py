"""The phase of a voice, and its past: what WaveNet reads of the pitch, frame by frame and sample by sample.

Codes with a stream of pitch say for each frame whether there is a voice, and its fundamental frequency F0. A sum over
the samples gives the phase of the fundamental, in turns, which the network reads beside the sample before::

    frames      [ unvoiced ][  120 Hz  ][  123 Hz  ][ unvoiced ]
    F0                 |        interpolated between the centres of voiced frames
    amplitude   0 ......../-----------------------\\........ 0       1 where both neighbours are voiced
    phase                  0 .. 1 0 .. 1 0 .. 1 0 ..               stands still where there is no voice

NSF (Wang, Takaki and Yamagishi 2019, arXiv:1810.11946) begins with such a source. In training the phase is that of the
recording: its samples are demodulated by the F0 of the codes, and what is left is the distance of the recording's
fundamental from the sum. So the network learns where in a period it is, and a decoded sound follows the phase that it
is given.

As QPNet (Wu et al. 2019, arXiv:1907.00797) dilates by the period, the network also reads samples some whole periods
back, which keep the timbre of the voice going. These lie before the frame, so that a frame is generated in one call.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from vocoder.options import HARMONICS, TAPS

CENTRE = 7.0  # binary logarithm of 128 Hz: a voice in the middle of those that are tracked
WINDOW_SECONDS = 0.02  # of the demodulation: two periods at 100 Hz


def pitch_inputs(octaves: Tensor) -> Tensor:
    """Convert the pitch ``(..., frames)``, binary logarithms of Hz with nan for no voice, to ``(..., frames, 3)``.

    The three are voiced (0 or 1), unvoiced (0 or 1), and octaves above `CENTRE`; zeros stand for an unknown pitch.
    """
    voiced = ~octaves.isnan()
    height = torch.where(voiced, octaves - CENTRE, 0.0)
    return torch.stack([voiced.to(height), (~voiced).to(height), height], dim=-1).float()


def frequencies(inputs: Tensor, *, hop_length: int, sample_rate: int) -> tuple[Tensor, Tensor]:
    """Interpolate the pitch of frames.

    Args:
        inputs: as of `pitch_inputs`, with one neighbour on each side, ``(1 + frames + 1, 3)``.
        hop_length: samples per frame.
        sample_rate: in Hz.

    Returns:
        Turns per sample ``(frames * hop_length,)`` float64, 0 where there is no voice, and the share of the voice in
        the interpolation ``(frames * hop_length,)`` float64, from 0 to 1.
    """
    place = (torch.arange(hop_length, dtype=torch.float64) + 0.5) / hop_length - 0.5  # from the centre, in frames
    weights = torch.stack([(-place).clamp(min=0), 1 - place.abs(), place.clamp(min=0)])  # (3, H)
    voiced, height = inputs[:, 0].double(), inputs[:, 2].double()
    amplitude = (voiced.unfold(0, 3, 1) @ weights).flatten()  # (F, 3) @ (3, H) -> (F * H,)
    octaves = ((voiced * height).unfold(0, 3, 1) @ weights).flatten() / amplitude.clamp(min=1e-9)
    return torch.where(amplitude > 0, torch.exp2(octaves + CENTRE) / sample_rate, 0.0), amplitude


def lags(turns: Tensor, *, hop_length: int) -> Tensor:
    """Compute how far before each sample its like lies, some periods of ``turns`` per sample, ``(samples,)`` int64.

    They are the fewest periods that span a frame and half the taps, so that all taps are known before the frame is
    generated; 0 where there is no voice.
    """
    least = hop_length + TAPS // 2
    return torch.where(turns > 0, ((least * turns).ceil() / turns.clamp(min=1e-9)).round(), 0.0).long()


def periods_back(samples: Tensor, lag: Tensor) -> Tensor:
    """Take the samples around those that lie ``lag`` before each of the last ones.

    Args:
        samples: ``(batch, before + time)``
        lag: of the last ``time`` samples, as of `lags`, ``(batch, time)``

    Returns:
        ``(batch, time, TAPS)``, the oldest first; zeros before the first sample, and where the lag is 0.
    """
    length = samples.shape[1]
    ends = torch.arange(length - lag.shape[1], length, device=lag.device) - lag + TAPS // 2
    windows = pad(samples, (TAPS - 1, 0)).unfold(1, TAPS, 1)  # (N, before + time, TAPS), each ends at its sample
    taken = windows.gather(1, ends.clamp(0, length - 1)[..., None].expand(-1, -1, TAPS))
    return taken * ((lag > 0) & (ends >= 0))[..., None]


def synthetic_phase(turns: Tensor, amplitude: Tensor, *, start: float) -> tuple[Tensor, float]:
    """Sum turns per sample: the phase and the amplitude ``(samples, 2)`` float32, and the phase after them."""
    phase = start + turns.cumsum(0)
    end = float(phase[-1]) % 1.0 if len(phase) else start
    return torch.stack([phase.remainder(1.0), amplitude], dim=1).float(), end


def recorded_phase(samples: Tensor, turns: Tensor, amplitude: Tensor, *, sample_rate: int) -> Tensor:
    """Measure the phase of a recording's fundamental.

    Args:
        samples: ``(samples,)``.
        turns: of the codes' F0, per sample, as of `frequencies`; the true F0 may differ by half a code.
        amplitude: as of `frequencies`.
        sample_rate: in Hz.

    Returns:
        Phase in turns, of a cosine, and amplitude ``(samples, 2)`` float32.
    """
    carrier = torch.polar(torch.ones_like(turns), 2 * math.pi * turns.cumsum(0))
    window = torch.hann_window(round(WINDOW_SECONDS * sample_rate) // 2 * 2 + 1, periodic=False, dtype=torch.float64)
    points = 1 << (len(samples) + len(window) - 1).bit_length()
    mixed = torch.fft.fft(samples.double() * amplitude * carrier.conj(), points)
    smooth = torch.fft.ifft(mixed * torch.fft.fft(window, points))[len(window) // 2 :][: len(samples)]
    phase = (smooth * carrier).angle() / (2 * math.pi)
    return torch.stack([phase.remainder(1.0), amplitude], dim=1).float()


def harmonics(phase: Tensor) -> Tensor:
    """Convert phase and amplitude ``(..., 2)`` to cosines and sines of harmonics ``(..., 2 * HARMONICS)``."""
    turns, amplitude = phase[..., :1], phase[..., 1:]
    angles = 2 * math.pi * turns * torch.arange(1, HARMONICS + 1, device=phase.device, dtype=phase.dtype)
    return torch.cat([angles.cos(), angles.sin()], dim=-1) * amplitude
