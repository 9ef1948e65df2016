"""Slow oracles: what a fast path computes, written as plainly as the formula. Tests compare the two."""

import cmath
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import cast

import numpy as np
import soundfile
import soxr
import torch
from scipy.signal import hilbert
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor
from torch.nn.functional import conv1d, pad
from transformers import PreTrainedModel

from tokenizer.code_decoder import CodeDecoderNetwork
from tokenizer.tokenizer import Tokenizer
from vocoder.filters import CODED_OFF, FILTER_UNVOICED, STRONGEST, VOICED, VoiceHead, analyse, hann, synthesise
from vocoder.generation import GenerationInput
from vocoder.unlearned import linear_power
from vocoder.wavenet import WaveNet, silence
from wordless.audio import pitch_contour as pitch
from wordless.audio.audio_options import SpectrogramConfig
from wordless.base.arrays import BoolArray, DoubleArray, FloatArray, Floats, IndexArray, IntArray

# Tokenizer: codes in context


def decoded_in_context(decoder: CodeDecoderNetwork, codes: DoubleArray) -> DoubleArray:
    """Each code by itself: reference of `CodeDecoder.decode` of a whole sound ``(time, inputs)``."""
    weights = {name: weight.detach().double().numpy() for name, weight in decoder.named_parameters()}
    width = decoder.last.out_channels

    def inner(name: str, at: Callable[[int], DoubleArray], code: int, dilation: int) -> DoubleArray:
        taps = weights[f"{name}.weight"]  # (out, in, 3)
        return weights[f"{name}.bias"] + sum(taps[:, :, tap] @ at(code + (tap - 1) * dilation) for tap in range(3))

    def hidden(layer: int, code: int) -> DoubleArray:
        if layer == 0:
            return inner("first", lambda at: codes[at] if 0 <= at < len(codes) else np.zeros(codes.shape[1]), code, 1)
        dilation = decoder.config.dilations[layer - 1]
        return hidden(layer - 1, code) + inner(
            f"layers.{layer - 1}", lambda at: np.maximum(hidden(layer - 1, at), 0), code, dilation
        )

    def patch(code: int) -> DoubleArray:
        last = np.maximum(hidden(len(decoder.config.dilations), code), 0)
        return codes[code, :width] + weights["last.weight"][:, :, 0] @ last + weights["last.bias"]

    return np.array([patch(code) for code in range(len(codes))]).reshape(len(codes), width)


# Language model: drawing codes


def filtered_probabilities(logits: Sequence[float], temperature: float, top_k: int) -> list[float]:
    """One row of logits, filtered code by code."""
    ranked = sorted(range(len(logits)), key=lambda code: (-logits[code], code))
    if temperature == 0:
        return [float(code == ranked[0]) for code in range(len(logits))]
    ranked = ranked[: top_k or None]
    weights = {code: math.exp((logits[code] - logits[ranked[0]]) / temperature) for code in ranked}
    return [weights[code] / sum(weights.values()) if code in weights else 0.0 for code in range(len(logits))]


# Pitch


