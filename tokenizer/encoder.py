"""What a tokenizer computes of recordings, in any process: codes, pictures and log-mel of views."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tokenizer.codes import Codes, CodesFormat
from tokenizer.parquet import CodedClip
from tokenizer.tokenizer import PATCHES_AT_ONCE, Tokenizer, load_tokenizer
from wordless.audio.spectrogram import view_log_mel
from wordless.audio.views import AS_RECORDED, View
from wordless.audio.waveform import Waveform, skip_samples


@torch.inference_mode()
def recorded_log_mel(tokenizer: Tokenizer, original: Waveform, codes: Codes) -> tuple[Tensor, Tensor]:
    """Compute the log-mel ``(time, mels)`` of a recording as `Tokenizer.spectrogram` gives it of its codes.

    It is as loud as the sound; a level that is followed is put back in the steps of its codes. Also return what was
    quantised, as of `Tokenizer.signals_of`.
    """
    padded = np.zeros(len(codes.values) * codes.format.samples_per_code, np.float32)
    padded[: len(original.samples)] = original.samples
    spectrogram, bottlenecks = tokenizer.signals_of(padded)
    return tokenizer.at_levels(spectrogram, torch.tensor(codes.values)[None])[0], bottlenecks


@torch.inference_mode()
def pictures(tokenizer: Tokenizer, originals: Sequence[Waveform], codes: Sequence[Codes]) -> dict[str, Tensor]:
    """Show what a tokenizer keeps: log-mel ``(time, mels)``, original, autoencoded and quantised; and the codes."""
    found = {}
    for number, (original, each) in enumerate(zip(originals, codes, strict=True)):
        recorded, bottlenecks = recorded_log_mel(tokenizer, original, each)
        values = torch.tensor(each.values)[None]
        found[f"{number}:original"] = recorded
        found[f"{number}:autoencoder"] = tokenizer.at_levels(tokenizer.decode_bottlenecks(bottlenecks), values)[0]
        found[f"{number}:codebook"] = tokenizer.spectrogram(values)[0]
        found[f"{number}:codes"] = torch.tensor(each.spectral.values)
    return {name: picture.cpu().contiguous() for name, picture in found.items()}


FRAMES_AT_ONCE = 3000  # of a view's log-mel that is computed at once


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A tokenizer that any process can load, and the recordings that it is to encode."""

    folder: Path  # of the tokenizer
    root: Path  # of the recordings
    device: str = "cpu"
    side_streams: bool = True  # whether clips and views have the side streams that the tokenizer has

    @property
    def format(self) -> CodesFormat:
        """Meaning of the codes."""
        return self.tokenizer.format if self.side_streams else self.tokenizer.format.spectral

    @property
    def key(self) -> str:
        """The fingerprint of tokenizer and codebook, which decide the codes."""
        return self.format.codebook

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, loaded once in each process."""
        return load_tokenizer(self.folder, self.device)

    def log_mel(self, view: View, patch_frames: int) -> Iterator[Tensor]:
        """Give the log-mel ``(time, mels)`` of the whole patches of a view, before mean removal."""
        log_mel, frames = self.tokenizer.log_mel_with_mean, PATCHES_AT_ONCE * patch_frames
        return view_log_mel(log_mel, view, self.root, frames=frames, whole=patch_frames)

    def num_patches(self, view: View, patch_frames: int) -> int:
        """Count the patches that `log_mel` gives."""
        audio = self.tokenizer.config.audio
        return -(-view.num_samples(audio.sample_rate) // (audio.hop_length * patch_frames))


@torch.inference_mode()
def encode(encoder: Encoder, views: Iterable[View]) -> list[CodedClip]:
    """Encode views: from log-mel where `Change.of_log_mel` says so, else from samples. Changed views have no split."""
    clips, tokenizer, audio = list[CodedClip](), encoder.tokenizer, encoder.tokenizer.config.audio
    size, step, format = tokenizer.patch_frames, encoder.format.samples_per_code, encoder.format
    none = tokenizer.mean.new_zeros(0, audio.n_mels).cpu()  # a clip shorter than a hop has no frame
    for view in views:
        offset = view.change.offset_frames
        if view.change.of_log_mel:
            pieces = view_log_mel(tokenizer.log_mel, view, encoder.root, frames=FRAMES_AT_ONCE, whole=size)
            values = tokenizer.encode_spectrogram(torch.cat([none, *pieces])).numpy()
            codes = Codes(values=values, num_samples=len(values) * step, format=format)
        else:
            blocks = skip_samples(view.blocks(encoder.root, audio.sample_rate), offset * audio.hop_length)
            codes = tokenizer.encode_own(blocks, side_streams=encoder.side_streams)
        clip, split = view.clip, view.clip.split if view.change == AS_RECORDED else None
        clips.append(CodedClip(path=clip.path, span=clip.span, codes=codes, split=split, offset_frames=offset))
    return clips
