"""A tokenizer that any process can load, beside the recordings that it reads."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tokenizer.codes import Codes, CodesFormat
from tokenizer.parquet import CodedClip
from tokenizer.signals import codes_of_frames, short_together
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read_blocks
from wordless.audio.recordings.hearings import HeardFrames
from wordless.audio.recordings.manifest import Clip
from wordless.audio.spectrogram import frames_stream, require_ranges, warp
from wordless.audio.waveform import skip_samples
from wordless.base.errors import InputError
from wordless.base.ranges import require
from wordless.base.seeds import named_seed, require_seed

MOST_WARPS = 1000  # copies of each training clip; training sees no use in more, and their encoding takes hours
FRAMES_AT_ONCE = 3000  # pieces of a long recording, each warped separately

Job = tuple[Clip, int]  # a clip, and the frames of it to skip


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A tokenizer that any process can load, and the recordings that it is to encode."""

    folder: Path  # of the tokenizer
    root: Path  # of the recordings
    device: str = "cpu"

    @property
    def format(self) -> CodesFormat:
        """Meaning of the codes."""
        return self.tokenizer.format

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, loaded once in each process."""
        return _load(self.folder, self.device)


@lru_cache(maxsize=1)
def _load(folder: Path, device: str) -> Tokenizer:
    return Tokenizer.from_pretrained(folder, device=device)


def encode_clip(encoder: Encoder, job: Job) -> CodedClip:
    """Encode one clip from a frame on. Labels stay in the manifest, so a corrected label changes no codes file."""
    clip, offset = job
    audio = encoder.tokenizer.config.audio
    blocks = read_blocks(encoder.root / clip.path, audio.sample_rate, part=clip.part)
    codes = encoder.tokenizer.encode_blocks(skip_samples(blocks, offset * audio.hop_length), audio.sample_rate)
    return CodedClip(path=clip.path, span=clip.span, codes=codes, split=clip.split, offset_frames=offset)


def encode_hearings(heard: HeardFrames, encoder: Encoder, clip: Clip) -> list[CodedClip]:
    """Encode one clip in each of its stored hearings."""
    coded = codes_of_frames(encoder.tokenizer, heard.of(clip))
    return [CodedClip(path=clip.path, span=clip.span, codes=codes, split=clip.split) for codes in coded]


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """Options of augmented views of training clips: other codes of the same sound, which only pre-training sees.

    A view is the same sound cut into patches from another frame on, or warped: played at another speed, by a speaker
    with other formants. `wordless.audio.recordings.hearings` are the versions of clips that probes read.
    """

    offsets: bool  # cut into patches from each other frame on
    warps: int  # copies at a speed and with formants drawn at random
    max_speed: float  # ratio: 0.15 is up to 15 % faster or slower
    max_formants: float  # ratio: 0.15 is mel bands up to 15 % higher or lower
    dynamic_ranges: tuple[float, float] | None = None  # dB, of which warped copies draw one instead of the front end's
    seed: int

    def __post_init__(self) -> None:
        require_ranges(self.dynamic_ranges, "lm.views.dynamic_ranges")
        rule = f"choose 0 (none) to {MOST_WARPS} warped copies"
        require(0 <= self.warps <= MOST_WARPS, "lm.views.warps", self.warps, rule)
        for name in ("max_speed", "max_formants"):
            ratio = getattr(self, name)
            require(0 <= ratio < 1, f"lm.views.{name}", ratio, "choose a ratio of at least 0 and below 1")
        if self.warps and not (self.max_speed or self.max_formants):
            raise InputError("lm.views.warps asks for copies, but max_speed and max_formants are 0; raise one of them")
        require_seed(self.seed, "lm.views.seed")

    def of(self, name: str, patch_frames: int) -> tuple["View", ...]:
        """Return the views of the clip ``name``; they do not depend on other clips.

        Codes at several rates have the views of the coarsest rate, whose ``patch_frames`` these are.
        """
        shifted = tuple(View(offset_frames=offset) for offset in range(1, patch_frames if self.offsets else 1))
        rng = np.random.default_rng([self.seed, named_seed(name)])
        spread = np.log1p([self.max_speed, self.max_formants])
        ratios = np.exp(rng.uniform(-1, 1, (self.warps, 2)) * spread)
        offsets = rng.integers(patch_frames if self.offsets else 1, size=self.warps)
        ranges = [None if self.dynamic_ranges is None else float(rng.uniform(*self.dynamic_ranges)) for _ in offsets]
        warped = (
            View(
                offset_frames=int(offset),
                speed=float(speed),
                formants=float(formants),
                dynamic_range=decibels,
                patch_frames=patch_frames,
            )
            for offset, (speed, formants), decibels in zip(offsets, ratios, ranges, strict=True)
        )
        return (*shifted, *warped)


@dataclass(frozen=True, kw_only=True)
class View:
    """One way to encode a clip."""

    offset_frames: int = 0  # skipped before the first patch
    speed: float = 1.0  # above 1 is faster
    formants: float = 1.0  # above 1 is lower: band m takes its value from m * formants
    dynamic_range: float | None = None  # dB; None: the front end's own
    patch_frames: int = 1  # of a warped copy, frames that fill no whole patch of so many frames are dropped

    @property
    def is_warped(self) -> bool:
        """Whether the view changes the spectrogram, not only where the first patch begins."""
        return not (self.speed == self.formants == 1 and self.dynamic_range is None)


def encode_views(encoder: Encoder, job: tuple[Clip, Sequence[View]]) -> list[CodedClip]:
    """Encode one clip in several views.

    The warped copies of a short clip share blocks of patches, because a block of few patches takes as long as a full
    one. Memory holds one warped copy of a long clip, or `FRAMES_AT_ONCE` frames of the copies of a short one.
    """
    clip, views = job
    audio, warped = encoder.tokenizer.front_end, [view for view in views if view.is_warped]
    short = clip.seconds * audio.sample_rate <= FRAMES_AT_ONCE * audio.hop_length
    values = _encode_short(encoder, clip, warped) if short else _encode_long(encoder, clip, warped)
    made = []
    for view in views:
        if view.is_warped:
            steps, step = next(values), encoder.tokenizer.config.samples_per_code
            codes = Codes(values=steps.numpy(), num_samples=len(steps) * step, format=encoder.tokenizer.format)
            offset = view.offset_frames
            made.append(CodedClip(path=clip.path, span=clip.span, codes=codes, split=clip.split, offset_frames=offset))
        else:
            made.append(encode_clip(encoder, (clip, view.offset_frames)))
    return made


def _encode_short(encoder: Encoder, clip: Clip, views: Sequence[View]) -> Iterator[Tensor]:
    """Give the codes ``(steps, streams)`` of a clip in each warped view, of several views at a time."""
    if views:
        tokenizer, frames = encoder.tokenizer, [*_frames(encoder, clip)]
        none = tokenizer.mean.new_zeros(0, len(tokenizer.mean)).cpu()  # a clip shorter than a hop has no frame
        copies = (torch.cat([none, *_warp_pieces(encoder, frames, view)]) for view in views)
        for several in short_together(copies, FRAMES_AT_ONCE):
            steps = [len(patches) // tokenizer.patch_frames for patches in several]
            yield from torch.split(tokenizer.encode_spectrogram(torch.cat(several)), steps)


def _encode_long(encoder: Encoder, clip: Clip, views: Sequence[View]) -> Iterator[Tensor]:
    """Give the same as `_encode_short`, piece by piece of each view."""
    for view in views:
        pieces = _warp_pieces(encoder, _frames(encoder, clip), view)
        yield torch.cat([encoder.tokenizer.encode_spectrogram(piece) for piece in pieces])


@torch.inference_mode()
def _frames(encoder: Encoder, clip: Clip) -> Iterator[Tensor]:
    """Give the clip's log-mel ``(time, mels)`` piece by piece, as all warped views have it before their own range."""
    blocks = read_blocks(encoder.root / clip.path, encoder.format.sample_rate, part=clip.part)
    yield from frames_stream(encoder.tokenizer.log_mel, blocks, frames=FRAMES_AT_ONCE)


@torch.inference_mode()
def _warp_pieces(encoder: Encoder, frames: Iterable[Tensor], view: View) -> Iterator[Tensor]:
    """Give the warped pieces ``(time, mels)`` of a clip, each of whole patches."""
    tokenizer = encoder.tokenizer
    size = max(view.patch_frames, tokenizer.patch_frames)
    for piece in tokenizer.log_mel.relative(frames, dynamic_range=view.dynamic_range):
        warped = _warp(piece, view)[view.offset_frames :]
        yield warped[: len(warped) // size * size]


def _warp(frames: Tensor, view: View) -> Tensor:
    length, speed, formants = torch.tensor([len(frames)]), torch.tensor([view.speed]), torch.tensor([view.formants])
    return warp(frames[None], length, speeds=speed, formants=formants)[0][0]
