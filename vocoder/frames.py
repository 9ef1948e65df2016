"""Conditions of the vocoder, frame by frame: the codes' decoded log-mel, or the codes themselves.

::

    codes        [      c0       ][      c1       ]
    frames       [  f0  ][  f1   ][  f2  ][  f3   ]     patch_frames frames per code
    meaning      decoded log-mel of the centroid; works for every codebook of the tokenizer
    embedding    1 + the code's number, stream after stream; for one codebook only
    position     0 or 1 for each place within the code, appended to either

Frames before and after a clip are zeros.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from foundation.errors import InputError
from tokenizer.codes import CodeMeanings
from vocoder.wavenet.network import WaveNetConfig


def code_frames(values: Tensor, meanings: CodeMeanings, config: WaveNetConfig) -> Tensor:
    """Convert codes ``(batch, time, streams)`` int64 to ``(batch, time * patch_frames, condition_inputs)``."""
    match config.condition:
        case "meaning":
            frames = meanings.spectrogram(values)
        case "embedding":
            _require_codebook(meanings.format.codebook, config)
            frames = (1 + values).float().repeat_interleave(config.patch_frames, dim=1)
    if not config.code_position:
        return frames
    places = one_hot(torch.arange(config.patch_frames, device=frames.device), config.patch_frames).to(frames)
    repeated = places.repeat(values.shape[1], 1).expand(len(values), -1, -1)  # (N, time * patch_frames, patch_frames)
    return torch.cat([frames, repeated], dim=2)


def mean_level(frames: Tensor, config: WaveNetConfig) -> float:
    """Average the normalised log-mel of frames ``(frames, condition_inputs)``; 0, the overall mean, if unknown."""
    return float(frames[:, : config.n_mels].mean()) if config.condition == "meaning" else 0.0


def _require_codebook(codebook: str, config: WaveNetConfig) -> None:
    if codebook != config.codebook:
        raise InputError(
            f"the vocoder knows the codes of codebook {config.codebook} alone, and these are of {codebook}: train one "
            "for it, or one with vocoder.wavenet.condition=meaning, which serves every codebook of its tokenizer"
        )
