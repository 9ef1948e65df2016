"""Sequence: the characters of a label's text, by connectionist temporal classification (CTC) over the body's states.

Graves et al., "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural
Networks", 2006. Output 0 is the blank, output ``c`` the character ``characters[c - 1]``. Equal characters that follow
each other need a blank between them::

    outputs  - t t h - r e - e e -      "-" is the blank
    text       t   h   r e   e          "three"

Beam search is that of torchaudio's decoder, which needs the package flashlight-text.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

import numpy as np
import torch
from torch import Tensor, nn
from torchaudio.functional import edit_distance

from lm.finetuning import FigureConfig, SequenceOptions, require_decoder
from lm.heads import Figure, Groups, Row, Task, figure
from lm.probing.comparison import Hits, Ratios
from lm.probing.vectors import FloatArray
from wordless.base.errors import require
from wordless.base.machine import copy_to

SPACE, SILENCE = " ", "<silence>"  # the decoder wants a token for silence; a space is one
BLANK_TOKEN = "<blank>"
IMPOSSIBLE = -1e4  # logarithm of the probability of a token that no output stands for


def beam_search(outputs: Sequence[FloatArray], characters: Sequence[str], *, beam_size: int) -> list[str]:
    """Find a probable text for the logits ``(steps, 1 + characters)`` of each clip; blank is output 0.

    The probability of a text is the sum over all its alignments within the beam. No lexicon and no language model takes
    part.
    """
    require_decoder()
    from torchaudio.models.decoder import ctc_decoder

    silence = SPACE if SPACE in characters else SILENCE
    tokens = [BLANK_TOKEN, *characters, *([] if silence == SPACE else [SILENCE])]
    decoder = ctc_decoder(
        lexicon=None,
        tokens=tokens,
        lm=None,
        nbest=1,
        beam_size=beam_size,
        beam_threshold=-IMPOSSIBLE,
        log_add=True,
        blank_token=BLANK_TOKEN,
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


BLANK = 0
CERTAIN = 30.0  # logit of the only possible output
COMPARED = 50  # most frequent texts, of which one is the constant answer; two long ones take 10 ms


@dataclass(frozen=True, kw_only=True)
class SequenceTask(Task):
    """The characters. Outputs are logits of the blank and of each character ``(steps, 1 + characters)``."""

    options: SequenceOptions
    characters: tuple[str, ...]  # sorted

    def __post_init__(self) -> None:
        fitting = bool(self.characters) and len({*self.characters}) == len(self.characters)
        fitting = fitting and all(len(character) == 1 for character in self.characters)
        require(fitting, "characters", list(self.characters), "they must be different single characters")

    @property
    def summary(self) -> str:
        return f"text of {len(self.characters)} characters: {''.join(self.characters)}"

    def create(self, dim: int, *, states_per_second: float) -> nn.Module:
        factor = math.ceil(self.options.least_steps_per_second / states_per_second)
        return SequenceHead(dim, 1 + len(self.characters), factor=factor, dropout=self.options.dropout)

    def targets(self, labels: Sequence[str]) -> Tensor:
        """Convert texts to numbers of characters ``(clips, longest)``, zeros after the end, without unknown ones."""
        number = {character: place for place, character in enumerate(self.characters, 1)}
        rows = [[number[c] for c in self.options.text(label) if c in number] for label in labels]
        targets = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
        for target, row in zip(targets, rows, strict=True):
            target[: len(row)] = torch.tensor(row, dtype=torch.int64)
        return targets

    def loss(self, outputs: Tensor, lengths: Tensor, targets: Tensor, *, training: bool) -> tuple[Tensor, int]:
        """Sum the CTC loss in nats over characters; a clip with too few steps for its text adds neither."""
        sizes = (targets != BLANK).sum(1)
        repeated = ((targets[:, 1:] == targets[:, :-1]) & (targets[:, 1:] != BLANK)).sum(1)
        scores = outputs.log_softmax(-1).transpose(0, 1)  # (N, T, C) -> (T, N, C)
        lengths = copy_to(lengths, scores.device)
        loss = nn.CTCLoss(blank=BLANK, reduction="sum", zero_infinity=True)
        return loss(scores, targets, lengths, sizes), int(sizes[lengths >= sizes + repeated].sum())

    def rows(self, outputs: Sequence[FloatArray]) -> list[Row]:
        """Give the text of each clip: by beam search if there is one, and the greedy decoding beside it."""
        greedy, size = self._greedy(outputs), self.options.beam_size
        if not size:
            return [{"text": text} for text in greedy]
        found = beam_search(outputs, self.characters, beam_size=size)
        return [{"text": best, "greedy": text} for best, text in zip(found, greedy, strict=True)]

    def figures(
        self, outputs: Sequence[FloatArray], labels: Sequence[str], config: FigureConfig, groups: Groups = ()
    ) -> tuple[Figure, ...]:
        """Measure the character error rate of each decoding, and the share of texts without an error (greedy)."""
        wanted = [self.options.text(label) for label in labels]
        greedy = self._greedy(outputs)
        found, size = {"greedy": greedy}, self.options.beam_size
        if size:
            found["beam search"] = beam_search(outputs, self.characters, beam_size=size)
        rates = [
            figure(f"character error rate, {name}", error_rates(texts, wanted), config, groups, percent=True)
            for name, texts in found.items()
        ]
        right = np.array([[text == truth for text, truth in zip(greedy, wanted, strict=True)]], np.float64)
        return (*rates, figure("texts without error", Hits(hits=right), config, groups, percent=True))

    def constant(self, labels: Sequence[str]) -> FloatArray:
        """Return outputs that spell the frequent text with the fewest edits from all others."""
        counts = Counter(map(self.options.text, labels)).most_common(COMPARED)
        texts, often = zip(*counts, strict=True)
        edits = np.zeros((len(texts), len(texts)))
        for one, other in combinations(range(len(texts)), 2):
            edits[one, other] = edits[other, one] = edit_distance(texts[one], texts[other])
        central = texts[int((edits @ often).argmin())]
        numbers = [0, *(each for c in central for each in (1 + self.characters.index(c), BLANK))]
        outputs = np.zeros((len(numbers), 1 + len(self.characters)), np.float32)
        outputs[np.arange(len(numbers)), numbers] = CERTAIN
        return outputs

    def _greedy(self, outputs: Sequence[FloatArray]) -> list[str]:
        """Take the most probable output of each step, then merge repetitions and drop blanks."""
        texts = []
        for each in outputs:
            kept = (number for number, _ in groupby(each.argmax(1).tolist()) if number != BLANK)
            texts.append("".join(self.characters[number - 1] for number in kept).strip())
        return texts


class SequenceHead(nn.Module):
    """Several steps of outputs for each state."""

    def __init__(self, dim: int, width: int, *, factor: int, dropout: float) -> None:
        super().__init__()
        self.factor = factor
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, factor * width)

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map states ``(batch, time, dim)`` to ``(batch, time * factor, width)``, and their lengths."""
        outputs = self.linear(self.dropout(states))
        return outputs.reshape(len(states), states.shape[1] * self.factor, -1), lengths * self.factor


def error_rates(texts: Sequence[str], wanted: Sequence[str]) -> Ratios:
    """Count the edits (insertions, deletions, substitutions) from each text to the wanted one, and its characters."""
    edits = [edit_distance(text, truth) for text, truth in zip(texts, wanted, strict=True)]
    return Ratios(parts=np.array([edits], np.float64), wholes=np.array([len(truth) for truth in wanted], np.float64))
