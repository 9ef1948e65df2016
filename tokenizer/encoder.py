"""A tokenizer that any process can load, beside the recordings that it reads."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from tokenizer.codes import Codes, CodesFormat
from tokenizer.options import View
from tokenizer.parquet import CodedClip
from tokenizer.signals import codes_of_frames, short_together
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read_blocks
from wordless.audio.recordings.hearings import HeardFrames
from wordless.audio.recordings.manifest import Clip
from wordless.audio.spectrogram import frames_stream, warp
from wordless.audio.waveform import skip_samples

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
        return load_tokenizer(self.folder, self.device)


@lru_cache(maxsize=1)
def load_tokenizer(folder: Path, device: str) -> Tokenizer:
    """Load a tokenizer, once in each process."""
    return Tokenizer.from_pretrained(folder, device=device)


def encode_clips(encoder: Encoder, jobs: Sequence[Job]) -> list[CodedClip]:
    """Encode clips, each from a frame on. Labels stay in the manifest, so a corrected label changes no codes file."""
    audio = encoder.tokenizer.config.audio
    sounds = [read_blocks(encoder.root / clip.path, audio.sample_rate, part=clip.part) for clip, _ in jobs]
    starts = [offset * audio.hop_length for _, offset in jobs]
    codes = encoder.tokenizer.encode_recordings(list(map(skip_samples, sounds, starts)))
    return [
        CodedClip(path=clip.path, span=clip.span, codes=own, split=clip.split, offset_frames=offset)
        for (clip, offset), own in zip(jobs, codes, strict=True)
    ]


def encode_hearings(heard: HeardFrames, encoder: Encoder, clip: Clip) -> list[CodedClip]:
    """Encode one clip in each of its stored hearings."""
    coded = codes_of_frames(encoder.tokenizer, heard.of(clip))
    return [CodedClip(path=clip.path, span=clip.span, codes=codes, split=clip.split) for codes in coded]


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
            made += encode_clips(encoder, [(clip, view.offset_frames)])
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
