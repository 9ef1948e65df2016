"""The frames that codes stand for, and the vocoder's conditions: the codes' log-mel, or the codes themselves.

::

    codes        [      c0       ][      c1       ]
    frames       [  f0  ][  f1   ][  f2  ][  f3   ]     patch_frames frames per code
    meaning      decoded log-mel of the centroid; works for every codebook of the tokenizer
    embedding    1 + the code's number, stream after stream; for one codebook only
    position     0 or 1 for each place within the code, appended to either
    pitch        voicing and height of the codes' stream of pitch, appended last

Frames before and after a clip are zeros. Sample by sample, WaveNet also reads the phase of the voice and its past.
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

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from tokenizer.codes import CodeMeanings
from vocoder.options import HARMONICS, PITCH_INPUTS, TAPS, WaveNetConfig
from wordless.audio.spectrogram import mel_power
from wordless.base.array_types import DoubleArray, IntArray
from wordless.base.errors import InputError
from wordless.base.machine import one_thread

CENTRE = 7.0  # binary logarithm of 128 Hz: a voice in the middle of those that are tracked
WINDOW_SECONDS = 0.02  # of the demodulation: two periods at 100 Hz


def code_frames(values: Tensor, meanings: CodeMeanings, config: WaveNetConfig, *, shift: float = 0.0) -> Tensor:
    """Convert codes ``(batch, time, streams)`` int64 to ``(batch, time * patch_frames, condition_inputs)``.

    The pitch is raised by ``shift`` octaves.
    """
    match config.condition:
        case "meaning":
            frames = meanings.spectrogram(values)
        case "embedding":
            if meanings.format.codebook != config.codebook:
                raise InputError(
                    f"the vocoder knows the codes of codebook {config.codebook} alone, and these are of "
                    f"{meanings.format.codebook}: train one for it, or one with vocoder.wavenet.condition=meaning, "
                    "which serves every codebook of its tokenizer"
                )
            spectral = values[..., : config.streams]
            frames = (1 + spectral).float().repeat_interleave(config.patch_frames, dim=1)
        case "none":
            raise InputError("vocoder.wavenet.condition is none: such a network has no codes; choose meaning")
    parts = [frames]
    if config.code_position:
        places = one_hot(torch.arange(config.patch_frames, device=frames.device), config.patch_frames).to(frames)
        parts.append(places.repeat(values.shape[1], 1).expand(len(values), -1, -1))  # (N, time * P, P)
    if config.pitch:
        parts.append(pitch_frames(values, meanings, shift=shift).to(frames.device))
    return torch.cat(parts, dim=2)


def pitch_frames(values: Tensor, meanings: CodeMeanings, *, shift: float = 0.0) -> Tensor:
    """Return the pitch of codes ``(batch, time, streams)`` as `pitch_inputs` ``(batch, time * patch_frames, 3)``.

    Without a stream of pitch it is unknown.
    """
    if (octaves := pitch_of(values.cpu().numpy(), meanings)) is None:
        frames = values.shape[1] * meanings.patch_frames
        return torch.zeros(len(values), frames, PITCH_INPUTS, dtype=torch.float32)
    return pitch_inputs(torch.from_numpy(octaves) + shift)


def mean_level(frames: Tensor, config: WaveNetConfig) -> float:
    """Average the normalised log-mel of frames ``(frames, condition_inputs)``; 0, the overall mean, if unknown."""
    return float(frames[:, : config.n_mels].mean()) if config.condition == "meaning" else 0.0


@torch.inference_mode()
def frames_of(values: IntArray, tokenizer: CodeMeanings, config: WaveNetConfig, *, shift: float = 0.0) -> Tensor:
    """Compute the conditions ``(frames, condition_inputs)`` of codes ``(time, streams)``."""
    with one_thread():
        return code_frames(_batch(values), tokenizer, config, shift=shift)[0]


@torch.inference_mode()
def log_mel_of(values: IntArray, tokenizer: CodeMeanings) -> Tensor:
    """Decode codes ``(time, streams)`` to unnormalised log-mel ``(frames, mels)`` for synthesis.

    The tokenizer's make-up gain is added, so the log-mel has the power of the training recordings.
    """
    with one_thread():
        log_mel = tokenizer.denormalise(tokenizer.spectrogram(_batch(values))[0])
        if not tokenizer.gain:
            return log_mel
        power = mel_power(log_mel, tokenizer.front_end) * 10 ** (tokenizer.gain / 10)
        return torch.log(power + tokenizer.front_end.floor)


def pitch_of(values: IntArray, tokenizer: CodeMeanings) -> DoubleArray | None:
    """Return the pitch of the frames of codes ``(..., time, streams)``, as of `PitchFormat.octaves`, ``(..., frames)``.

    None without a stream of pitch.
    """
    pitch = tokenizer.format.pitch
    return None if pitch is None else pitch.octaves[values[..., -1]].repeat(tokenizer.patch_frames, axis=-1)


def _batch(values: IntArray) -> Tensor:
    return torch.from_numpy(values.astype(np.int64)).unsqueeze(0)


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
    """Compute the lag of each sample, a whole number of periods of ``turns`` per sample: ``(samples,)`` int64.

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
