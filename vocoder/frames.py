"""What a vocoder is told of codes, frame by frame: what they mean, or which they are.

::

    codes        [      c0       ][      c1       ]
    frames       [  f0  ][  f1   ][  f2  ][  f3   ]     patch_frames of them for each code
    meaning      log-mel of the centroid, as the autoencoder decodes it; any codebook of the tokenizer has one
    embedding    1 + the code's number, stream after stream; of one codebook alone
    position     0 or 1 for each place within the code, behind either

Zeros stand for what is not there: before and after a clip.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from foundation.errors import InputError
from tokenizer.codes import CodeMeanings
from vocoder.wavenet.network import WaveNetConfig


def code_frames(values: Tensor, meanings: CodeMeanings, config: WaveNetConfig) -> Tensor:
    """Codes ``(batch, time, streams)`` int64 -> ``(batch, time * patch_frames, condition_inputs)``.

    Raises:
        InputError: the network was trained on the codes of another codebook.
    """
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
    """Mean of the normalised log-mel that frames ``(frames, condition_inputs)`` mean; 0, the average, if unknown."""
    return float(frames[:, : config.n_mels].mean()) if config.condition == "meaning" else 0.0


def _require_codebook(codebook: str, config: WaveNetConfig) -> None:
    if codebook != config.codebook:
        raise InputError(
            f"the vocoder knows the codes of codebook {config.codebook} alone, and these are of {codebook}: train one "
            "for it, or one with vocoder.wavenet.condition=meaning, which serves every codebook of its tokenizer"
        )
