"""Byte-pair encoding (BPE) of codes: frequent runs of codes become tokens of their own, so that sequences are shorter.

Gage, "A New Algorithm for Data Compression", 1994; Sennrich et al., "Neural Machine Translation of Rare Words with
Subword Units", 2016 (arXiv:1508.07909). Token ``c`` is code ``c``; each merge joins two tokens to a new one::

    codes     7  7  7  2  9  7  7  4        codebook of 16, merges (7, 7) and (16, 7)
    tokens    17       2  9  16    4        16 stands for 7 7, and 17 for 7 7 7

Two merges may make the same codes, such as (16, 7) and (7, 16): they make the same token.
"""

import json
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from tokenizer.codes import CodesFormat, IntArray
from wordless.base.errors import InputError, require

LONGEST = 64  # codes of a token: one silence of an hour shall not become a token
FEWEST = 2  # times that a pair is found in training clips; the library stops at fewer
FIRST = 0xF0000  # code 0 as a character for the library: private use, with room for MOST_CODES
MOST_CODES = 0x110000 - FIRST
PIECE = 4096  # codes: a clip is cut into pieces for learning, whose time grows with their squared length
IndexArray = npt.NDArray[np.int64]


class Merges:
    """The merges of one codebook, in the order in which they were learned.

    Args:
        pairs: the two tokens that each merge joins.
        codes: the format of the codes.
    """

    def __init__(self, pairs: Sequence[tuple[int, int]], codes: CodesFormat) -> None:
        self._codes = codes
        self.pairs = tuple((left, right) for left, right in pairs)
        texts = _characters(codes)  # of each token
        numbers = {text: number for number, text in enumerate(texts)}
        for number, (left, right) in enumerate(self.pairs):
            known = len(texts)
            if not (0 <= left < known and 0 <= right < known and len(texts[left] + texts[right]) <= LONGEST):
                raise InputError(
                    f"merge {number} joins the tokens {left} and {right}; it must join two of the {known} tokens "
                    f"before it to at most {LONGEST} codes"
                )
            if (text := texts[left] + texts[right]) not in numbers:
                numbers[text] = known
                texts.append(text)
        self._texts = texts
        self._library = Tokenizer(BPE(numbers, [(texts[left], texts[right]) for left, right in self.pairs]))
        self.lengths: IndexArray = np.array([len(text) for text in texts], np.int64)  # (tokens,) codes of each token

    @classmethod
    def learn(cls, clips: Iterable[IntArray], codes: CodesFormat, *, count: int) -> "Merges":
        """Learn at most ``count`` merges of the codes ``(time, 1)`` of clips; they follow from the clips alone.

        There are fewer if no other pair is found twice, or makes a token of at most `LONGEST` codes.
        """
        alphabet = _characters(codes)
        trainer = BpeTrainer(
            vocab_size=len(alphabet) + count,
            min_frequency=FEWEST,
            show_progress=False,
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            max_token_length=LONGEST,
        )
        library = Tokenizer(BPE())
        pieces = (clip[first : first + PIECE] for clip in clips for first in range(0, len(clip), PIECE))
        library.train_from_iterator(map(_text, pieces), trainer)
        model = json.loads(library.to_str())["model"]
        numbers: dict[str, int] = model["vocab"]
        assert [numbers[each] for each in alphabet] == [*range(len(alphabet))], "codes are the first tokens"
        return cls([(numbers[left], numbers[right]) for left, right in model["merges"]], codes)

    def as_dict(self) -> dict[str, object]:
        """Return the content of a file."""
        return {"codebook_size": self._codes.codebook_size, "merges": self.pairs}

    @property
    def num_tokens(self) -> int:
        """Number of tokens: codes, and runs of codes."""
        return len(self._texts)

    @property
    def num_runs(self) -> int:
        """Number of tokens that stand for several codes; they come last."""
        return self.num_tokens - self._codes.codebook_size

    def tokens(self, values: IntArray) -> IntArray:
        """Merge the codes of a recording: ``(time, 1)`` -> ``(tokens, 1)``."""
        return np.array(self._library.encode(_text(values)).ids, np.int32).reshape(-1, 1)

    def codes(self, tokens: IntArray) -> IntArray:
        """Expand tokens ``(tokens, 1)`` to the codes that they stand for ``(time, 1)``."""
        text = "".join(self._texts[token] for token in tokens[:, 0])
        return (np.frombuffer(text.encode("utf-32-le"), "<u4") - FIRST).astype(np.int32)[:, None]


def _characters(codes: CodesFormat) -> list[str]:
    """Return the character of each code; a codebook with more codes than there are characters is refused."""
    rule = f"merges are learned of codebooks of at most {MOST_CODES} codes"
    require(codes.codebook_size <= MOST_CODES, "codebook_size", codes.codebook_size, rule)
    return [chr(FIRST + code) for code in range(codes.codebook_size)]


def _text(values: IntArray) -> str:
    """Write codes as characters, which the library merges."""
    return (values.reshape(-1).astype("<u4") + FIRST).tobytes().decode("utf-32-le")
