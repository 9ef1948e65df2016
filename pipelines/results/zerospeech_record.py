"""The tests of the language model in ``results.json``, as the report reads them."""

from typing import TypedDict


class JudgedRow(TypedDict):
    """The accuracy of one model, or the error of one representation."""

    of: str  # gpt, random_gpt, bigram or unigram
    value: float  # mean over items and trainings
    low: float  # interval over items
    high: float
    trainings: list[float]  # value of each fold and seed


class AdvantageRow(TypedDict):
    """The accuracy of the GPT minus that of another model on the same items."""

    against: str
    value: float
    low: float  # interval over items, paired
    high: float
    p: float  # two-sided


class PairTestRecord(TypedDict):
    """A test by pairs of utterances of which one is right; chance is 0.5."""

    test: str  # spot_the_word or word_order
    items: int  # words or sentences
    pairs: int  # over all items and voices
    voices: int
    example: list[str]  # an item, and what stands against it
    models: list[JudgedRow]
    advantages: list[AdvantageRow]


class AbxRecord(TypedDict):
    """ABX errors of phones between the same neighbours, across speakers; chance is 0.5."""

    phones: int
    pairs: int  # of phones that stand between the same neighbours
    tokens: int
    voices: int
    representations: list[JudgedRow]  # error instead of accuracy; of: codes, gpt/layer_1 ...


class ZerospeechRecord(TypedDict, total=False):
    """All tests."""

    pairs: PairTestRecord
    phones: AbxRecord
