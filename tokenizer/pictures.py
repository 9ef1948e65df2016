"""Spectrograms that show what a tokenizer keeps of recordings."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tokenizer.codes import Codes
from tokenizer.tokenizer import Tokenizer
from wordless.audio.waveform import Waveform


@torch.inference_mode()
def pictures(tokenizer: Tokenizer, originals: Sequence[Waveform], codes: Sequence[Codes]) -> dict[str, Tensor]:
    """Compute normalised log-mel ``(time, mels)``: original, autoencoded and quantised; and the codes."""
    found = {}
    for number, (original, each) in enumerate(zip(originals, codes, strict=True)):
        padded = np.zeros(len(each.values) * each.format.samples_per_code, np.float32)
        padded[: len(original.samples)] = original.samples
        spectrogram = tokenizer.normalise(tokenizer.log_mel(torch.from_numpy(padded)[None]))
        found[f"{number}:original"] = spectrogram[0]
        bottlenecks = tokenizer.bottlenecks_of(padded, spectrogram)
        found[f"{number}:autoencoder"] = tokenizer.decode_bottlenecks(bottlenecks)[0]
        found[f"{number}:codebook"] = tokenizer.spectrogram(torch.from_numpy(each.values)[None])[0]
        found[f"{number}:codes"] = torch.from_numpy(each.values)
    return {name: picture.contiguous() for name, picture in found.items()}