def tracked_pitch(samples: FloatArray, rate: int, hop: int) -> list[float]:
    """Period by period, and by all paths' costs: reference of `wordless.audio.pitch_contour.PitchTracker`."""
    lags = list(range(round(rate / pitch.HIGHEST), round(rate / pitch.LOWEST) + 1))
    window, far = round(rate * pitch.PITCH_WINDOW_SECONDS), rate
    sound = np.pad(samples.astype(np.float64), far)
    octaves = [math.log2(rate / lag) for lag in lags]
    nothing, correlations, before = len(lags), [], []
    costs = np.full((nothing + 1, nothing + 1), pitch.SWITCH)  # from each state to each other
    costs[:nothing, :nothing] = [[pitch.OCTAVE_JUMP * abs(one - other) for other in octaves] for one in octaves]
    costs[nothing, nothing], score = 0.0, np.zeros(nothing + 1)

    def path() -> list[int]:
        states = [int(np.argmax(score))]
        for ways in reversed(before[1:]):
            states.append(ways[states[-1]])
        return states[::-1]

    found: list[int] = []
    for number in range(-(-len(samples) // hop)):
        centre, values = far + number * hop + hop // 2, []
        for lag in lags:
            first = centre - (window + lag) // 2
            one, other = sound[first : first + window], sound[first + lag : first + lag + window]
            extra = pitch.LEAST_POWER * window
            values.append(float(one @ other / math.sqrt((one @ one + extra) * (other @ other + extra))))
        worth = [value - pitch.LONGER * (octaves[0] - each) for value, each in zip(values, octaves, strict=True)]
        ways = (score[:, None] - costs).argmax(axis=0).tolist()
        score = (score[:, None] - costs).max(axis=0) + np.array([*worth, pitch.UNVOICED])
        correlations.append(np.array(values))
        before.append(ways)
        if number >= pitch.PITCH_LOOK_AHEAD:
            found.append(path()[number - pitch.PITCH_LOOK_AHEAD])
    found += path()[len(found) :]
    hertz = [
        math.nan if state == nothing else rate / (lags[state] + pitch.peak_offset(values, state))
        for state, values in zip(found, correlations, strict=True)
    ]
    return [math.log2(each) for each in hertz]


# Vocoder: a layer of WaveNet, and sample after sample


def phase_by_samples(
    octaves: Sequence[float], *, hop_length: int, sample_rate: int, start: float
) -> list[tuple[float, float]]:
    """Phase in turns and amplitude of each sample of frames whose pitch is given as binary logarithms of Hz."""
    known = [math.nan, *octaves, math.nan]
    phase, found = start, list[tuple[float, float]]()
    for sample in range(len(octaves) * hop_length):
        place = (sample + 0.5) / hop_length + 0.5  # in frames from the centre of the frame before the first
        before = math.floor(place)
        pair = [(known[before], 1 - (place - before)), (known[min(before + 1, len(known) - 1)], place - before)]
        voiced = [(octave, weight) for octave, weight in pair if not math.isnan(octave) and weight > 0]
        amplitude = sum(weight for _, weight in voiced)
        if amplitude > 0:
            height = sum(octave * weight for octave, weight in voiced) / amplitude
            phase = (phase + 2**height / sample_rate) % 1.0
        found.append((phase, amplitude))
    return found


def harmonics_by_samples(
    frames: DoubleArray,
    bands: DoubleArray,
    turns: DoubleArray,
    phase: Sequence[float],
    *,
    sample_rate: int,
    split: float,
) -> DoubleArray:
    """Harmonics up to 3.5 kHz of log-mel ``(frames, mels)``, those up to ``split`` Hz and those above ``(samples, 2)``.

    The minimum phase is the negative Hilbert transform of the logarithm of the magnitude.
    """
    hertz, slope, height = bands
    step, grid = len(turns) // len(frames) // 4, np.linspace(0, sample_rate / 2, 257)
    power = [np.interp(grid, hertz, frame * slope + height) for frame in frames]
    angle = [-hilbert(np.concatenate([each, each[-2:0:-1]]) / 2).imag[:257] for each in power]
    pitch = np.concatenate([turns[::step], turns[-1:]]) * sample_rate

    def harmonic(point: int, number: int) -> tuple[complex, float]:
        place, time = number * pitch[point], min(point / 4, len(frames) - 1)
        if not 0 < place < min(3500.0, sample_rate / 2 - 50):
            return 0j, place
        first = int(time)
        near = (first, 1 - (time - first)), (min(first + 1, len(frames) - 1), time - first)
        level, turned = (
            sum(share * np.interp(place, grid, table[at]) for at, share in near) for table in (power, angle)
        )
        return cmath.rect(math.exp(level / 2) * math.sqrt(pitch[point]), turned), place

    found = np.zeros((len(turns), 2))
    for sample, turn in enumerate(phase):
        point, share = sample // step, sample % step / step
        for number in range(1, 59):
            for side, weight in ((point, 1 - share), (point + 1, share)):
                value, place = harmonic(side, number)
                found[sample, int(place > split)] += weight * (value * cmath.exp(2j * math.pi * number * turn)).real
    return found


def periods_back_by_samples(samples: Sequence[float], lag: Sequence[int], taps: int) -> list[list[float]]:
    """The samples around those a lag before each of the last ones, zeros before the first and where the lag is 0."""
    found = []
    for time, distance in enumerate(lag):
        middle = len(samples) - len(lag) + time - distance
        places = range(middle - taps // 2, middle + taps // 2 + 1)
        known = distance > 0 and places[-1] >= 0
        found.append([samples[place] if known and place >= 0 else 0.0 for place in places])
    return found


def gated_layer(
    hidden: Tensor, condition: Tensor, dilated: Tensor, residual: Tensor | None, dilation: int
) -> tuple[Tensor, Tensor]:
    """A layer by PyTorch's own convolution and gradients: see `vocoder.wavenet`."""
    channels = hidden.shape[2]
    taps = dilated.shape[1] // channels
    kernel = dilated.view(len(dilated), taps, channels).transpose(1, 2)  # (G, K * R) -> (G, R, K)
    sound = pad(hidden.transpose(1, 2), ((taps - 1) * dilation, 0))
    gates = conv1d(sound, kernel, dilation=dilation).transpose(1, 2)  # (N, T, G)
    gates = gates + condition.repeat_interleave(hidden.shape[1] // condition.shape[1], dim=1)
    a, b = gates.tanh().chunk(2, dim=2)
    gated = a * (1 + b)
    return gated, hidden if residual is None else hidden + gated @ residual.t()


@torch.inference_mode()
def shaped_by_samples(draws: Sequence[float], voiced: Sequence[float]) -> list[float]:
    """Compute uniform draws of a voice one by one, from independent ones with two more before the first."""
    standard, made = NormalDist(), list[float]()
    normal = [standard.inv_cdf(min(max(draw, 2**-25), 1 - 2**-25)) for draw in draws]
    for time, share in enumerate(voiced):
        if not share:
            made.append(draws[time + 2])
            continue
        weights = [share / math.sqrt(6), -2 * share / math.sqrt(6), share / math.sqrt(6) + 1 - share]
        value = sum(weight * each for weight, each in zip(weights, normal[time : time + 3], strict=True))
        made.append(standard.cdf(value / math.sqrt(sum(weight**2 for weight in weights))))
    return made


def generated_by_the_parallel_model(model: WaveNet, clip: GenerationInput, temperature: float) -> list[int]:
    """Each sample drawn from the parallel model, run anew over all that came before it."""
    steps = len(clip.spectrogram) * model.config.hop_length
    draws = torch.rand(steps, generator=torch.Generator().manual_seed(clip.seed)).tolist()
    previous = torch.full((1, steps), silence(levels=model.config.levels))
    levels: list[int] = []
    for step in range(steps):
        logits = model(previous, clip.spectrogram.unsqueeze(0), torch.tensor([clip.group]))[0, :, step]
        if temperature == 0:
            levels.append(int(logits.argmax()))
        else:
            cumulative = torch.softmax(logits / temperature, dim=0).cumsum(0)
            levels.append(int((cumulative <= draws[step] * cumulative[-1]).sum()))
        previous[0, step + 1 : step + 2] = levels[-1]
    return levels


# Audio: reading in one piece


def read_whole(path: Path, sample_rate: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """A recording decoded, mixed and resampled in one piece: reference of `wordless.audio.reading.read`."""
    samples, from_rate = soundfile.read(path, dtype="float32", always_2d=True)
    resampled = soxr.resample(samples.mean(axis=1), from_rate, sample_rate, quality="HQ")
    length = math.ceil(len(samples) * sample_rate / from_rate)
    return np.pad(resampled[:length], (0, max(length - len(resampled), 0)))


# Vocoder: clips side by side


def cheapest_groups(lengths: list[int], width: int, step_cost: Callable[[int], float]) -> float:
    """Least cost of neighbouring groups of sorted clips, of all there are: reference of `engines.side_by_side`."""
    if not lengths:
        return 0.0
    return min(
        lengths[count - 1] * step_cost(count) + cheapest_groups(lengths[count:], width, step_cost)
        for count in range(1, min(width, len(lengths)) + 1)
    )


# Vocoder: post-filter


def postfiltered(
    samples: FloatArray,
    log_mel: FloatArray,
    config: SpectrogramConfig,
    *,
    strength: float,
    passes: int = 1,
    prompt: int = 0,
    own_voice: bool = False,
) -> DoubleArray:
    """Frame by frame and bin by bin: reference of `vocoder.filters.PostFilter`, for a sound of whole frames."""
    sound = samples.astype(np.float64)
    for _ in range(passes):
        sound = _filtered_once(sound, log_mel, config, strength=strength, prompt=prompt, own_voice=own_voice)
    return np.array([*sound[:prompt], *(limited_sample(float(sample)) for sample in sound[prompt:])])


def limited_sample(sample: float) -> float:
    """Reference of `vocoder.filters.limited`."""
    room = 1 - 2**-14 - 0.9
    above = max(abs(sample) - 0.9, 0)
    return math.copysign(0.9 + room * math.tanh(above / room), sample) if above else sample


def _filtered_once(
    samples: DoubleArray,
    log_mel: FloatArray,
    config: SpectrogramConfig,
    *,
    strength: float,
    prompt: int,
    own_voice: bool,
) -> DoubleArray:
    length, hop = config.window_length, config.hop_length
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    beyond = math.ceil((length - hop) / hop)  # frames that begin before the end, and hear nothing after it
    sound = np.pad(samples, (length, beyond * hop))  # the first ``length`` are before the beginning
    added, weight = np.zeros(len(sound)), np.zeros(len(sound))
    triangles = np.array(mel_triangles(config))
    shares = triangles.sum(axis=0)
    places = np.linspace(0, config.sample_rate / 2, triangles.shape[1])
    centres = triangles @ places / np.maximum(triangles.sum(axis=1), 1e-3)  # Hz
    for frame in range(len(log_mel) + beyond):
        start = length + (frame + 1) * hop - length
        if frame < len(log_mel):  # else those of the last frame
            decibels = 10 / math.log(10) * (log_mel[frame].astype(np.float64) - log_mel_frame(samples, frame, config))
            louder = strength * np.clip(decibels, -20, np.where(own_voice & (centres < 2_700), 9, 20))
            if prompt and start - length < prompt:
                louder[:] = 0
            gains = 10 ** ((louder @ triangles) / np.where(shares > 1e-6, shares, 1) / 20)
        window = sound[start : start + length] * hann
        added[start : start + length] += (np.fft.irfft(np.fft.rfft(window) * gains, n=length) - window) * hann
        weight[start : start + length] += hann**2
    changed: DoubleArray = sound + added / np.maximum(weight, 0.1)
    return changed[length : length + len(samples)]


# Vocoder: judging


def periodicity_by_lag(samples: FloatArray, original: FloatArray, sample_rate: int) -> float | None:
    """Frame by frame and lag by lag: reference of `vocoder.measures`, for two sounds of one length."""
    window, longest = round(0.025 * sample_rate), round(sample_rate / 60)
    starts = range(0, len(samples) - window - longest + 1, round(0.01 * sample_rate))

    def frame(of: FloatArray, start: int) -> DoubleArray:
        part = of[start : start + window + longest].astype(np.float64)
        centred: DoubleArray = part - part.mean()
        return centred

    powers = [float(np.mean(frame(original, start) ** 2)) for start in starts]
    highest = []
    for start, power in zip(starts, powers, strict=True):
        if power > 0 and 10 * math.log10(power / max(powers)) >= -40:
            part, found = frame(samples, start), 0.0
            for lag in range(round(sample_rate / 400), longest + 1):
                one, other = part[:window], part[lag : lag + window]
                length = math.sqrt(float(one @ one) * float(other @ other))
                found = max(found, float(one @ other) / length if length > 1e-9 else 0.0)
            highest.append(found)
    return sum(highest) / len(highest) if highest else None


def pitch_combed(
    samples: FloatArray,
    log_mel: FloatArray,
    head: VoiceHead,
    config: SpectrogramConfig,
    *,
    prompt: int = 0,
    coded: Sequence[float] | None = None,
) -> DoubleArray:
    """Lag by lag and sample by sample: reference of `vocoder.filters.PitchComb`, for a sound of whole frames.

    ``coded`` is the pitch of each frame, in the place of what the head predicts.
    """
    rate, hop = config.sample_rate, config.hop_length
    lags = list(range(round(rate / 400), round(rate / 60) + 1))
    window = round(0.04 * rate)
    before = np.zeros(window + lags[-1])
    sound = np.concatenate([before, samples.astype(np.float64)])
    result, path = sound.copy(), np.zeros(len(lags))
    last_lag, last_strength, total, count = float(lags[-1]), 0.0, np.zeros(config.n_mels), 0.0
    for frame in range(len(log_mel)):
        total, count = 0.98 * total + log_mel[frame].astype(np.float64), 0.98 * count + 1
        inputs = [1.0, *log_mel[frame].astype(np.float64), *(total / count)]
        voicing, octaves = (
            sum(a * b for a, b in zip(row, inputs, strict=True)) for row in (head.voicing, head.octaves)
        )
        octave_off = 1.0
        if coded is not None:
            voicing, octaves = (0.0, 0.0) if math.isnan(coded[frame]) else (1.0, coded[frame])
            octave_off = CODED_OFF
        gate = min(max((voicing - FILTER_UNVOICED) / (VOICED - FILTER_UNVOICED), 0), 1)
        end = len(before) + (frame + 1) * hop
        new = sound[end - window : end]
        found = []
        for lag in lags:
            old = sound[end - window - lag : end - lag]
            scale = math.sqrt((new @ new) * (old @ old))
            found.append(new @ old / scale if scale >= 1e-10 * window else 0.0)
        pitches = [math.log2(rate / lag) for lag in lags]
        values = [
            value - 0.05 * (pitches[0] - pitch) - octave_off * abs(pitch - octaves)
            for value, pitch in zip(found, pitches, strict=True)
        ]
        path = np.array(
            [
                max(path[j] - 6 * abs(pitches[i] - pitches[j]) for j in range(len(lags))) + gate * values[i]
                for i in range(len(lags))
            ]
        )
        path -= path.max()
        best = int(path.argmax())
        lag = float(lags[best])
        if 0 < best < len(lags) - 1 and (bend := found[best - 1] - 2 * found[best] + found[best + 1]) < 0:
            lag += min(max((found[best - 1] - found[best + 1]) / (2 * bend), -0.5), 0.5)
        strength = 0.0 if frame * hop < prompt else STRONGEST * gate
        for step in range(1, hop + 1):
            place = end - hop + step - 1
            g = last_strength + (strength - last_strength) * step / hop
            earlier = place - (last_lag + (lag - last_lag) * step / hop)
            low = math.floor(earlier)
            periodic = (low + 1 - earlier) * result[low] + (earlier - low) * result[low + 1]
            result[place] = (1 - g) * sound[place] + g * periodic
        last_lag, last_strength = lag, strength
    return result[len(before) :]


# Vocoder: sounds that nothing is trained for, of all frames at once


@torch.inference_mode()
def griffin_lim_of_the_whole(
    log_mel: torch.Tensor, config: SpectrogramConfig, *, iterations: int, seed: int
) -> FloatArray:
    """Reference of `vocoder.unlearned`, which works in blocks."""
    magnitude = linear_power(log_mel, config).sqrt()
    draws = torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(seed))
    spectrum = magnitude * torch.exp(2j * math.pi * draws)
    before = torch.zeros_like(spectrum)
    for _ in range(iterations):
        consistent = analyse(synthesise(spectrum, config), config)
        ahead = consistent + 0.99 * (consistent - before)
        spectrum = magnitude * ahead / ahead.abs().clamp(min=1e-12)
        before = consistent
    return synthesise(spectrum, config).numpy()


@torch.inference_mode()
def noise_vocoded_as_a_whole(log_mel: torch.Tensor, config: SpectrogramConfig, *, seed: int) -> FloatArray:
    """Reference of `vocoder.unlearned`, which works in blocks."""
    noise = torch.randn(len(log_mel) * config.hop_length, generator=torch.Generator().manual_seed(seed))
    gains = (linear_power(log_mel, config) / hann(config).square().sum()).sqrt()
    return synthesise(analyse(noise, config) * gains, config).clamp(-1, 1).numpy()


# Audio: one frame of the front end


def log_mel_frame(
    samples: np.ndarray[tuple[int], np.dtype[np.float32]], frame: int, config: SpectrogramConfig
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Log-mel of the window that ends where hop ``frame`` ends, by the sum of the discrete Fourier transform and by
    triangles between equal steps of the HTK mel scale: reference of `wordless.audio.spectrogram.LogMel`.
    """
    length, stop = config.window_length, (frame + 1) * config.hop_length
    window = np.array([samples[time] if time >= 0 else 0.0 for time in range(stop - length, stop)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    bins = np.arange(length // 2 + 1)
    power = np.abs(np.exp(-2j * np.pi * np.outer(bins, np.arange(length)) / length) @ (window * hann)) ** 2
    mels = [float(triangle @ power) for triangle in mel_triangles(config)]
    return np.log(np.array(mels) + config.floor).astype(np.float32)


def levelled(log_mel: Tensor, config: SpectrogramConfig) -> tuple[Tensor, list[float]]:
    """Log-mel ``(time, mels)`` at the reference level, and the level of each step in dB: by loops."""
    own, frames, levels = config.levelling, [], list[float]()
    assert own is not None
    length = config.window_length
    loudest = 10 * math.log10(length / 4 * sum(math.sin(math.pi * n / length) ** 4 for n in range(length)))
    fall = own.decay * own.frames * config.hop_length / config.sample_rate
    for start in range(0, len(log_mel), own.frames):
        step = log_mel[start : start + own.frames].double().exp() - config.floor
        power = float(step.clamp(min=0).sum()) / own.frames
        heard = 10 * math.log10(power) - loudest if power else -math.inf
        levels.append(max(heard, levels[-1] - fall if levels else -math.inf, own.lowest))
        gain = 10 ** ((own.reference - levels[-1]) / 10)
        frames += [torch.log(each.clamp(min=0) * gain + config.floor).float() for each in step]
    return torch.stack(frames), levels


def mel_triangles(config: SpectrogramConfig) -> list[DoubleArray]:
    """How much each Fourier bin counts for each band of the HTK mel scale."""
    ends = [2595 * math.log10(1 + hz / 700) for hz in (config.f_min, config.highest)]
    edges = 700 * (10 ** (np.linspace(*ends, config.n_mels + 2) / 2595) - 1)
    hz = np.arange(config.window_length // 2 + 1) * config.sample_rate / config.window_length
    return [
        np.clip(np.minimum((hz - low) / (centre - low), (high - hz) / (high - centre)), 0, None)
        for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False)
    ]


# Tokenizer: codes of a whole recording


def encode_whole(tokenizer: Tokenizer, samples: FloatArray) -> IndexArray:
    """One spectrogram of the whole padded recording, patch by patch."""
    step = tokenizer.config.samples_per_code
    padded = np.zeros(-(-len(samples) // step) * step, np.float32)
    padded[: len(samples)] = samples
    spectrogram = tokenizer.normalise(tokenizer.log_mel(torch.from_numpy(padded)[None]))[0]
    frames, height = tokenizer.config.patch.frames, tokenizer.config.height
    codes = []
    for time in range(len(spectrogram) // frames):
        for band in range(tokenizer.config.bands):
            patch = spectrogram[time * frames : (time + 1) * frames, band * height : (band + 1) * height]
            with torch.inference_mode():
                bottleneck = tokenizer.autoencoder.encoder(patch.reshape(1, -1))
            codes += nearest_by_distance(bottleneck.numpy(), tokenizer.centroids.numpy()).tolist()
    return np.array(codes).reshape(-1, tokenizer.format.spectral_streams)


def states_by_window(model: PreTrainedModel, samples: Tensor, *, layer: int, field: int, stride: int) -> Tensor:
    """States ``(time, width)`` of a layer, with the convolutions computed for each code's window of samples alone.

    Only for models whose convolutions normalise each frame by itself.
    """
    count = -(-len(samples) // stride)
    padded = pad(samples, (0, (count - 1) * stride + field - len(samples)))
    windows = [padded[code * stride : code * stride + field] for code in range(count)]
    heard = torch.cat([model.feature_extractor(window[None]) for window in windows], dim=2).transpose(1, 2)
    projected = model.feature_projection(heard)
    inputs = projected[0] if isinstance(projected, tuple) else projected
    return cast(Tensor, model.encoder(inputs, output_hidden_states=True).hidden_states[layer][0])


def decode_whole(tokenizer: Tokenizer, values: IntArray) -> FloatArray:
    """Spectrogram ``(frames, mels)`` that codes mean, patch by patch: their centroids, decoded."""
    frames, height = tokenizer.config.patch.frames, tokenizer.config.height
    spectrogram = np.zeros((len(values) * frames, tokenizer.config.audio.n_mels), np.float32)
    for time in range(len(values)):
        for band in range(tokenizer.config.bands):
            with torch.inference_mode():
                patch = (
                    tokenizer.autoencoder.decoder(tokenizer.centroids[values[time, band]])
                    .reshape(frames, height)
                    .numpy()
                )
            spectrogram[time * frames : (time + 1) * frames, band * height : (band + 1) * height] = patch
    return spectrogram


def gain_of_patches(tokenizer: Tokenizer, columns: Tensor) -> float:
    """Decibels from decoded to true power of patches ``(n, frames, mels)``, value by value."""
    floor, true, decoded = tokenizer.front_end.floor, 0.0, 0.0
    for column in columns:
        with torch.inference_mode():
            points = tokenizer.bottlenecks(tokenizer.normalise(column)[None])[0, 0].numpy()  # (bands, bottleneck)
        codes = nearest_by_distance(points, tokenizer.centroids.numpy())
        log_mel = tokenizer.denormalise(torch.from_numpy(decode_whole(tokenizer, codes[None].astype(np.int32))))
        true += sum(max(math.exp(value) - floor, 0) for value in column.flatten().tolist())
        decoded += sum(max(math.exp(value) - floor, 0) for value in log_mel.flatten().tolist())
    return 10 * math.log10(true / decoded)


def nearest_by_distance(points: FloatArray, centroids: FloatArray) -> IndexArray:
    """The nearest centroid of each point, by all distances."""
    squares = ((points[:, None].astype(np.float64) - centroids[None].astype(np.float64)) ** 2).sum(-1)
    return squares.argmin(1)


def nearest_patches(
    tokenizer: Tokenizer, clips: Sequence[FloatArray], *, examples: int
) -> dict[int, list[tuple[int, int]]]:
    """(clip, step) of the patches nearest to each code's centroid, the best of each clip, patch by patch."""
    best: dict[tuple[int, int], tuple[float, int]] = {}  # (code, clip) -> (squared distance, step)
    for clip, samples in enumerate(clips):
        spectrogram = tokenizer.normalise(tokenizer.log_mel(torch.from_numpy(samples)[None]))
        with torch.inference_mode():
            steps = tokenizer.bottlenecks(spectrogram)[0]
        for step, bands in enumerate(steps):
            for point in bands:
                distances = [float((point - centroid).square().sum()) for centroid in tokenizer.centroids]
                code = distances.index(min(distances))
                best[code, clip] = min(best.get((code, clip), (math.inf, 0)), (distances[code], step))
    found: dict[int, list[tuple[int, int]]] = {}
    for (code, clip), (_, step) in sorted(best.items(), key=lambda item: item[1][0]):
        found.setdefault(code, []).append((clip, step))
    return {code: places[:examples] for code, places in found.items()}


# The training loop: linear regression


def regression_by_adamw(
    weights: DoubleArray,
    batches: Sequence[tuple[DoubleArray, DoubleArray]],
    rates: Sequence[float],
    *,
    weight_decay: float,
    clip_norm: float,
    ema_decay: float,
) -> tuple[DoubleArray, DoubleArray]:
    """Weights and their moving average after a step on the mean squared error of each batch ``(x, y)``, by the formula
    of AdamW (Loshchilov & Hutter, 2019) with gradients worked out on paper: reference of `wordless.training.fit.fit`.
    """
    average, first, second = weights.copy(), np.zeros_like(weights), np.zeros_like(weights)
    for step, ((x, y), rate) in enumerate(zip(batches, rates, strict=True), 1):
        gradient = 2 * x.T @ (x @ weights - y) / len(y)
        gradient = gradient * min(1.0, clip_norm / (float(np.linalg.norm(gradient)) + 1e-6))
        first = 0.9 * first + 0.1 * gradient
        second = 0.98 * second + 0.02 * gradient**2
        direction = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.98**step)) + 1e-8)
        weights = weights - rate * weight_decay * weights - rate * direction
        decay = min(ema_decay, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weights
    return weights, average


# Linear probes: the choice of a candidate and of a regularisation strength

Division = tuple[list[int], list[int]]  # the clips that are fitted, and those that judge


def divided(rows: Mapping[str, IndexArray], parts: Sequence[str | None] | None) -> list[Division]:
    """Divide the clips into fitted and judging ones: by split, or for each part of training and validation."""
    if parts is None:
        return [([*rows["train"]], [*rows["validation"]])]
    known = [*rows["train"], *rows["validation"]]
    names = sorted({str(parts[row]) for row in known})
    return [
        ([row for row in known if parts[row] != name], [row for row in known if parts[row] == name]) for name in names
    ]


def unit(features: Floats) -> float:
    """The mean squared norm of centred features ``(clips, dim)``, in which probes have their C."""
    return float(np.square(features - features.mean(0)).sum(1).mean())


def clipped_features(features: FloatArray, train: FloatArray, *, clipping: float) -> DoubleArray:
    """Features ``(clips, dim)`` in deviations of train, one by one, none further from its mean than the clipping."""
    inputs = np.zeros(features.shape)
    for place, (own, known) in enumerate(zip(features.T.astype(np.float64), train.T.astype(np.float64), strict=True)):
        deviation = known.std() if np.ptp(known) else 1.0
        inputs[:, place] = [min(max((each - known.mean()) / deviation, -clipping), clipping) for each in own]
    return inputs


def two_steps(
    candidates: Mapping[str, FloatArray],
    targets: BoolArray,
    divisions: Sequence[Division],
    few: Sequence[float],
    many: Sequence[float],
    *,
    clippings: Sequence[float],
) -> tuple[str, float, float]:
    """Choose for each clipping the candidate by ridge regression with a few C, then clipping and C.

    The clipping is the smallest one whose accuracy is within a standard error, or a point, of the best.
    """
    labels = targets.argmax(1)

    def judge(of: str, c: float, clipping: float, *, ridge: bool) -> float:
        shares = []
        for fitted, judging in divisions:
            train, others = (
                clipped_features(candidates[of][rows], candidates[of][fitted], clipping=clipping)
                for rows in (fitted, judging)
            )
            if ridge:
                model = Ridge(alpha=unit(train) / c).fit(train, targets[fitted].astype(float))
                answers = model.predict(others).argmax(1)
            else:
                model = LogisticRegression(C=c / unit(train), max_iter=1000, tol=1e-3)
                answers = model.fit(train, labels[fitted]).predict(others)
            shares.append(float(np.mean(answers == labels[judging])))
        return float(np.mean(shares))

    chosen = {  # the first of equals
        clipping: max(candidates, key=lambda of: max(judge(of, c, clipping, ridge=True) for c in few))
        for clipping in clippings
    }
    tried = {(c, b): judge(chosen[b], c, b, ridge=False) for b in clippings for c in many}
    best, clips = max(tried.values()), sum(len(judging) for _, judging in divisions)
    # with this accuracy, so many right answers or more are as rare as a value one deviation above the mean
    lowest = beta.ppf(1 - NormalDist().cdf(1), best * clips, (1 - best) * clips + 1)
    clipping = min(clipping for (_, clipping), reached in tried.items() if reached >= min(lowest, best - 0.01))
    return chosen[clipping], clipping, max(many, key=lambda c: tried[c, clipping])


def first_hours_by_loop(sources: Sequence[Mapping[str, int]], milliseconds: float) -> list[list[str]]:
    """Names that are taken from each source: in the order of their hashes until one does not fit."""
    taken: list[list[str]] = [[] for _ in sources]
    used = 0
    waiting = [
        (hashlib.sha256(name.encode()).hexdigest(), number, name)
        for number, each in enumerate(sources)
        for name in each
    ]
    for _, number, name in sorted(waiting):
        used += sources[number][name]
        if used > milliseconds + 1e-3:
            break
        taken[number].append(name)
    return [[name for name in each if name in names] for each, names in zip(sources, taken, strict=True)]


def radical_inverse(number: int, base: int) -> float:
    """Mirror the digits of a number at the point: van der Corput, 1935. In base 2, 6 = 110 becomes 0.011 = 3/8."""
    value, weight = 0.0, 1.0
    while number:
        weight /= base
        value += weight * (number % base)
        number //= base
    return value
