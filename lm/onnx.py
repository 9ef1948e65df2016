"""The language model as a module that ONNX can express: codes in, logits of each code out."""

from copy import deepcopy

from torch import Tensor, nn

from lm.model import LanguageModel
from wordless.base.causal_transformer import make_exportable
from wordless.base.errors import InputError


class CodesToLogits(nn.Module):
    """Codes ``(batch, time, streams)``, int64 -> logits ``(batch, time * streams + 1, codes)``.

    Logits ``p`` are of code ``p``, counted time-major and stream-minor, given all codes before it; the last ones are
    of the code that would follow. Time is at most `lm.gpt.GPT.capacity`.
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        if model.gpt.conditions is not None:
            raise InputError(f"{model.name} reads codes of coarser rates, which is not written as ONNX; export rate 1")
        if model.predicted.pitch is not None:
            raise InputError(
                f"{model.name} reads the pitch among the codes, which is not written as ONNX; train it with "
                "lm.pitch=beside"
            )
        self.gpt = deepcopy(model.gpt).cpu().eval()
        make_exportable(self.gpt)

    def forward(self, codes: Tensor) -> Tensor:
        """Compute the logits of windows that begin at the start of a recording, or anywhere else."""
        vocabulary = self.gpt.vocabulary
        tokens = vocabulary.sequences(codes)
        steps = vocabulary.steps(tokens) if self.gpt.by_step else tokens[..., None]  # (N, positions, tokens of each)
        states = self.gpt.decoded_steps(steps)
        return self.gpt.logits(states)[:, : tokens.shape[1]]
