"""Beam search over the outputs of CTC, by torchaudio's decoder, which needs the package flashlight-text."""

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
import torch

from lm.pooling import FloatArray
from wordless.base.errors import InputError

SPACE, SILENCE = " ", "<silence>"  # the decoder wants a token for silence; a space is one
BLANK = "<blank>"
IMPOSSIBLE = -1e4  # logarithm of the probability of a token that no output stands for


def require_decoder() -> None:
    """Refuse a beam search if its library is not installed."""
    if find_spec("flashlight") is None:
        raise InputError(
            "head.beam_size asks for a beam search, and flashlight-text is not installed; pip install "
            "'wordless[ctc]', or decode greedily: head.beam_size=0"
        )


def beam_search(outputs: Sequence[FloatArray], characters: Sequence[str], *, beam_size: int) -> list[str]:
    """Find a probable text for the logits ``(steps, 1 + characters)`` of each clip; blank is output 0.

    The probability of a text is the sum over all its alignments within the beam. No lexicon and no language model takes
    part.
    """
    require_decoder()
    from torchaudio.models.decoder import ctc_decoder

    silence = SPACE if SPACE in characters else SILENCE
    tokens = [BLANK, *characters, *([] if silence == SPACE else [SILENCE])]
    decoder = ctc_decoder(
        lexicon=None,
        tokens=tokens,
        lm=None,
        nbest=1,
        beam_size=beam_size,
        beam_threshold=-IMPOSSIBLE,
        log_add=True,
        blank_token=BLANK,
        sil_token=silence,
    )
    texts = []
    for each in outputs:
        scores = torch.from_numpy(np.ascontiguousarray(each)).log_softmax(-1)
        scores = torch.nn.functional.pad(scores, (0, len(tokens) - scores.shape[1]), value=IMPOSSIBLE)
        ((best, *_),) = decoder(scores[None])
        spelled = [token for token in decoder.idxs_to_tokens(best.tokens) if token != SILENCE]
        texts.append("".join(spelled).strip())
    return texts
