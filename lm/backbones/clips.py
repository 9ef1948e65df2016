"""Clips that are read in place from disk, training batches of them, with or without labels, and augmented views.

Crops, mixtures and masks as in contrastive learning of audio (Saeed et al., arXiv:2010.10915; Niizumi et al., BYOL-A,
arXiv:2103.06695) and in SpecAugment (Park et al., arXiv:1904.08779) make another speaker, another place, another time.
Gain and mixtures are exact where the sound is well above the front end's floor. Flips and Gaussian blur are those of
images in SimCLR (Chen et al., arXiv:2002.05709), which Verma and Smith (arXiv:2010.11459) apply to spectrograms: a flip
in time reverses a sound, and a flip of the bands exchanges high and low. Spectrograms are ``(batch, time, mels)``,
normalised log-mel with zeros beyond each clip's length.

Samples are played at another rate, as a tape that runs slower or faster (Ko et al., "Audio augmentation for speech
recognition", 2015), by the same resampler that reads recordings. Crops begin at any sample, so the same sound lies
differently in its patches each time.

A share of draws takes a copy of the clip with changed sound, such as noise, of which `StoredClips` has several.

Views are made on the device of the spectrograms. Lengths, and random numbers of a clip, stay on the host. Noise is
drawn on the device, so a GPU's noise is not that of a CPU.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import cycle, islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lm.backbones.backbone import MakeView
from lm.tokens import shuffled_batches
from wordless.audio.padding import inside
from wordless.audio.reading import resample_blocks
from wordless.audio.spectrogram import warp
from wordless.base.arrays import IndexArray
from wordless.base.devices import Batch, copy_to
from wordless.base.options import Options, option
from wordless.base.seeds import MAX_SEED


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig(Options):
    """Strength of the augmentations; every amount is drawn anew for each clip. Zeros change nothing."""

    crop: float = option(0.6, "smallest share of a clip that is kept", above=0, most=1)
    speed: float = option(0.25, "largest change of speed: 0.25 is 25 % faster, or slower by the same factor", least=0)
    formant: float = option(
        0.25, "largest shift of the mel bands: 0.25 is 25 % higher, or lower by the same factor", least=0
    )
    gain_db: float = option(6.0, "largest change of level in dB", least=0)
    mix: float = option(0.3, "share of clips to which another clip is added", least=0, most=1)
    mix_db: float = 10.0  # smallest level difference in dB by which the added clip is softer
    noise: float = option(
        0.2, "largest standard deviation of the added noise, in standard deviations of each mel band", least=0
    )
    time_masks: int = option(1, "number of time masks", least=0)
    time_mask: float = 0.2  # longest time mask as a share of the clip
    mel_masks: int = option(1, "number of mel masks", least=0)
    mel_mask: float = 0.2  # widest mel mask as a share of the bands
    blocks: int = option(0, "number of removed rectangles of time and bands", least=0)
    block: float = option(0.3, "largest sides of a rectangle as shares of the clip and of the bands", least=0, most=1)
    blur: float = option(0.0, "largest standard deviation of a Gaussian blur, in frames and in mel bands", least=0)
    time_flip: float = option(0.0, "share of clips that are reversed in time", least=0, most=1)
    mel_flip: float = option(0.0, "share of clips whose mel bands are reversed", least=0, most=1)


@dataclass(frozen=True, kw_only=True)
class WaveformAugmentationConfig(Options):
    """Strength of the augmentations; every amount is drawn anew for each clip. Zeros change nothing."""

    crop: float = 0.9  # smallest share of a clip that is kept
    rate: float = option(
        0.25,
        "largest change of the playing rate: 0.25 is 25 % slower and lower, or faster and higher by the same factor",
        least=0,
        most=1,
    )
    mix: float = 0.2  # share of clips to which another clip is added
    mix_db: float = 10.0  # smallest level difference in dB by which the added clip is softer
    noise: float = option(0.1, "largest level of added white noise, relative to the level of the clip", least=0)
    time_masks: int = 1  # number of silenced passages
    time_mask: float = 0.1  # longest silenced passage as a share of the clip


@dataclass(frozen=True, kw_only=True)
class ClipsOfBatches(Options):
    """Options that training batches of all kinds have."""

    batch_size: int = option(32, "clips per step, over all processes", least=2)
    # number of batches whose clips are sorted by length together, which saves padding; 1: no sorting
    pool_batches: int = 4
    seed: int = 0  # seed of the order of clips


@dataclass(frozen=True, kw_only=True)
class ClipBatchConfig(ClipsOfBatches):
    """Options of training batches of spectrograms."""

    batch_size: int = 96
    max_frames: int = option(
        300, "longest piece of a clip in frames; a random piece is cut from a longer clip", least=1
    )

    def share(self, part: int, parts: int) -> slice:
        """Return part ``part`` of ``parts`` of a batch; refuse a batch that cannot be divided equally."""
        rule = f"{parts} (processes times accumulation steps) share it: choose a multiple of {parts}"
        self.refuse_if(self.batch_size % parts, "batch_size", rule)
        return slice(part, None, parts)


@dataclass(frozen=True, kw_only=True)
class WaveformBatchConfig(ClipsOfBatches):
    """Options of training batches of waveforms."""

    max_seconds: float = option(
        3.0, "longest piece of a clip in seconds; a random piece is cut from a longer clip", above=0
    )

    def at_rate(self, sample_rate: float) -> ClipBatchConfig:
        """Return the options of batches in which a frame is a sample."""
        samples = max(round(self.max_seconds * sample_rate), 1)
        return ClipBatchConfig(
            batch_size=self.batch_size, max_frames=samples, pool_batches=self.pool_batches, seed=self.seed
        )


FrameArray = npt.NDArray[np.float16 | np.float32 | np.int16 | np.int32]

CPU = torch.device("cpu")
_ORDER, _EXAMPLES = 0, 1  # second words of the seeds: the purpose of a generator


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredClips:
    """Clips of log-mel ``(mels,)``, 16-bit samples, or codes ``(streams,)``, which may lie in `numpy.memmap`s."""

    sources: tuple[FrameArray, ...]  # (frames, ...) each, the clips one after the other
    places: IndexArray  # (clips, 3): source, first frame, end
    copies: IndexArray | None = None  # (copies, clips, 3), the same of copies with changed sound
    changed: float = 0.0  # share of draws in which a clip is one of its copies

    @classmethod
    def of(cls, frames: FrameArray, offsets: IndexArray) -> "StoredClips":
        """Build from frames in which clip ``i`` has ``offsets[i]:offsets[i + 1]``."""
        places = np.stack([np.zeros(len(offsets) - 1, np.int64), offsets[:-1], offsets[1:]], axis=1)
        return cls(sources=(frames,), places=places)

    @classmethod
    def together(cls, clips: Sequence[FrameArray]) -> "StoredClips":
        """Build from the frames ``(time, ...)`` of each clip."""
        return cls.of(np.concatenate(clips), np.cumsum([0, *map(len, clips)]))

    def __len__(self) -> int:
        return len(self.places)

    @property
    def lengths(self) -> IndexArray:
        """Frames of each clip ``(clips,)``."""
        return self.places[:, 2] - self.places[:, 1]

    @property
    def width(self) -> int:
        """Values of a frame."""
        return math.prod(self.sources[0].shape[1:])

    def of_rows(self, rows: Sequence[int] | IndexArray) -> "StoredClips":
        own = np.asarray(rows, np.int64)
        return replace(self, places=self.places[own], copies=None if self.copies is None else self.copies[:, own])

    def followed_by(self, others: "StoredClips") -> "StoredClips":
        """Join clips; both have as many copies of each, or none."""
        shift, sources = np.array([len(self.sources), 0, 0]), self.sources + others.sources
        places, copies = np.concatenate([self.places, others.places + shift]), None
        if self.copies is not None and others.copies is not None:
            copies = np.concatenate([self.copies, others.copies + shift], axis=1)
        return replace(self, sources=sources, places=places, copies=copies)

    def with_copies(self, copies: Sequence["StoredClips"], changed: float) -> "StoredClips":
        """Add copies of all clips with changed sound, of which a share of draws takes one."""
        sources, shifted = self.sources, list[IndexArray]()
        for each in copies:
            shifted.append(each.places + np.array([len(sources), 0, 0]))
            sources += each.sources
        return replace(self, sources=sources, copies=np.stack(shifted) if shifted else None, changed=changed)

    def drawn(self, clips: IndexArray, generator: torch.Generator) -> "StoredClips":
        """Select clips, each of them or one of its copies; without copies nothing is drawn."""
        places = self.places[clips]
        if self.copies is not None:
            chosen = torch.rand(len(clips), generator=generator, dtype=torch.float32) < self.changed
            numbers = torch.randint(len(self.copies), (len(clips),), generator=generator)
            places = np.where(chosen[:, None].numpy(), self.copies[numbers.numpy(), clips], places)
        return replace(self, places=places, copies=None)

    def clip(self, row: int) -> FrameArray:
        """Read the frames ``(time, ...)`` of one clip, as they are stored."""
        source, begin, end = self.places[row].tolist()
        frames: FrameArray = self.sources[source][begin:end]
        return frames

    def read(self, clips: IndexArray, *, at_most: int, draws: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read clips ``(batch, time, ...)``, zeros beyond their ends, and their lengths ``(batch,)``.

        Samples are scaled to [-1, 1), and codes stay whole numbers. Clips longer than ``at_most`` frames are cropped at
        the place that ``draws (batch,)`` from 0 to 1 say, or at their start without them.
        """
        whole = torch.from_numpy(self.lengths[clips])
        lengths = whole.clamp(max=at_most)
        starts = ((torch.zeros(1) if draws is None else draws) * (whole - lengths + 1)).long()
        kind = np.int64 if self.sources[0].dtype == np.int32 else np.float32
        filled = torch.from_numpy(np.zeros((len(clips), int(lengths.max()), *self.sources[0].shape[1:]), kind))
        for row, (clip, start, length) in enumerate(zip(clips, starts.tolist(), lengths.tolist(), strict=True)):
            filled[row, :length] = torch.from_numpy(self.clip(clip)[start : start + length].astype(kind))
        return filled / 32768 if self.sources[0].dtype == np.int16 else filled, lengths


