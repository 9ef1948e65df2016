"""Log-mel front end with exact frame arithmetic and no look-ahead.

Frame ``t`` ends where hop ``t`` ends, so it uses no sample from ``(t + 1) * hop_length`` on::

    left pad  samples
    |<----->|<- hop ->|         |         |
    [------ window 0 -]         |         |       frame 0
              [------ window 1 -]         |       frame 1
                        [------ window 2 -]       frame 2

A recording's log-mel can be normalised: removal of its mean per mel band, and a floor relative to its loud values. In
log-mel the channel, and much of the speaker, are a constant; so is the recording level.

"Cepstral mean subtraction" in the log-mel domain (Atal, 1974; Furui, 1981). The mean of the whole clip needs the whole
clip before its first frame. The running mean of all frames so far needs no later frame.

`AudioSettings` are the user's options, in milliseconds. `warp` reads a spectrogram at another speed and with other
formants, as of another speaker.
"""

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
import torch
import torchaudio
from safetensors.torch import load_file
from torch import Tensor, nn

from wordless.audio.audio_options import MeanRemoval, SpectrogramConfig
from wordless.audio.views import Change, View
from wordless.audio.waveform import equal_blocks
from wordless.base.arrays import FloatArray
from wordless.base.devices import copy_to, exact

_LOUD = 0.99  # share of a recording's values below its loud values


def limit_range(pieces: Iterable[Tensor], decibels: float) -> Iterator[Tensor]:
    """Raise the log-mel pieces ``(time, mels)`` of a recording to a floor ``decibels`` below its loud values.

    The floor hides the noise of a soft recording as it hides that of a loud one. Loud values are known only at the end,
    so the recording's spectrogram is held in memory.
    """
    held = list(pieces)
    if not any(piece.numel() for piece in held):
        yield from held
        return
    values = torch.cat([piece.flatten() for piece in held])
    floor = values.kthvalue(max(round(_LOUD * len(values)), 1)).values - decibels * math.log(10) / 10
    yield from (torch.logaddexp(piece, floor) for piece in held)


def subtract_mean(pieces: Iterable[Tensor], how: MeanRemoval) -> Iterator[Tensor]:
    """Subtract the mean per mel band from the pieces ``(time, mels)`` of one recording, given in order.

    "clip" holds the whole spectrogram in memory, the other two hold one piece. The mean is over all given frames,
    including the silence that pads a last hop or patch.
    """
    match how:
        case "none":
            yield from pieces
        case "clip":
            held = list(pieces)
            if held:
                mean = torch.cat(held).mean(0)
                yield from (piece - mean for piece in held)
        case "running":
            seen, total = 0, torch.zeros(())
            for piece in pieces:  # from frame t, the mean of frames 0 to t
                # (time, mels); fp64, so that no hour rounds better than another
                sums = piece.double().cumsum(0) + total
                counts = torch.arange(seen + 1, seen + 1 + len(piece), device=piece.device, dtype=torch.float64)
                if len(piece):
                    seen, total = seen + len(piece), sums[-1]
                yield piece - (sums / counts[:, None]).float()


def follow_level(pieces: Iterable[Tensor], config: SpectrogramConfig) -> Iterator[tuple[Tensor, Tensor]]:
    """Bring the log-mel pieces ``(time, mels)`` of a recording to the reference level, step by step.

    The level of a step is its power or, if this is higher, the level of the step before, less the decay. It looks at
    the past alone, and a recording with another gain has the same levels, so many dB higher or lower. Each piece but
    the last holds whole steps.

    Yields:
        Pieces at the reference level, above the front end's floor; and levels in dB full scale ``(steps,)`` float64.
    """
    before: Tensor | None = None
    for piece in pieces:
        heard, levels = at_reference(piece, config, before)
        before = levels[-1:] if len(levels) else before
        yield heard, levels


