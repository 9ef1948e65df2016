"""Codes that stand for the recorded log-mel, so that a vocoder is also judged without what the codes lose.

::

    recordings   [ patches of clip 0           ][ patches of clip 1    ] ...
    values         0    1    2    3    4    5     6    7    8    9           each names its own patch

A vocoder decodes them as it decodes the codes of a tokenizer. They have the side streams that are theirs.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tokenizer.codes import CodeDecoder, Codes, CodesFormat
from wordless.audio.audio_options import SpectrogramConfig


class RecordedLogMel:
    """The meanings of codes that name patches of recordings ``(patches, patch_frames, mels)``, normalised."""

    gain, reach = 0.0, 0

    def __init__(self, tokenizer: CodeDecoder, patches: Tensor) -> None:
        own = tokenizer.format
        self.tokenizer, self.patches = tokenizer, patches
        streams = 1 + (own.pitch is not None)
        self.format: CodesFormat = replace(
            own, codebook_size=max(len(patches), 2), streams=streams, codebook="recorded log-mel", level=None
        )

    @property
    def front_end(self) -> SpectrogramConfig:
        """The spectrogram of the recordings."""
        return self.tokenizer.front_end

    @property
    def patch_frames(self) -> int:
        """Spectrogram frames per code."""
        return self.tokenizer.patch_frames

    def spectrogram(self, values: Tensor, *, before: int = 0, after: int = 0) -> Tensor:
        """Return the patches that codes ``(batch, time, streams)`` name, as of `CodeDecoder.spectrogram`."""
        inner = values[:, before : values.shape[1] - after, 0]
        return self.patches[inner.cpu()].flatten(1, 2).to(values.device)

    def denormalise(self, spectrogram: Tensor) -> Tensor:
        """Undo the normalisation ``(..., mels)``."""
        return self.tokenizer.denormalise(spectrogram)


def recorded(
    tokenizer: CodeDecoder, log_mels: Sequence[Tensor], codes: Sequence[Codes]
) -> tuple[RecordedLogMel, list[Codes]]:
    """Return codes of recordings that name their own patches, and what these mean.

    Args:
        tokenizer: of the recordings' ``codes``.
        log_mels: of each recording, normalised as `CodeDecoder.spectrogram` is ``(codes * patch_frames, mels)``.
        codes: of each recording; their pitch is kept.
    """
    patches = [
        each.cpu().reshape(len(own), tokenizer.patch_frames, -1) for each, own in zip(log_mels, codes, strict=True)
    ]
    meanings, named, first = RecordedLogMel(tokenizer, torch.cat(patches)), list[Codes](), 0
    for own in codes:
        columns = [np.arange(first, first + len(own), dtype=np.int32)]
        if (pitch := own.format.pitch) is not None:
            columns.append(own.side_stream(pitch))
        values = np.stack(columns, axis=1).astype(np.int32)
        named.append(Codes(values=values, num_samples=own.num_samples, format=meanings.format))
        first += len(own)
    return meanings, named
