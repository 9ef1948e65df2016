"""The filter banks of the Audio Spectrogram Transformer: 128 mel bands, windows of 25 ms every 10 ms, 16 kHz.

Patches are 16 frames long and begin every 10. The sound is padded with silence to whole patches, so that no end is lost
and even the shortest clip has one::

    samples   |<- 1600 ->|<- 1600 ->|<- 1200 ->|
    patch 0   [-------- 2800 -------]          |
    patch 1              [-------- 2800 -------]
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torchaudio.compliance import kaldi

from wordless.audio.waveform import FloatArray

SAMPLE_RATE = 16_000  # Hz
N_MELS = 128
PATCH = 16  # frames and mel bands of a patch
STRIDE = 10  # frames and mel bands between the starts of patches
BANDS = (N_MELS - PATCH) // STRIDE + 1  # patches along frequency
_HOP, _WINDOW = 160, 400  # samples
_STEP = STRIDE * _HOP  # samples between the starts of patches
_OVERLAP = (PATCH - 1) * _HOP + _WINDOW - _STEP  # samples that two neighbouring patches share


def patches_of(num_samples: int) -> int:
    """Return the patches along time that cover ``num_samples`` samples at 16 kHz, the last one padded."""
    return max(-(-(num_samples - _OVERLAP) // _STEP), 1)


def frames_of(patches: int) -> int:
    """Return the number of frames of ``patches`` patches along time."""
    return STRIDE * (patches - 1) + PATCH


def filter_bank(samples: Tensor) -> Tensor:
    """Compute log filter bank energies ``(frames, 128)`` of all whole windows of sound at 16 kHz ``(samples,)``."""
    energies: Tensor = kaldi.fbank(
        samples[None],
        sample_frequency=SAMPLE_RATE,
        htk_compat=True,
        use_energy=False,
        window_type="hanning",
        num_mel_bins=N_MELS,
        dither=0.0,
        frame_shift=10,
    )
    return energies


def filter_bank_stream(blocks: Iterable[FloatArray], *, patches: int) -> Iterator[Tensor]:
    """Give filter banks ``(frames_of(n), 128)`` of a sound at 16 kHz, ``n = patches`` at a time, fewer at the end.

    Patch ``p`` of the sound begins at frame ``10 * p``, in whichever piece it lies: a piece begins ten frames after the
    start of the previous piece's last patch.
    """
    waiting = np.empty(0, np.float32)
    seen = 0
    for block in blocks:
        seen += len(block)
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= patches * _STEP + _OVERLAP:
            yield filter_bank(torch.from_numpy(waiting[: patches * _STEP + _OVERLAP]))
            waiting = waiting[patches * _STEP :]
    padded = np.pad(waiting, (0, patches_of(seen) * _STEP + _OVERLAP - seen))
    if len(padded) > _OVERLAP:
        yield filter_bank(torch.from_numpy(padded))
