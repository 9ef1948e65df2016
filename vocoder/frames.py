"""The frames that codes stand for, and the vocoder's conditions: the codes' log-mel, or the codes themselves.

::

    codes        [      c0       ][      c1       ]
    frames       [  f0  ][  f1   ][  f2  ][  f3   ]     patch_frames frames per code
    meaning      decoded log-mel of the centroid; works for every codebook of the tokenizer
    embedding    1 + the code's number, stream after stream; for one codebook only
    position     0 or 1 for each place within the code, appended to either
    pitch        voicing and height of the codes' stream of pitch, appended last: see `vocoder.phase`

Frames before and after a clip are zeros.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tokenizer.codes import CodeMeanings, IntArray
from vocoder.options import PITCH_INPUTS, WaveNetConfig
from vocoder.phase import pitch_inputs
from wordless.audio.spectrogram import mel_power
from wordless.base.errors import InputError
from wordless.base.machine import one_thread

PitchArray = npt.NDArray[np.float64]


def code_frames(values: Tensor, meanings: CodeMeanings, config: WaveNetConfig, *, shift: float = 0.0) -> Tensor:
    """Convert codes ``(batch, time, streams)`` int64 to ``(batch, time * patch_frames, condition_inputs)``.

    The pitch is raised by ``shift`` octaves.
    """
    match config.condition:
        case "meaning":
            frames = meanings.spectrogram(values)
        case "embedding":
            if meanings.format.codebook != config.codebook:
                raise InputError(
                    f"the vocoder knows the codes of codebook {config.codebook} alone, and these are of "
                    f"{meanings.format.codebook}: train one for it, or one with vocoder.wavenet.condition=meaning, "
                    "which serves every codebook of its tokenizer"
                )
            spectral = values[..., : config.streams]
            frames = (1 + spectral).float().repeat_interleave(config.patch_frames, dim=1)
        case "none":
            raise InputError("vocoder.wavenet.condition is none: such a network has no codes; choose meaning")
    parts = [frames]
    if config.code_position:
        places = one_hot(torch.arange(config.patch_frames, device=frames.device), config.patch_frames).to(frames)
        parts.append(places.repeat(values.shape[1], 1).expand(len(values), -1, -1))  # (N, time * P, P)
    if config.pitch:
        parts.append(pitch_frames(values, meanings, shift=shift).to(frames.device))
    return torch.cat(parts, dim=2)


def pitch_frames(values: Tensor, meanings: CodeMeanings, *, shift: float = 0.0) -> Tensor:
    """Return the pitch of codes ``(batch, time, streams)`` as `pitch_inputs` ``(batch, time * patch_frames, 3)``.

    Without a stream of pitch it is unknown.
    """
    pitch, patch = meanings.format.pitch, meanings.patch_frames
    if pitch is None:
        return torch.zeros(len(values), values.shape[1] * patch, PITCH_INPUTS, dtype=torch.float32)
    octaves = torch.from_numpy(pitch.octaves)[values[:, :, -1].cpu()]
    return pitch_inputs(octaves + shift).repeat_interleave(patch, dim=1)


def mean_level(frames: Tensor, config: WaveNetConfig) -> float:
    """Average the normalised log-mel of frames ``(frames, condition_inputs)``; 0, the overall mean, if unknown."""
    return float(frames[:, : config.n_mels].mean()) if config.condition == "meaning" else 0.0


@torch.inference_mode()
def frames_of(values: IntArray, tokenizer: CodeMeanings, config: WaveNetConfig, *, shift: float = 0.0) -> Tensor:
    """Compute the conditions ``(frames, condition_inputs)`` of codes ``(time, streams)``."""
    with one_thread():
        return code_frames(_batch(values), tokenizer, config, shift=shift)[0]


@torch.inference_mode()
def log_mel_of(values: IntArray, tokenizer: CodeMeanings) -> Tensor:
    """Decode codes ``(time, streams)`` to unnormalised log-mel ``(frames, mels)`` for synthesis.

    The tokenizer's make-up gain is added, so the log-mel has the power of the training recordings.
    """
    with one_thread():
        log_mel = tokenizer.denormalise(tokenizer.spectrogram(_batch(values))[0])
        if not tokenizer.gain:
            return log_mel
        power = mel_power(log_mel, tokenizer.front_end) * 10 ** (tokenizer.gain / 10)
        return torch.log(power + tokenizer.front_end.floor)


def pitch_of(values: IntArray, tokenizer: CodeMeanings) -> PitchArray | None:
    """Return each frame's pitch as of `PitchFormat.octaves`, nan without a voice; None without a stream of pitch."""
    pitch = tokenizer.format.pitch
    return None if pitch is None else pitch.octaves[values[:, -1]].repeat(tokenizer.patch_frames)


def _batch(values: IntArray) -> Tensor:
    return torch.from_numpy(values.astype(np.int64)).unsqueeze(0)
