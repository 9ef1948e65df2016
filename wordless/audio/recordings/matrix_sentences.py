"""Matrix sentences: name, verb, number, adjective, noun, as in the matrix tests of audiology.

Any word of a slot may follow any word of the slot before it, as in "Peter got three large desks" (Hagerman 1982;
Kollmeier et al. 2015, "The multilingual matrix test"). So a sentence is right or wrong by the order of its word classes
alone. A fifth of all sentences is never trained on: those whose places in the slots have a sum that is divisible by
five. All pairs of neighbouring words occur in the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

SLOTS = (
    ("Peter", "Kathy", "Thomas", "Lucy", "Steven"),
    ("got", "sees", "bought", "wants", "kept"),
    ("two", "three", "four", "seven", "nine"),
    ("large", "old", "green", "heavy", "cheap"),
    ("desks", "chairs", "rings", "spoons", "flowers"),
)
EVERY = 5  # one of so many sentences is held out


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """Five words; in the order of the slots unless two have changed places."""

    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The words as a sentence."""
        return " ".join(self.words) + "."

    @property
    def label(self) -> str:
        """The last word."""
        return self.words[-1]

    def exchanged(self, place: int) -> "Sentence":
        """Return the sentence in which the words at ``place`` and after it have changed places."""
        words = list(self.words)
        words[place : place + 2] = words[place + 1], words[place]
        return Sentence(words=tuple(words))


def _sentences(*, held_out: bool) -> tuple[Sentence, ...]:
    places = product(*(range(len(slot)) for slot in SLOTS))
    return tuple(
        Sentence(words=tuple(slot[place] for slot, place in zip(SLOTS, each, strict=True)))
        for each in places
        if (sum(each) % EVERY == 0) == held_out
    )


TRAINING, HELD_OUT = _sentences(held_out=False), _sentences(held_out=True)
MOST_SENTENCES = len(TRAINING)


def training_sentences(count: int, *, seed: Sequence[int]) -> list[Sentence]:
    """Draw different sentences that may be trained on."""
    chosen = np.random.default_rng(seed).choice(len(TRAINING), size=count, replace=False)
    return [TRAINING[number] for number in chosen]


def order_pairs(count: int) -> list[tuple[Sentence, Sentence]]:
    """Return ``count`` held-out sentences, each with the same words in another order.

    Two neighbouring words have changed places: the first two in the first sentence, the second and third in the next,
    and so on, so that every place is exchanged equally often.
    """
    chosen = [HELD_OUT[number * len(HELD_OUT) // count] for number in range(count)]
    return [(sentence, sentence.exchanged(number % (len(SLOTS) - 1))) for number, sentence in enumerate(chosen)]