def at_reference(log_mel: Tensor, config: SpectrogramConfig, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Bring log-mel ``(..., time, mels)`` to the reference level; also return the levels ``(..., steps)``.

    ``before`` is the level of the step before ``(..., 1)``; None: there is none.
    """
    own = config.levelling
    assert own is not None, "the front end follows no level"
    time, fall = log_mel.shape[-2], own.decay * own.frames * config.hop_length / config.sample_rate  # dB per step
    power = nn.functional.pad(mel_power(log_mel, config).double().sum(-1), (0, -time % own.frames))
    steps = power.reshape(*power.shape[:-1], power.shape[-1] // own.frames, own.frames)
    decibels = 10 * torch.log10(steps.mean(-1) / config.full_scale)  # (..., steps)
    first = torch.full_like(decibels[..., :1], own.lowest) if before is None else before
    falls = fall * torch.arange(1 + decibels.shape[-1], device=log_mel.device, dtype=torch.float64)
    levels = (torch.cat([first, decibels], -1) + falls).cummax(-1).values[..., 1:] - falls[1:]
    levels = levels.clamp(min=own.lowest)
    gains = (own.reference - levels).repeat_interleave(own.frames, -1)[..., :time, None]
    return amplify(log_mel, gains, config), levels


def bounded(pieces: Iterable[Tensor], config: SpectrogramConfig, decibels: float | None) -> Iterator[Tensor]:
    """Bound the range of pieces if ``decibels`` are given, and bring them to the reference level if one is followed."""
    limited = iter(pieces) if decibels is None else limit_range(pieces, decibels)
    return limited if config.levelling is None else (piece for piece, _ in follow_level(limited, config))


def amplify(log_mel: Tensor, decibels: Tensor | float, config: SpectrogramConfig) -> Tensor:
    """Return unnormalised log-mel with another gain in dB; the front end's floor stays."""
    return torch.log(mel_power(log_mel, config) * 10 ** (decibels / 10) + config.floor).to(log_mel.dtype)


class LogMel(nn.Module):
    """Natural logarithm of the mel power spectrogram (HTK mel scale, Hann window), not normalised."""

    filters: Tensor

    def __init__(self, config: SpectrogramConfig) -> None:
        super().__init__()
        self.config = config
        self.power = torchaudio.transforms.Spectrogram(
            config.window_length, hop_length=config.hop_length, center=False, wkwargs={"dtype": torch.float32}
        )
        self.register_buffer("filters", config.mel_filters())

    @exact
    def frames(self, samples: Tensor) -> Tensor:
        """Compute the frames of samples that begin with ``left_context`` samples of history; no mean is removed.

        ``(batch, left_context + time * hop_length)`` -> ``(batch, time, mels)``, on the device of the samples.
        """
        power: Tensor = self.power(samples.to(self.filters.device)).transpose(1, 2)  # (N, bins, T) -> (N, T, bins)
        return torch.log(power @ self.filters + self.config.floor).to(samples.device)

    def forward(self, samples: Tensor) -> Tensor:
        """Compute all whole frames from the start: ``(batch, samples)`` -> ``(batch, samples // hop_length, mels)``."""
        frames = self.frames(nn.functional.pad(samples, (self.config.left_context, 0)))
        return torch.stack([next(iter(self.relative([recording]))) for recording in frames])

    def relative(self, pieces: Iterable[Tensor], *, dynamic_range: float | None = None) -> Iterator[Tensor]:
        """Normalise the pieces ``(time, mels)`` of one recording, from its start, by its own loudness and mean.

        ``dynamic_range`` in dB overrides the front end's own.
        """
        decibels = self.config.dynamic_range if dynamic_range is None else dynamic_range
        pieces, how = bounded(pieces, self.config, decibels), self.config.remove_mean
        return pieces if how == "none" else subtract_mean(pieces, how)


def mel_power(log_mel: Tensor, config: SpectrogramConfig) -> Tensor:
    """Compute the power of unnormalised log-mel, without the floor; of the same shape."""
    return (log_mel.exp() - config.floor).clamp(min=0)


def log_mel_stream(
    log_mel: LogMel, blocks: Iterable[FloatArray], *, frames: int = 1000, dynamic_range: float | None = None
) -> Iterator[Tensor]:
    """Compute log-mel ``(time, mels)`` of blocks at the front end's rate, ``frames`` at a time; whole hops only.

    The blocks are one recording from its start; ``dynamic_range`` in dB overrides the front end's own.
    """
    return log_mel.relative(frames_stream(log_mel, blocks, frames=frames), dynamic_range=dynamic_range)


def frames_stream(log_mel: LogMel, blocks: Iterable[FloatArray], *, frames: int) -> Iterator[Tensor]:
    """Compute the frames ``(time, mels)`` of `log_mel_stream` before their range is bounded and their mean removed."""
    config = log_mel.config
    history = np.zeros(config.left_context, dtype=np.float32)
    step = 1 if config.levelling is None else config.levelling.frames
    for block in equal_blocks(blocks, max(frames // step, 1) * step * config.hop_length):
        whole = block[: len(block) // config.hop_length * config.hop_length]
        if len(whole):
            samples = np.concatenate([history, whole])
            history = samples[len(whole) :]
            yield log_mel.frames(torch.from_numpy(samples)[None])[0]


def view_log_mel(log_mel: LogMel, view: View, root: Path, *, frames: int, whole: int = 1) -> Iterator[Tensor]:
    """Compute the log-mel ``(time, mels)`` of a view of a clip below ``root``, about ``frames`` frames at a time.

    There are whole patches of ``whole`` frames each. Silence fills the last patch of a clip that is not changed; the
    last frame is repeated where the clip is played at another rate; and a warped clip has no patch of its last frames.
    """
    audio, change, blocks = log_mel.config, view.change, view.blocks(root, log_mel.config.sample_rate)
    if not change.is_warped:
        size = audio.hop_length * (1 if change.is_played else whole)
        blocks = chain(blocks, [np.zeros(-view.num_samples(audio.sample_rate) % size, np.float32)])
    decibels = audio.dynamic_range if change.dynamic_range is None else change.dynamic_range
    pieces = bounded(frames_stream(log_mel, blocks, frames=frames), audio, decibels)
    if change.is_played:  # in 16 bits, as the figures of docs/log.md were measured
        held = torch.cat([*pieces]).half().float()
        pieces = iter(torch.split(torch.cat([held, held[-1:].expand(-len(held) % whole, -1)]), frames))
    pieces = subtract_mean(pieces, audio.remove_mean)
    return (_warped(piece, change, whole) for piece in pieces) if change.is_warped else pieces


def _warped(piece: Tensor, change: Change, whole: int) -> Tensor:
    length, size = torch.tensor([len(piece)]), max(change.patch_frames, whole)
    speeds, formants = torch.tensor([[change.speed], [change.formants]]).float()
    warped = warp(piece[None], length, speeds=speeds, formants=formants)[0][0, change.offset_frames :]
    return warped[: len(warped) // size * size]


SAMPLE = "sample.safetensors"  # in the folder of a sample of training frames


@lru_cache(maxsize=1)
def frame_statistics(sample: Path) -> tuple[Tensor, Tensor]:
    """Load mean and standard deviation ``(mels,)`` of the training frames' log-mel from the folder of a sample.

    They are of sound as loud as recorded, and not of the front end of codes with a level.
    """
    tensors = load_file(sample / SAMPLE)
    mean, std = tensors.get("absolute", (tensors["mean"], tensors["std"]))
    return mean, std


def warp(
    spectrograms: Tensor, lengths: Tensor, *, speeds: Tensor, formants: Tensor, starts: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Resample spectrograms at other points of time and mel, linearly between frames and between bands.

    ::

        frame t of the result is read at start + (t + 0.5) * speed - 0.5        clamped to the passage's frames
        band  m                  is read at        (m + 0.5) * formant - 0.5    clamped to the lowest and highest band

    A speed or formant of 1 changes no byte.

    The result is on the device of the spectrograms. All other tensors are on the host.

    Args:
        spectrograms: ``(batch, time, mels)``.
        lengths: ``(batch,)`` int64, frames of each passage, 1 or more.
        speeds: ``(batch,)``, above 1 for faster, which makes the result shorter.
        formants: ``(batch,)``, above 1 for a lower voice.
        starts: ``(batch,)`` int64, first frame of each passage; by default the first of all.

    Returns:
        ``(batch, longest new length, mels)``, zeros beyond the new lengths; and the new lengths, ``max(round(length /
        speed), 1)``.
    """
    device, changed = spectrograms.device, bool((formants != 1).any())
    warped = torch.round(lengths / speeds.double()).long().clamp(min=1)
    steps = torch.arange(int(warped.max()), device=device)
    begins = torch.zeros_like(lengths) if starts is None else starts
    lengths, speeds, formants, begins = (copy_to(each, device) for each in (lengths, speeds, formants, begins))
    at = (steps + 0.5) * speeds.double()[:, None] - 0.5  # float64, to distinguish the frames of an hour exactly
    lower, share = _between(at, lengths[:, None])
    upper = torch.minimum(lower + 1, lengths[:, None] - 1)
    rows = torch.arange(len(spectrograms), device=device)[:, None]
    first, second = (spectrograms[rows, begins[:, None] + index] for index in (lower, upper))
    read = torch.lerp(first, second, share.to(spectrograms.dtype)[..., None])
    if changed:
        read = read @ _band_weights(formants, spectrograms.shape[2]).to(spectrograms.dtype)
    return read.masked_fill((steps >= copy_to(warped, device)[:, None])[..., None], 0.0), warped


def _band_weights(formants: Tensor, mels: int) -> Tensor:
    """Compute the weight of each band in each band of the result ``(batch, mels, mels)``."""
    at = (torch.arange(mels, device=formants.device) + 0.5) * formants.double()[:, None] - 0.5
    lower, share = _between(at, torch.tensor(mels))
    weights = torch.zeros(len(formants), mels, mels, dtype=torch.float64, device=formants.device)
    weights.scatter_add_(1, lower[:, None], 1 - share[:, None])
    return weights.scatter_add_(1, (lower + 1).clamp(max=mels - 1)[:, None], share[:, None])


def _between(at: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return the index below a position, clamped to the valid indices, and the position's distance from the index."""
    clamped = torch.minimum(at.clamp(min=0), (count - 1).double())
    lower = clamped.floor()
    return lower.long(), clamped - lower
