"""Values of options that are null by default and follow from others, without any heavy import."""

from collections.abc import Mapping, Sequence

from wordless.audio.recordings.embedded import VOICES, VOICES_OF_SENTENCES, fill_in

LISTED = ("root", "table")  # options of the corpus that name recordings on the disk
PACKED = ("dataset", "shards")  # those that name files with recordings inside
STAGES = ("tokenizer", "lm", "probe", "vocoder", "report")  # of a run that names none
# Options that are null by default: the value for the built-in sentences, and that for all other recordings.
# The validation loss on the sentences is 2.76 after 100 steps with a learning rate of 2e-3, and 3.09 with 1e-3.
# A probe of log-mel recognises 82 % of the sentences, a probe of codes 98 %.
# A page has no room for all sounds of more than four sentences.
CHOICES = (("lm.fit.lr", 2e-3, 1e-3), ("listening.judge", "codes", "probe"), ("listening.clips", 4, 6))


def with_choices(config: Mapping[str, object]) -> dict[str, object]:
    """Return the config with values in place of null, where other options decide them.

    They are those of `embedded`, `stages` and `CHOICES`. With the built-in sentences the language model is also tested
    by their word order, if there are voices left that can speak the test.
    """
    values, corpus = dict(config), config.get("corpus")
    alone = isinstance(corpus, Mapping) and is_embedded(corpus)
    if isinstance(embedded := values.get("embedded"), Mapping):
        values["embedded"] = fill_in(embedded, alone=alone, voices=_voices_of_sentences(values))
    sentences = alone and _has_sentences(values)
    for option, of_sentences, of_others in CHOICES:
        values = _with_value(values, option.split("."), of_sentences if sentences else of_others)
    if "stages" in values and values["stages"] is None:
        tested = sentences and _has_one_rate(values) and without_test(values) is None
        values["stages"] = [*STAGES[:-1], *(["zerospeech"] if tested else []), STAGES[-1]]
    return values


def without_test(values: Mapping[str, object]) -> str | None:
    """Say why too few voices are left to test a GPT of one rate by word order; None if they suffice."""
    match values:
        case {"embedded": {"voices": int(voices)}, "zerospeech": {"voices": int(unheard)}}:
            every, too_many = len(VOICES), voices + unheard > len(VOICES)
            in_range = voices <= every and unheard < every  # other numbers are refused with their range
            if _has_sentences(values) and _has_one_rate(values) and too_many and in_range:
                return f"embedded.voices={voices} leaves {every - voices} of {every}, zerospeech.voices is {unheard}"
    return None


def _has_sentences(values: Mapping[str, object]) -> bool:
    match values:
        case {"embedded": {"sentences": int(sentences)}}:
            return sentences > 0
    return False


def _has_one_rate(values: Mapping[str, object]) -> bool:
    match values:
        case {"zerospeech": Mapping(), "tokenizer": {"rates": None}}:
            return True
    return False


def _voices_of_sentences(values: Mapping[str, object]) -> int:
    """Return the number of voices that speak sentences, so that enough are left for the test of word order."""
    match values:
        case {"zerospeech": {"voices": int(unheard)}} if 1 <= unheard < len(VOICES):
            return min(VOICES_OF_SENTENCES, len(VOICES) - unheard)
    return VOICES_OF_SENTENCES


def _with_value(values: Mapping[str, object], names: Sequence[str], value: object) -> dict[str, object]:
    """Return the values with ``value`` where the option of these names is null."""
    first, *rest = names
    inner, found = values.get(first, value), dict(values)
    if rest and isinstance(inner, Mapping):
        found[first] = _with_value(inner, rest, value)
    elif not rest and inner is None:
        found[first] = value
    return found


def is_embedded(corpus: Mapping[object, object]) -> bool:
    """Return whether a corpus names no other recordings than the built-in ones."""
    return all(corpus.get(name) is None for name in (*LISTED, *PACKED))
