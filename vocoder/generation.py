"""Sample-by-sample generation with the fastest available engine, and the guard against sound that runs away.

The conditions, which depend on the codes alone, are computed once per frame, a chunk of frames at a time. Memory grows
only by the samples of a clip, and `Generation.levels` gives them away as they are made::

    frames      | chunk 0 | chunk 1 | chunk 2 |..     counted from the beginning of the clip
    conditions       one call each, of the chunk and look_ahead_frames on either side
    samples          one call of the engine each

Generated sound may run away into noise or fall silent, which recordings do not. The measure is the root mean square of
every half second, compared with those of the training recordings::

    dBFS  ..... silent | QUIETER | lowest .......... highest | LOUDER | runaway .....

A sound shorter than half a second counts as a whole, in the recordings and here. Silence is wrong only where the codes
mean more than the average level of the recordings. A window that began before the new samples is odd only if the new
samples in it are odd too, because drawing them again cannot improve older samples.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from vocoder.engines import Engine, bookmark, choose_engine, create_streams, streams_side_by_side
from vocoder.frames import WINDOW_SECONDS, HarmonicVoice, frequencies, lags, mean_level, synthetic_phase, voice_inputs
from vocoder.vocoder_options import PITCH_INPUTS, TAPS, VOICE_INPUTS, EngineChoice, Sampling
from vocoder.wavenet import UNKNOWN_GROUP, WaveNet, mu_law_decode, silence
from wordless.audio.pitch_contour import LOWEST
from wordless.base.devices import copy_to, exact
from wordless.base.messages import InputError
from wordless.base.threads import one_thread

SECONDS = 0.5
STEPS_PER_WINDOW = 4  # windows overlap by three quarters
LOWEST_SHARE, HIGHEST_SHARE = 0.005, 0.995  # quantiles, so that a few odd recordings do not matter
LOUDER = QUIETER = 6.0  # dB
_ATTEMPTS = 2  # at drawing a block again
FLOOR = 1e-12  # power of digital silence: -120 dBFS

Fault = Literal["loud", "silent"]
# Factor of the temperature for each attempt. A network runs away after improbable levels, which a lower temperature
# avoids. In silence the most probable level is silence again, which a lower temperature makes more probable still.
RETRY: dict[Fault, float] = {"loud": 0.8, "silent": 1 / 0.8}


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
        """Return whether some half second of ``samples (samples,)`` is too loud, or else wrongly silent.

        ``meant`` is the mean of the normalised log-mel that the samples in question stand for; 0 is the recordings'
        average. The first ``before`` samples are not in question: the half second before the others.
        """
        power = _half_seconds(samples.double().square(), sample_rate)
        new = _half_seconds(torch.arange(len(samples)) >= before, sample_rate)
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


def _half_seconds(samples: Tensor, sample_rate: int) -> Tensor:
    """Cut ``(windows, samples)`` of half a second; a shorter sound is one window."""
    size = STEPS_PER_WINDOW * _step(sample_rate)
    return samples.unfold(0, size, _step(sample_rate)) if len(samples) >= size else samples.unsqueeze(0)


def _window_powers(samples: npt.NDArray[np.int16], sample_rate: int) -> Tensor:
    """Compute mean squares ``(windows,)`` of `_half_seconds` of a recording in nearly constant memory."""
    step = _step(sample_rate)
    if len(samples) < STEPS_PER_WINDOW * step:
        return torch.tensor([np.square(samples / 32768).mean()])
    quarters = samples[: len(samples) // step * step].reshape(-1, step)
    powers = torch.tensor([np.square(quarter / 32768).mean() for quarter in quarters])
    return powers.unfold(0, STEPS_PER_WINDOW, 1).mean(dim=1)


def _decibels(power: Tensor) -> Tensor:
    return 10 * power.clamp(min=FLOOR).log10()


CHUNK_FRAMES = 64  # frames whose conditions and random numbers are made together
TO_DRAW = -1  # marks a level that is to be drawn
AS_LEARNED = Sampling(temperature=1.0)

SampleProgress = Callable[[int, int], None]  # steps done, steps in all


@dataclass(frozen=True, kw_only=True, eq=False)
class GenerationInput:
    """Inputs of the generation of one clip."""

    spectrogram: Tensor  # (frames, inputs), conditions: see vocoder.frames
    group: int = UNKNOWN_GROUP  # index into WaveNetConfig.groups
    seed: int = 0  # of this clip
    prompt: Tensor | None = None  # levels (samples,) int64 at the beginning of the clip, in place of generated ones


@torch.inference_mode()
@exact
def generate(
    model: WaveNet,
    inputs: Sequence[GenerationInput],
    *,
    sampling: Sampling = AS_LEARNED,
    engine: EngineChoice = "auto",
    guard: RunawayGuard | None = None,
    progress: SampleProgress | None = None,
) -> list[Tensor]:
    """Generate levels ``(frames * hop_length,)`` int32 on the CPU for each clip, sample by sample.

    Clips of similar length are generated side by side; each has a random generator with its own seed. The same seed
    gives the same levels on the same engine. On CPU engines they do not depend on the other clips; those of a GPU may
    round differently with other clips, as do two engines. After the first draw that such a difference changes, the
    sounds differ.

    Args:
        model: the network.
        inputs: one for each clip; their seeds and groups count, not those of ``sampling``.
        sampling: its temperature.
        engine: ``auto`` takes the fastest that is available.
        guard: draws runaway chunks again at a lower temperature, and silent ones at a higher temperature; None: they
            are kept.
        progress: called after every chunk with the steps done and the steps in all.

    Raises:
        InputError: a prompt is longer than its clip.
    """
    hop, chosen = model.config.hop_length, choose_engine(engine, model.embedding.weight.device.type).engine
    for clip in inputs:
        if clip.prompt is not None and len(clip.prompt) > len(clip.spectrogram) * hop:
            raise _too_long(len(clip.prompt), len(clip.spectrogram) * hop)
    groups = streams_side_by_side([len(clip.spectrogram) for clip in inputs], chosen)
    done, total = 0, hop * sum(len(inputs[group[-1]].spectrogram) for group in groups)
    levels: dict[int, Tensor] = {}
    for group in groups:
        clips = [inputs[index] for index in group]
        pieces = [torch.zeros(len(clips), 0, dtype=torch.int32)]
        frames = [torch.split(clip.spectrogram, CHUNK_FRAMES) for clip in clips]
        for made in Generation(model, clips, sampling, chosen, guard).levels(frames):
            pieces.append(made)
            done += made.shape[1]
            if progress is not None:
                progress(done, total)
        sounds = zip(group, clips, torch.cat(pieces, dim=1), strict=True)
        levels.update((index, sound[: len(clip.spectrogram) * hop]) for index, clip, sound in sounds)
    return [levels[index] for index in range(len(inputs))]


def _too_long(prompt: int, samples: int) -> InputError:
    return InputError(
        f"the prompt has {prompt} samples and the codes stand for {samples}; give the codes of the prompt and of what "
        "follows it, as one"
    )


class Generation:
    """Clips that one engine generates side by side."""

    def __init__(
        self,
        model: WaveNet,
        clips: Sequence[GenerationInput],
        sampling: Sampling,
        engine: Engine,
        guard: RunawayGuard | None,
    ) -> None:
        self.model, self.clips, self.sampling, self.guard = model, clips, sampling, guard
        self.streams = create_streams(model, len(clips), engine)
        self.generators = [torch.Generator().manual_seed(clip.seed) for clip in clips]
        self.time = 0  # samples so far
        self.sides = [1.0 for _ in clips]  # -1: the prompt is upside down
        self.phases = [0.0 for _ in clips]  # of the voice of each clip, in turns
        self.drawn = torch.full((len(clips), 2), 0.5)  # the last random numbers of each clip
        config = model.config
        reach = config.hop_length + TAPS + math.ceil(config.sample_rate / LOWEST)  # the longest lag, and its taps
        reach = max(reach, history(config.sample_rate))
        self.before = torch.full((len(clips), reach), silence(levels=config.levels))  # the last levels

    @torch.inference_mode()
    @exact
    def levels(self, frames: Sequence[Iterable[Tensor]]) -> Iterator[Tensor]:
        """Give the levels ``(clips, chunk)`` int32 on the CPU of conditions that arrive in blocks of any length.

        Those of each clip are ``(frames, inputs)``. A chunk waits for ``look_ahead_frames`` frames after it. Levels
        after a clip's end are meaningless.
        """
        config, prompts = self.model.config, [clip.prompt for clip in self.clips if clip.prompt is not None]
        ended = torch.zeros(0, config.condition_inputs, dtype=torch.float32)
        windows = (_windows(blocks, config.look_ahead_frames) for blocks in frames)
        for chunk in zip_longest(*windows, fillvalue=ended):
            yield self._chunk(chunk)
        if (longest := max(map(len, prompts), default=0)) > self.time:
            raise _too_long(longest, self.time)

    def _chunk(self, windows: Sequence[Tensor]) -> Tensor:
        """Generate levels ``(clips, frames * hop_length)`` int32 of the next frames, as many as the longest window has.

        ``windows`` are the conditions of each clip, ``(own frames + 2 * look_ahead_frames, inputs)``; empty after its
        end, where its levels are meaningless.
        """
        frames = max(map(len, windows)) - 2 * self.model.config.look_ahead_frames
        steps = frames * self.model.config.hop_length
        # Random generators give the same numbers in chunks of any length.
        draws = torch.stack(
            [torch.rand(steps, generator=generator, dtype=torch.float32) for generator in self.generators]
        )
        given = torch.full((len(self.clips), steps), TO_DRAW)
        for own, clip in zip(given, self.clips, strict=True):
            if clip.prompt is not None:
                known = clip.prompt[self.time : self.time + steps]
                own[: len(known)] = known
        conditions, phase = self._conditions(windows, frames), self._phase(windows, given)
        if self.guard is None:
            levels = self._advance(conditions, given, self._shaped(draws, phase), self.sampling, phase)
        else:
            levels = self._guarded(self.guard, windows, conditions, given, draws, phase)
        self.before = torch.cat([self.before, levels], dim=1)[:, -self.before.shape[1] :]
        self.drawn = torch.cat([self.drawn, draws], dim=1)[:, -2:]
        self.time += steps
        return levels.to(torch.int32)

    def _shaped(self, draws: Tensor, phase: Tensor | None) -> Tensor:
        """Shape the random numbers of a chunk ``(clips, samples)`` of a voice that no comb makes periodic."""
        if phase is None or self.sampling.pitch_comb:
            return draws
        return shaped(torch.cat([self.drawn, draws], dim=1), phase[..., 1].abs())

    def _advance(
        self, conditions: Tensor, given: Tensor, draws: Tensor, sampling: Sampling, phase: Tensor | None
    ) -> Tensor:
        """Generate levels; with a pitch frame by frame, because what lies some periods back must be known."""
        if phase is None:
            return self.streams.advance(conditions, given, draws, sampling)
        hop, levels, device = self.model.config.hop_length, self.before, self.model.embedding.weight.device
        pieces = list[Tensor]()
        for frame in range(conditions.shape[1]):
            place = slice(frame * hop, (frame + 1) * hop)
            past = torch.cat([levels, torch.zeros(len(levels), hop, dtype=levels.dtype)], dim=1)
            # On a CPU clip by clip, because products of other shapes round differently.
            together = len(levels) if device.type == "cuda" else 1
            with one_thread():
                carried = [
                    self.model.carried(copy_to(own, device), copy_to(before, device))
                    for own, before in zip(
                        torch.split(phase[:, place], together), torch.split(past, together), strict=True
                    )
                ]
            made = self.streams.advance(
                conditions[:, [frame]], given[:, place], draws[:, place], sampling, torch.cat(carried)
            )
            levels = torch.cat([levels[:, hop:], made.to(levels.dtype)], dim=1)
            pieces.append(made)
        return torch.cat(pieces, dim=1)

    def _guarded(
        self,
        guard: RunawayGuard,
        windows: Sequence[Tensor],
        conditions: Tensor,
        given: Tensor,
        draws: Tensor,
        phase: Tensor | None,
    ) -> Tensor:
        """Generate levels; runaway or silent clips are drawn again, each at its own temperature. The others stay."""
        go_back = bookmark(self.streams)
        levels = self._advance(conditions, given, self._shaped(draws, phase), self.sampling, phase)
        faults = self._faults(guard, windows, given, levels)
        guard.found += len(faults)
        heat = dict.fromkeys(faults, self.sampling.temperature)
        for attempt in range(1, _ATTEMPTS + 1):
            if not faults or not self.sampling.temperature:  # at 0 the result would be the same
                break
            heat = {clip: heat[clip] * RETRY[fault] for clip, fault in faults.items()}
            for temperature in sorted(set(heat.values())):
                draws, fixed = torch.zeros(levels.shape, dtype=torch.float32), levels.clone()
                for clip in (clip for clip, own in heat.items() if own == temperature):
                    seeds = np.random.SeedSequence([self.clips[clip].seed, self.time, attempt])
                    generator = torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))
                    draws[clip] = torch.rand(levels.shape[1], generator=generator, dtype=torch.float32)
                    fixed[clip] = given[clip]
                go_back()
                warmer = replace(self.sampling, temperature=temperature)
                levels = self._advance(conditions, fixed, self._shaped(draws, phase), warmer, phase)
            faults = self._faults(guard, windows, given, levels)
        guard.left += len(faults)
        return levels

    def _faults(
        self, guard: RunawayGuard, windows: Sequence[Tensor], given: Tensor, levels: Tensor
    ) -> dict[int, Fault]:
        """Return the clips whose chunk was drawn, not given, and is too loud or wrongly silent."""
        config, found = self.model.config, dict[int, Fault]()
        recent = min(self.time, history(config.sample_rate))  # levels that the guard looks back at
        for clip, window in enumerate(windows):
            own = window[config.look_ahead_frames : len(window) - config.look_ahead_frames]
            samples = len(own) * config.hop_length
            known = int((given[clip, :samples] >= 0).sum())  # given by a prompt, and not drawn again
            if known == samples:
                continue
            heard = torch.cat([self.before[clip, self.before.shape[1] - recent :], levels[clip, :samples]])
            sound = mu_law_decode(heard, levels=config.levels)
            meant = mean_level(own, config)
            fault = guard.fault(sound, config.sample_rate, meant=meant, before=recent + known)
            if fault is not None:
                found[clip] = fault
        return found

    def _conditions(self, windows: Sequence[Tensor], frames: int) -> Tensor:
        """Compute ``(clips, frames, layers, gates)``; meaningless after a clip's end.

        On the CPU each clip is computed alone and on one thread, because convolutions of other shapes round
        differently. On a GPU, whose levels may depend on the other clips, all are one call.
        """
        config, device = self.model.config, self.model.embedding.weight.device
        if device.type == "cuda":
            padded = pad_sequence(list(windows), batch_first=True)  # zeros behind a clip, as its last window has them
            groups = torch.tensor([clip.group for clip in self.clips])
            return self.model.conditions.project(copy_to(padded, device), copy_to(groups, device))
        conditions = torch.zeros(len(windows), frames, config.layers, config.gate_channels, dtype=torch.float32)
        with one_thread():
            for row, window, clip in zip(conditions, windows, self.clips, strict=True):
                own = len(window) - 2 * config.look_ahead_frames
                if own > 0:
                    row[:own] = self.model.conditions.project(window.unsqueeze(0), torch.tensor([clip.group]))[0]
        return conditions

    def _phase(self, windows: Sequence[Tensor], given: Tensor) -> Tensor | None:
        """Compute what the network reads of a voice for each sample, as of `voice_inputs`; None: it reads no pitch.

        Within a prompt the phase is that of its samples, and the voice goes on from there.
        """
        config = self.model.config
        if not config.pitch:
            return None
        phase = torch.zeros(*given.shape, 3 + VOICE_INPUTS, dtype=torch.float32)
        hop, rate, edge = config.hop_length, config.sample_rate, config.look_ahead_frames
        bands = self.model.get_buffer("bands").cpu()
        with one_thread():
            for clip, window in enumerate(windows):
                if not len(window):
                    continue
                pitch = window[edge - 1 : len(window) - edge + 1, -PITCH_INPUTS:]
                turns, amplitude = frequencies(pitch, hop_length=hop, sample_rate=rate)
                if not amplitude.any():
                    continue
                mels = window[edge : len(window) - edge, : config.n_mels]
                voice = HarmonicVoice(mels, bands, turns, sample_rate=rate)
                known = given[clip, : len(turns)]
                known = mu_law_decode(known[known >= 0], levels=config.levels)  # the samples of the prompt
                count, start, heard = len(known), self.phases[clip], turns[:0]
                # Less of a voice tells no phase: it goes on as it was.
                if float(amplitude[:count].sum()) >= WINDOW_SECONDS * rate:
                    sound = pad(known.double(), (0, len(turns) - count))
                    heard, self.sides[clip] = voice.fitted(sound, turns, amplitude, sample_rate=rate)
                    heard = heard[:count]
                    start = float(heard[-1])
                made, self.phases[clip] = synthetic_phase(turns[len(heard) :], start=start)
                turned = torch.cat([heard, made])
                lag = lags(turns, hop_length=hop)
                phase[clip, : len(turns)] = voice_inputs(turned, self.sides[clip] * amplitude, lag, voice)
        return phase


def shaped(draws: Tensor, voiced: Tensor) -> Tensor:
    """Move the noise of sampling away from the low frequencies, where a voice is most periodic.

    A voice is hoarse if its samples are drawn independently: each draw adds noise, and this noise is white. Therefore
    the draws of a voice are converted to normal variables, and their second differences, whose spectrum rises by 12 dB
    per octave, are converted back to uniform draws. Each sample still has the network's own distribution, but the
    errors of neighbours cancel. Coders of speech shape their errors in this way (Atal and Schroeder 1979, "Predictive
    coding of speech signals and subjective error criteria").

    Args:
        draws: independent, uniform in [0, 1), with two before the first, ``(batch, 2 + time)``.
        voiced: the share of the voice, 0 to 1, ``(batch, time)``.

    Returns:
        Uniform draws ``(batch, time)`` float32; those without a voice as they were.
    """
    normal = torch.special.ndtri(draws.double().clamp(2**-25, 1 - 2**-25))
    share, plain = voiced.double(), normal[:, 2:]
    second = (plain - 2 * normal[:, 1:-1] + normal[:, :-2]) / math.sqrt(6)
    mixed = share * second + (1 - share) * plain
    # of variables with variance 1 and the covariance 1 / sqrt(6)
    deviation = (share**2 + (1 - share) ** 2 + 2 * share * (1 - share) / math.sqrt(6)).sqrt()
    uniform = torch.special.ndtr(mixed / deviation).float().clamp(max=1 - 2**-24)
    return torch.where(voiced > 0, uniform, draws[:, 2:])


def _windows(blocks: Iterable[Tensor], edge: int) -> Iterator[Tensor]:
    """Cut blocks ``(frames, inputs)`` into chunks with ``edge`` neighbours on either side, zeros beyond the ends."""
    waiting: Tensor | None = None  # begins `edge` frames before the next chunk
    for block in blocks:
        waiting = pad(block, (0, 0, edge, 0)) if waiting is None else torch.cat([waiting, block])
        while len(waiting) >= CHUNK_FRAMES + 2 * edge:
            yield waiting[: CHUNK_FRAMES + 2 * edge]
            waiting = waiting[CHUNK_FRAMES:]
    if waiting is not None:
        ended = pad(waiting, (0, 0, 0, edge))
        while len(ended) > 2 * edge:  # two chunks if the edge has more frames than the last chunk
            yield ended[: CHUNK_FRAMES + 2 * edge]
            ended = ended[CHUNK_FRAMES:]