class Order:
    """Endless shuffled epochs of clips in batches of similar length; the clips of a step follow from step and seed."""

    def __init__(self, lengths: IndexArray, config: ClipBatchConfig) -> None:
        self._lengths = np.minimum(lengths, config.max_frames)
        self._config = config
        self._epoch = lru_cache(maxsize=2)(self._shuffle)  # a batch may reach into the next epoch

    def clips(self, step: int) -> IndexArray:
        """Return the clips of a step ``(batch_size,)``."""
        size = self._config.batch_size
        places = [divmod(place, len(self._lengths)) for place in range(step * size, (step + 1) * size)]
        return np.array([self._epoch(epoch)[place] for epoch, place in places])

    def generator(self, step: int) -> torch.Generator:
        """Return the generator of all other random choices of a step."""
        state = np.random.SeedSequence([self._config.seed, _EXAMPLES, step]).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))

    def _shuffle(self, epoch: int) -> IndexArray:
        rng = np.random.default_rng([self._config.seed, _ORDER, epoch])
        size, pool_batches = self._config.batch_size, self._config.pool_batches
        if pool_batches == 1:
            return rng.permutation(len(self._lengths))
        return shuffled_batches(self._lengths, rng, size=size, pool_batches=pool_batches)


class ClipViews:
    """Training clips, and their views on ``device``. As clips may be mixed, every process makes the whole batch."""

    def __init__(
        self, clips: StoredClips, config: ClipBatchConfig, make_view: MakeView, *, device: torch.device = CPU
    ) -> None:
        self.clips, self._config, self._make_view, self._device = clips, config, make_view, device
        self._order = Order(clips.lengths, config)

    def batch(self, step: int, part: int, parts: int, *, views: int) -> tuple[IndexArray, list[tuple[Tensor, Tensor]]]:
        """Return share ``part`` of ``parts`` of the clips of a step ``(clips,)``, and each view with its lengths."""
        own = self._config.share(part, parts)
        clips, generator = self._order.clips(step), self._order.generator(step)
        draws, rows = torch.rand(len(clips), generator=generator, dtype=torch.float64), np.arange(len(clips))
        heard = list[tuple[Tensor, Tensor]]()  # by each view, or by all
        for _ in range(views if self.clips.copies is not None else 1):
            chosen = self.clips.drawn(clips, generator)
            frames, lengths = chosen.read(rows, at_most=self._config.max_frames, draws=draws)
            heard.append((copy_to(frames, self._device), lengths))
        made = (self._make_view(*each, generator) for each in islice(cycle(heard), views))
        return clips[own], [trim_rows(*view, own) for view in made]


