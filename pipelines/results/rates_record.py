"""Codes at several rates in ``results.json``, as the report reads them."""

from typing import TypedDict


class RateRow(TypedDict):
    """The codes and the language model of one rate, or the flat GPT over the finest codes."""

    of: str  # rate_1 ..., or flat
    frames: int  # per patch
    codes_per_second: float  # over all streams
    codebook_perplexity: float
    coded_bits_per_second: float  # if all codes are equally probable
    perplexity: float  # of the language model
    unigram_perplexity: float
    bits_per_real_second: float  # that the language model needs for the validation clips, by their real length
    parameters: int  # of the language model
    steps: int  # of its training


class ContinuedRow(TypedDict):
    """The continuations by one model, or the recordings themselves."""

    of: str  # rates, flat or recordings
    steps: int  # of the finest codes that are counted, of each row
    distinct_1: float | None
    distinct_2: float | None
    distinct_3: float | None
    sounding: float | None  # share of windows that are not silent; None for the recordings


class JudgedRow(TypedDict):
    """A figure of the labels of both models, and their difference on the same clips."""

    name: str  # label_kept | label_stability | label_lasting
    clips: int  # that have the figure for both models
    resampled: str  # clip or group: what the interval draws
    rates: float
    flat: float
    difference: float  # rates minus flat
    low: float  # interval of the difference over clips or their groups
    high: float
    p: float  # two-sided


class ContinuedFile(TypedDict):
    """A sound of a continuation."""

    of: str
    clip: int
    file: str  # in the folder rates
    prompt_seconds: float


class _Always(TypedDict):
    rates: list[RateRow]
    flat: RateRow
    continued: list[ContinuedRow]
    said: list[ContinuedFile]  # of the clips that the report shows
    clips: list[str]  # names of these clips
    seconds: float  # of each continuation
    window_seconds: float
    continued_clips: int


class RatesRecord(_Always, total=False):
    """All of the stage ``rates``; labels only where clips have some."""

    judged: list[JudgedRow]
    judge: str  # in words
    originals: float  # share of the original recordings whose label the judge names
    coded: float  # share of the windows of the sound of their finest codes
