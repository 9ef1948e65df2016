"""The frames that codes stand for, and the vocoder's conditions: the codes' log-mel.

::

    codes        [      c0       ][      c1       ]
    frames       [  f0  ][  f1   ][  f2  ][  f3   ]     patch_frames frames per code
    meaning      log-mel that the code decoder says, or of the centroid; works for every codebook of the tokenizer
    pitch        voicing and height of the codes' stream of pitch, appended last

Frames before and after a clip are zeros. Sample by sample, WaveNet also reads the phase of the voice and its past.
Codes with a stream of pitch say for each frame whether there is a voice, and its fundamental frequency F0. A sum over
the samples gives the phase of the voice, in turns, which the network reads beside the sample before::

    frames      [ unvoiced ][  120 Hz  ][  123 Hz  ][ unvoiced ]
    F0                 |        interpolated between the centres of voiced frames
    amplitude   0 ......../-----------------------\\........ 0       1 where both neighbours are voiced
    phase                  0 .. 1 0 .. 1 0 .. 1 0 ..               stands still where there is no voice

NSF (Wang, Takaki and Yamagishi 2019, arXiv:1810.11946) begins with such a source. The network also reads the sum of the
harmonics at this phase, with the amplitudes that the codes mean (`HarmonicVoice`), in two bands of frequency. In
training the phase is the one with which these harmonics are most like the recording. So the network learns where in a
period it is, and a decoded sound follows the phase that it is given.

As QPNet (Wu et al. 2019, arXiv:1907.00797) dilates by the period, the network also reads samples some whole periods
back, which keep the timbre of the voice going. These lie before the frame, so that a frame is generated in one call.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from tokenizer.codes import BLOCK, CodeDecoder
from vocoder.vocoder_options import NUM_HARMONICS, PITCH_INPUTS, TAPS, WaveNetConfig
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.pitch_contour import LOWEST
from wordless.audio.spectrogram import amplify
from wordless.base.arrays import DoubleArray, IntArray
from wordless.base.devices import exact
from wordless.base.messages import InputError
from wordless.base.threads import one_thread

CENTRE = 7.0  # binary logarithm of 128 Hz: a voice in the middle of those that are tracked
WINDOW_SECONDS = 0.02  # in which a recording's phase is sought: two periods at 100 Hz
PHASES, _ROUNDS = 64, 3  # phases that are tried, and times that they are
STIFFNESS = 0.02  # turns^2 of a change within a point that cost as much as a whole correlation
POINTS = 4  # per frame, at which the harmonics are computed
_GRID = 256  # cells of an envelope
LOW_BAND, HIGHEST_HARMONIC = 1000.0, 3500.0  # Hz


@dataclass(frozen=True, kw_only=True)
class CodePart:
    """Codes of a part of a sound ``(time, streams)``, whose first and last ones are context alone."""

    values: IntArray
    before: int = 0  # codes of context
    after: int = 0
    skipped: int = 0  # inner codes before those that somebody wants

    @property
    def inner(self) -> IntArray:
        """The codes without those of the context."""
        return self.values[self.before : len(self.values) - self.after]


def parts_of(
    blocks: Iterable[IntArray], meanings: CodeDecoder, *, behind: IntArray | None = None
) -> Iterator[CodePart]:
    """Cut codes ``(time, streams)`` that arrive in blocks into parts of `BLOCK` codes, with the context of each.

    A part is given as soon as the codes after it, as many as the decoder looks ahead, have arrived. Codes ``behind``
    the first block, at most as many, are its context: no part gives them.
    """
    reach = meanings.reach
    buffer = np.zeros((0, meanings.format.streams), np.int32) if behind is None else behind
    done = len(buffer)  # codes of the buffer that were given, and are context now
    for block in blocks:
        buffer = np.concatenate([buffer, block])
        while len(buffer) - done >= BLOCK + reach:
            yield CodePart(values=buffer[: done + BLOCK + reach], before=done, after=reach)
            kept = max(done + BLOCK - reach, 0)
            buffer, done = buffer[kept:], done + BLOCK - kept
    while len(buffer) > done:
        last = min(done + BLOCK + reach, len(buffer))
        inner = min(BLOCK, len(buffer) - done)
        yield CodePart(values=buffer[:last], before=done, after=last - done - inner)
        kept = max(done + inner - reach, 0)
        buffer, done = buffer[kept:], done + inner - kept


def code_part_of(values: IntArray, start: int, stop: int, meanings: CodeDecoder) -> CodePart:
    """Return the part of a sound's codes that decodes ``[start, stop)``.

    Parts begin at whole blocks, so a code has the same frames in all of them.
    """
    begin = start // BLOCK * BLOCK if meanings.reach else start
    first, last = max(begin - meanings.reach, 0), min(stop + meanings.reach, len(values))
    return CodePart(values=values[first:last], before=begin - first, after=last - stop, skipped=start - begin)


def code_frames(
    values: Tensor,
    meanings: CodeDecoder,
    config: WaveNetConfig,
    *,
    shift: float = 0.0,
    before: int = 0,
    after: int = 0,
) -> Tensor:
    """Convert codes ``(batch, time, streams)`` int64 to ``(batch, time * patch_frames, condition_inputs)``.

    The pitch is raised by ``shift`` octaves. The first and last codes may be context alone, as of `CodePart`.
    """
    if config.condition == "none":
        raise InputError("vocoder.wavenet.condition is none: such a network has no codes; choose meaning")
    frames = meanings.spectrogram(values, before=before, after=after)
    if not config.pitch:
        return frames
    inner = values[:, before : values.shape[1] - after]
    return torch.cat([frames, pitch_frames(inner, meanings, shift=shift).to(frames.device)], dim=2)


def pitch_frames(values: Tensor, meanings: CodeDecoder, *, shift: float = 0.0) -> Tensor:
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
@exact
def frames_of(part: CodePart, tokenizer: CodeDecoder, config: WaveNetConfig, *, shift: float = 0.0) -> Tensor:
    """Compute the conditions ``(frames, condition_inputs)`` of the inner codes of a part."""
    values, before, after = _batch(part.values), part.before, part.after
    with one_thread():
        return code_frames(values, tokenizer, config, shift=shift, before=before, after=after)[0]


@torch.inference_mode()
@exact
def log_mel_of(codes: IntArray | CodePart, tokenizer: CodeDecoder) -> Tensor:
    """Decode codes ``(time, streams)``, or the inner codes of a part, to unnormalised log-mel ``(frames, mels)``.

    The tokenizer's make-up gain is added, so the log-mel has the power of the training recordings.
    """
    part = codes if isinstance(codes, CodePart) else CodePart(values=codes)
    with one_thread():
        frames = tokenizer.spectrogram(_batch(part.values), before=part.before, after=part.after)
        log_mel = tokenizer.denormalise(frames[0])
        return amplify(log_mel, tokenizer.gain, tokenizer.front_end) if tokenizer.gain else log_mel


def pitch_of(values: IntArray, tokenizer: CodeDecoder) -> DoubleArray | None:
    """Return the pitch of the frames of codes ``(..., time, streams)``, as of `PitchFormat.octaves`, ``(..., frames)``.

    None without a stream of pitch.
    """
    pitch, column = tokenizer.format.pitch, tokenizer.format.column
    return None if pitch is None else pitch.octaves[values[..., column(pitch)]].repeat(tokenizer.patch_frames, axis=-1)


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


def synthetic_phase(turns: Tensor, *, start: float) -> tuple[Tensor, float]:
    """Sum turns per sample: the phase ``(samples,)``, and the phase after them."""
    phase = start + turns.cumsum(0)
    return phase, float(phase[-1]) % 1.0 if len(phase) else start


def band_centres(front_end: SpectrogramConfig) -> Tensor:
    """Return the centre of each mel band in Hz, ``(mels,)`` float32; 0 of a band that is narrower than a bin."""
    filters = front_end.mel_filters()  # (bins, mels)
    places = torch.linspace(0, front_end.sample_rate / 2, len(filters), dtype=torch.float32)
    return places @ filters / filters.sum(dim=0).clamp(min=1e-3)


def voice_bands(front_end: SpectrogramConfig, mean: Tensor, std: Tensor) -> Tensor:
    """Return what a `harmonic_envelope` must know of each mel band of a normalised log-mel, ``(3, mels)`` float32.

    These are its centre in Hz, and the slope and the height of the line from its value to the logarithm of the square
    of the amplitude that a harmonic has there, for each Hz between neighbouring harmonics.
    """
    weights = front_end.mel_filters().sum(dim=0).clamp(min=1e-3)
    window = torch.hann_window(front_end.window_length, dtype=torch.float64).square().sum()
    # A cosine of amplitude A has the power A^2 / 4 * window_length * sum of window^2 in all bins on one side together.
    unit = 4 / float(front_end.sample_rate * window)
    return torch.stack([band_centres(front_end), std, mean - weights.log() + math.log(unit)])


def voice_inputs(phase: Tensor, amplitude: Tensor, lag: Tensor, voice: "HarmonicVoice") -> Tensor:
    """Put together what WaveNet reads of a voice, sample by sample ``(samples, 3 + VOICE_INPUTS)`` float32.

    These are the phase in turns, the amplitude, which is negative for a recording that is upside down, the lag, and the
    harmonics.
    """
    scale = amplitude[:, None]
    return torch.cat(
        [torch.stack([phase.remainder(1.0), amplitude, lag], dim=1), voice.sound(phase) * scale], 1
    ).float()


class HarmonicVoice:
    """The harmonics that the codes of a clip say: amplitudes of their envelope, and its minimum phase.

    ::

        frames       log-mel -> log power per Hz on an even grid up to half the sample rate -> minimum phase
        points       four per frame; amplitude and phase of harmonic k at k * F0, between the two nearest frames
        samples      between the two nearest points: sum over k of Re(c_k exp(2 pi i k phase))

    The minimum phase of an envelope follows from its real cepstrum (Oppenheim and Schafer, "Discrete-Time Signal
    Processing", section 13): voices, which are pulses through resonances, nearly have it. Phase 0 is a pulse.

    Args:
        frames: normalised log-mel ``(frames, mels)``.
        bands: as of `voice_bands`, ``(3, mels)``.
        turns: as of `frequencies`, ``(frames * hop_length,)``.
        sample_rate: in Hz.
    """

    def __init__(self, frames: Tensor, bands: Tensor, turns: Tensor, *, sample_rate: int) -> None:
        self.step = max(len(turns) // len(frames) // POINTS, 1)
        self.length = len(turns)
        hertz = torch.cat([turns[:: self.step], turns[-1:]]) * sample_rate  # (points + 1,)
        numbers = torch.arange(1, int(HIGHEST_HARMONIC / LOWEST) + 1, dtype=torch.float64)
        places = (hertz[:, None] * numbers).clamp(max=sample_rate / 2)  # (points + 1, K), Hz
        power, phase = _envelope(frames.double(), bands.double(), sample_rate)
        frame = (torch.arange(len(hertz)) * self.step / (len(turns) / len(frames))).clamp(max=len(frames) - 1)
        cell = places / (sample_rate / 2) * (power.shape[1] - 1)
        size = (_between(power, frame, cell) / 2).exp() * hertz[:, None].sqrt()
        size = size * ((places > 0) & (places < min(HIGHEST_HARMONIC, sample_rate / 2 - 50)))
        self.places, self.values = places, torch.polar(size, _between(phase, frame, cell))  # (points + 1, K)
        self.numbers = numbers[: max(int((size.sum(dim=0) > 0).sum()), 1)]
        self.places, self.values = self.places[:, : len(self.numbers)], self.values[:, : len(self.numbers)]

    def sound(self, phase: Tensor) -> Tensor:
        """Compute the harmonics below and above `LOW_BAND` of a phase in turns ``(samples,)``: ``(samples, 2)``."""
        turned = self._turned(phase)
        low = self.places <= LOW_BAND
        parts = [self._drawn(torch.where(kept, self.values, 0)) for kept in (low, ~low)]
        return torch.stack([(part * turned).real.sum(dim=1) for part in parts], dim=1)

    def _turned(self, phase: Tensor) -> Tensor:
        """``exp(2 pi i k phase)`` ``(samples, K)``, as powers."""
        first = torch.polar(torch.ones_like(phase), 2 * math.pi * phase)
        return first[:, None].expand(-1, len(self.numbers)).cumprod(dim=1)

    def _drawn(self, values: Tensor) -> Tensor:
        """Values of points ``(points + 1, K)`` at all samples, ``(samples, K)``."""
        share = (torch.arange(self.step, dtype=torch.float64) / self.step)[None, :, None]
        between = values[:-1, None] * (1 - share) + values[1:, None] * share
        return between.flatten(0, 1)[: self.length]

    def fitted(self, samples: Tensor, turns: Tensor, amplitude: Tensor, *, sample_rate: int) -> tuple[Tensor, float]:
        """Find the phase with which the harmonics are most like a recording.

        For each point, a window of the recording is correlated with the harmonics at `PHASES` phases, which is a
        Fourier transform over the harmonics; the best path through these has few turns more or less than the F0 says
        (dynamic programming). The recording may be upside down, as that of a microphone is that is wired so.

        Args:
            samples: ``(samples,)``.
            turns: of the codes' F0, per sample, as of `frequencies`; the true F0 may differ by half a code.
            amplitude: as of `frequencies`.
            sample_rate: in Hz.

        Returns:
            Phase in turns ``(samples,)``, and 1 or -1 for a recording that is upside down.
        """
        width = round(WINDOW_SECONDS * sample_rate) // 2 * 2 + 1
        window = torch.hann_window(width, periodic=False, dtype=torch.float64)
        heard = samples.double() * amplitude
        near = self.values[:-1].conj()
        loud = self._windows((heard.square())[:, None], window)[:, 0]
        scale = (near.abs().square().sum(dim=1) / 2 * loud).clamp(min=1e-16).sqrt()
        phase, sign = turns.cumsum(0), 1.0
        for _ in range(_ROUNDS):
            mixed = self._windows(heard[:, None] * self._turned(phase).conj(), window) * near / scale[:, None]
            spectrum = pad(mixed, (1, PHASES - 1 - mixed.shape[1]))  # of harmonics 0 to PHASES - 1
            score = torch.fft.fft(spectrum, dim=1).real.numpy()  # (points, PHASES)
            voiced = (amplitude[:: self.step] > 0).numpy()
            (_, sign, path) = max(_best_path(side * score, voiced, side) for side in (1.0, -1.0))
            more = np.unwrap(np.array(path) / PHASES, period=1.0)
            at = np.arange(len(more)) * self.step
            phase = phase + torch.from_numpy(np.interp(np.arange(self.length), at, more))
        return phase, sign

    def _windows(self, values: Tensor, window: Tensor) -> Tensor:
        """Mean of values ``(samples, K)`` in a window around each point: ``(points, K)``."""
        half = len(window) // 2
        padded = pad(values, (0, 0, half, half))
        return padded.unfold(0, len(window), self.step) @ (window / window.sum()).to(values.dtype)


def _envelope(frames: Tensor, bands: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
    """Log power per Hz and minimum phase of frames ``(frames, mels)`` on an even grid, ``(frames, GRID + 1)`` each."""
    heard = bands[0] > 0  # a narrow band may hold no frequency of the Fourier transform
    hertz, slope, height = bands[:, heard]
    hertz = hertz.cummax(0).values  # but for rounding they are in order
    frames = frames[:, heard]
    grid = torch.linspace(0, sample_rate / 2, _GRID + 1, dtype=torch.float64)
    right = torch.searchsorted(hertz.contiguous(), grid).clamp(1, len(hertz) - 1)
    # neighbours may hold the same frequency
    share = ((grid - hertz[right - 1]) / (hertz[right] - hertz[right - 1]).clamp(min=1e-3)).clamp(0, 1)
    value = frames * slope + height
    power = value[:, right - 1] * (1 - share) + value[:, right] * share
    cepstrum = torch.fft.irfft(power / 2, dim=1)  # of the logarithm of the magnitude, (frames, 2 * GRID)
    fold = torch.zeros(2 * _GRID, dtype=torch.float64)
    fold[0] = fold[_GRID] = 1
    fold[1:_GRID] = 2
    return power, torch.fft.rfft(cepstrum * fold, dim=1).imag


def _between(table: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Values of a table between its rows ``(points,)`` and columns ``(points, K)``, linearly."""
    row, column = rows.long()[:, None], columns.long().clamp(max=table.shape[1] - 2)
    below = (row + 1).clamp(max=len(table) - 1)
    down, right = rows[:, None] - row, columns - column
    upper = table[row, column] * (1 - right) + table[row, column + 1] * right
    lower = table[below, column] * (1 - right) + table[below, column + 1] * right
    return upper * (1 - down) + lower * down


def _best_path(score: DoubleArray, voiced: NDArray[np.bool_], side: float) -> tuple[float, float, list[int]]:
    """Find the path of phases over points ``(points, PHASES)`` with the highest sum; returns it with sum and side."""
    apart = np.minimum(np.arange(PHASES), PHASES - np.arange(PHASES)) / PHASES
    loss = (apart**2 / STIFFNESS)[(np.arange(PHASES)[:, None] - np.arange(PHASES)) % PHASES]
    total, back = score[0], list[IntArray]()
    for row, sounding in zip(score[1:], voiced[1:], strict=True):
        reached = total - loss if sounding else np.broadcast_to(total, loss.shape)
        back.append(reached.argmax(axis=1))
        total = row + reached.max(axis=1)
    path = [int(total.argmax())]
    for step in reversed(back):
        path.append(int(step[path[-1]]))
    return float(total.max()), side, path[::-1]


def voice_harmonics(phase: Tensor) -> Tensor:
    """Convert phase and amplitude ``(..., 2)`` to cosines and sines of harmonics ``(..., 2 * HARMONICS)``."""
    turns, amplitude = phase[..., :1], phase[..., 1:]
    angles = 2 * math.pi * turns * torch.arange(1, NUM_HARMONICS + 1, device=phase.device, dtype=phase.dtype)
    return torch.cat([angles.cos(), angles.sin()], dim=-1) * amplitude