def trim_rows(frames: Tensor, lengths: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
    """Select rows of a batch, without the frames that only other rows need."""
    own = lengths[rows]
    return frames[rows, : int(own.max())], own


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledBatch(Batch):
    """Inputs and targets of clips."""

    on_host = ("lengths",)  # where groups of clips are formed

    inputs: Tensor  # (batch, time, ...); of several views, the first views of all clips, then their second views
    lengths: Tensor  # (batch,) number of inputs of each clip
    targets: Tensor  # (clips,) classes, (clips, classes) of 0 and 1, or as a fine-tuning task gives them


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledBatches:
    """Training batches of views of clips, with one target for each clip."""

    views: ClipViews
    targets: Tensor  # (clips, ...)
    of_each: int = 1  # views of each clip

    def batch(self, step: int, part: int, parts: int) -> LabelledBatch:
        clips, views = self.views.batch(step, part, parts, views=self.of_each)
        inputs = views[0][0]
        if self.of_each > 1:
            longest = max(view.shape[1] for view, _ in views)
            inputs = torch.cat([nn.functional.pad(view, (0, 0, 0, longest - view.shape[1])) for view, _ in views])
        lengths = torch.cat([lengths for _, lengths in views])
        return LabelledBatch(inputs=inputs, lengths=lengths, targets=self.targets[torch.from_numpy(clips)])


def batches_by_length(
    clips: StoredClips, *, batch_size: int, at_most: int | None = None, most_inputs: int | None = None
) -> Iterator[tuple[IndexArray, Tensor, Tensor]]:
    """Give all clips in batches of similar length, the short ones first: rows, inputs and lengths.

    Only the first ``at_most`` inputs of each clip are read. A batch of several clips has at most ``most_inputs``,
    padding included: one long recording among short ones does not fill the memory.
    """
    order = np.argsort(clips.lengths, kind="stable")
    lengths = clips.lengths if at_most is None else np.minimum(clips.lengths, at_most)
    begin = 0
    while begin < len(order):
        rows = order[begin : begin + batch_size]
        if most_inputs is not None:
            padded = lengths[rows] * np.arange(1, len(rows) + 1)  # inputs of the first 1, 2, ... rows
            rows = rows[: max(int(np.searchsorted(padded, most_inputs, side="right")), 1)]
        yield rows, *clips.read(rows, at_most=int(lengths[rows].max()))
        begin += len(rows)


def validation_batches(
    clips: StoredClips, targets: Tensor, *, batch_size: int, at_most: int | None = None, most_inputs: int | None = None
) -> list[LabelledBatch]:
    """Return batches of every clip once and unchanged; the other options are those of `batches_by_length`."""
    batches = batches_by_length(clips, batch_size=batch_size, at_most=at_most, most_inputs=most_inputs)
    return [
        LabelledBatch(inputs=inputs, lengths=lengths, targets=targets[torch.from_numpy(rows)])
        for rows, inputs, lengths in batches
    ]


REACH = 3.0  # standard deviations after which a Gaussian is cut
SMALLEST = 1e-3  # standard deviation; a smaller one would divide by zero, and blurs nothing


def flip_time(views: Tensor, lengths: Tensor, chosen: Tensor) -> Tensor:
    """Reverse the chosen clips in time, each within its own length."""
    lengths, chosen = copy_to(lengths, views.device), copy_to(chosen, views.device)
    places = torch.arange(views.shape[1], device=views.device).expand(len(views), -1)  # (batch, time)
    reverse = chosen[:, None] & (places < lengths[:, None])
    sources = torch.where(reverse, lengths[:, None] - 1 - places, places)
    return views.gather(1, sources[:, :, None].expand_as(views))


def blur(views: Tensor, lengths: Tensor, deviations: Tensor, *, largest: float) -> Tensor:
    """Blur each clip in time and across bands by a Gaussian of its own deviation ``(batch,)``, within the clip."""
    radius, size = math.ceil(REACH * largest), len(views)
    steps = torch.arange(-radius, radius + 1, device=views.device)
    widths = copy_to(deviations, views.device).clamp(min=SMALLEST)
    kernels = (-0.5 * (steps / widths[:, None]) ** 2).exp()  # (batch, 2 * radius + 1)
    own = inside(views, lengths).to(views.dtype)[:, :, None].expand_as(views)

    def smooth(images: Tensor) -> Tensor:
        """Convolve each image ``(batch, time, mels)`` with its own kernel, along both axes; a channel for each."""
        along_time = nn.functional.conv2d(images[None], kernels[:, None, :, None], padding=(radius, 0), groups=size)
        return nn.functional.conv2d(along_time, kernels[:, None, None, :], padding=(0, radius), groups=size)[0]

    return smooth(views * own) / smooth(own).clamp(min=1e-12) * own


NATS_PER_DB = math.log(10) / 10  # of power


def augment(
    spectrograms: Tensor, lengths: Tensor, generator: torch.Generator, *, config: AugmentationConfig, std: Tensor
) -> tuple[Tensor, Tensor]:
    """Make a view of each clip ``(batch, time, mels)``, and the lengths; ``std (mels,)`` divides normalised log-mel."""
    device, std = spectrograms.device, copy_to(std, spectrograms.device)
    kept, starts = draw_crops(lengths, config.crop, generator)
    speeds, formants = (draw_ratios(len(lengths), most, generator) for most in (config.speed, config.formant))
    views, lengths = warp(spectrograms, kept, speeds=speeds, formants=formants, starts=starts)
    if config.time_flip:
        chosen = torch.rand(len(views), generator=generator, dtype=torch.float32) < config.time_flip
        views = flip_time(views, lengths, chosen)
    if config.mel_flip:
        chosen = torch.rand(len(views), generator=generator, dtype=torch.float32) < config.mel_flip
        views = torch.where(copy_to(chosen, device)[:, None, None], views.flip(2), views)
    views = _mix(views, lengths, config, generator, std)
    size, time, mels = views.shape
    gains = copy_to(2 * torch.rand(size, generator=generator, dtype=torch.float32) - 1, device)
    views = views + gains[:, None, None] * (config.gain_db * NATS_PER_DB / std)
    if config.noise:
        levels = copy_to(config.noise * torch.rand(size, 1, 1, generator=generator, dtype=torch.float32), device)
        draws: torch.Generator | None = generator
        if device.type != "cpu":  # the device draws, from a seed
            seed = int(torch.randint(MAX_SEED, (1,), generator=generator))
            draws = torch.Generator(device).manual_seed(seed) if views.is_cuda else None
        views = views + levels * torch.randn(views.shape, generator=draws, device=device, dtype=torch.float32)
    if config.blur:
        deviations = config.blur * torch.rand(size, generator=generator, dtype=torch.float32)
        views = blur(views, lengths, deviations, largest=config.blur)
    all_bands = torch.full((size,), mels)
    times = ~inside(views, lengths)  # (batch, time), that are set to 0 in all bands
    bands = torch.zeros(size, mels, dtype=torch.bool, device=device)  # that are set to 0 at all times
    for _ in range(config.time_masks):
        times |= draw_passages(lengths, time, config.time_mask, generator, device=device)
    for _ in range(config.mel_masks):
        bands |= draw_passages(all_bands, mels, config.mel_mask, generator, device=device)
    blotted = times[:, :, None] | bands[:, None, :]
    for _ in range(config.blocks):
        passage = draw_passages(lengths, time, config.block, generator, device=device)
        rows = draw_passages(all_bands, mels, config.block, generator, device=device)
        blotted |= passage[:, :, None] & rows[:, None, :]
    return views.masked_fill(blotted, 0.0), lengths


def draw_ratios(size: int, largest: float, generator: torch.Generator) -> Tensor:
    """Draw factors of up to 1 + ``largest``, or by the same factor smaller ``(size,)``."""
    spread = 2 * torch.rand(size, generator=generator, dtype=torch.float32) - 1
    return (spread * math.log1p(largest)).exp()


def draw_crops(
    lengths: Tensor, least: float, generator: torch.Generator, *, at_most: int | None = None
) -> tuple[Tensor, Tensor]:
    """Draw the length of a part of each clip, at least a share of it, and its first frame or sample ``(batch,)``."""
    shares = 1 - (1 - least) * torch.rand(len(lengths), generator=generator, dtype=torch.float32)
    kept = (lengths * shares).round().long().clamp(min=1, max=at_most)
    places = torch.rand(len(lengths), generator=generator, dtype=torch.float64)
    return kept, (places * (lengths - kept + 1)).long()


def _draw_mixtures(
    size: int, config: AugmentationConfig | WaveformAugmentationConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw another clip of the batch for each clip, how many dB softer it is, and whether it is added ``(batch,)``."""
    others = (torch.arange(size) + torch.randint(1, max(size, 2), (1,), generator=generator)) % size
    softer = config.mix_db * (1 + torch.rand(size, generator=generator, dtype=torch.float32))
    return others, softer, torch.rand(size, generator=generator, dtype=torch.float32) < config.mix


def _mix(views: Tensor, lengths: Tensor, config: AugmentationConfig, generator: torch.Generator, std: Tensor) -> Tensor:
    """Mix some clips with a softer clip of the batch: powers add, so logarithms log-add-exp."""
    others, softer, chosen = _draw_mixtures(len(views), config, generator)
    if not bool(chosen.any()) or len(views) == 1:
        return views
    # A normalised band is (log power - mean) / std. Both clips have the same mean, which cancels out.
    behind = views[copy_to(others, views.device)] * std - copy_to(softer * NATS_PER_DB, views.device)[:, None, None]
    sounding = inside(views, lengths[others]) & copy_to(chosen, views.device)[:, None]
    return torch.where(sounding[:, :, None], torch.logaddexp(views * std, behind) / std, views)


def draw_passages(
    lengths: Tensor, steps: int, share: float, generator: torch.Generator, *, device: torch.device = CPU
) -> Tensor:
    """Choose in each row a passage of at most ``share`` of its length ``(batch, steps)``, on ``device``."""
    size = len(lengths)
    widths = (torch.rand(size, generator=generator, dtype=torch.float32) * share * lengths).round()
    starts = (torch.rand(size, generator=generator, dtype=torch.float32) * (lengths - widths + 1)).floor()
    places, ends = torch.arange(steps, device=device), copy_to(starts + widths, device)
    return (places >= copy_to(starts, device)[:, None]) & (places < ends[:, None])


RATE = 10_000  # of the resampler's input; only its ratio to the output's rate counts


def augment_waveforms(
    samples: Tensor, lengths: Tensor, generator: torch.Generator, *, config: WaveformAugmentationConfig
) -> tuple[Tensor, Tensor]:
    """Make a view of each clip ``(batch, samples)``, and its length ``(batch,)``, drawn from ``generator`` alone."""
    kept, starts = draw_crops(lengths, config.crop, generator)
    rates = draw_ratios(len(samples), config.rate, generator)
    played = list[Tensor]()
    for row, start, count, rate in zip(samples, starts.tolist(), kept.tolist(), rates.tolist(), strict=True):
        # A rate above 1 makes the sound longer and lower, as in a `Change`.
        blocks = resample_blocks([row[start : start + count].numpy()], RATE, round(RATE * rate))
        played.append(torch.from_numpy(np.concatenate([*blocks])))
    views, lengths = nn.utils.rnn.pad_sequence(played, batch_first=True), torch.tensor([len(each) for each in played])
    others, softer, chosen = _draw_mixtures(len(views), config, generator)
    own = _levels(views, lengths)
    gains = own / own[others].clamp(min=1e-8) * 10 ** (-softer / 20) * chosen
    views = views + gains[:, None] * views[others] * inside(views, lengths)  # the other clip from its beginning on
    levels = _levels(views, lengths) * config.noise * torch.rand(len(views), generator=generator, dtype=torch.float32)
    views = views + levels[:, None] * torch.randn(views.shape, generator=generator, dtype=torch.float32)
    silent = torch.arange(views.shape[1]) >= lengths[:, None]
    for _ in range(config.time_masks):
        silent |= draw_passages(lengths, views.shape[1], config.time_mask, generator)
    return views.masked_fill(silent, 0.0), lengths


def _levels(views: Tensor, lengths: Tensor) -> Tensor:
    """Compute the root mean square of each clip ``(batch,)``."""
    return (views.square().sum(1) / lengths).sqrt()
