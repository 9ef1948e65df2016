"""Values of a composed config that follow from other options, and the refusal of missing recordings."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import reduce
from operator import getitem
from typing import Any

from pipelines.extras.table import extras
from wordless.audio.recordings.corpus import CorpusConfig, find_recordings
from wordless.audio.recordings.embedded import PATTERN, VOICES, VOICES_OF_SENTENCES, EmbeddedConfig, fill_in
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.messages import InputError, within
from wordless.base.options import build

LISTED = ("root", "table")  # options of the corpus that name recordings on the disk
USUAL = ("tokenizer", "lm", "probe", "vocoder", "report")  # stages of a run that names none
# Options that are null by default: the value for the built-in sentences, that for all other recordings, and a note.
# The validation loss on the sentences is 2.76 after 100 steps with a learning rate of 2e-3, and 3.09 with 1e-3.
# A probe of log-mel recognises 82 % of the sentences, a probe of codes 98 %.
# A page has no room for all sounds of more than four sentences.
CHOICES = (
    ("lm.fit.lr", 2e-3, 1e-3, "null: 2e-3 with the built-in sentences, else 1e-3"),
    ("listening.judge", "codes", "probe", ""),
    ("listening.clips", 4, 6, ""),
)


def with_choices(config: Mapping[str, object]) -> dict[str, Any]:
    """Return a copy of the config with values in place of null, where other options decide them.

    Extras may join a run on the built-in corpus that names no stages.
    """
    values: dict[str, Any] = deepcopy(dict(config))
    own = extras(values)
    alone, unheard = is_embedded(values["corpus"]), max([0, *(values[of.name][of.voices] for of in own if of.voices)])
    voices = min(VOICES_OF_SENTENCES, len(VOICES) - unheard) if unheard < len(VOICES) else VOICES_OF_SENTENCES
    values["embedded"] = fill_in(values["embedded"], alone=alone, voices=voices)
    if "stages" not in values:  # of another command than run
        return values
    of_sentences = alone and values["embedded"]["sentences"] > 0
    for option, with_sentences, with_others, _ in CHOICES:
        *places, last = option.split(".")
        group = reduce(getitem, places, values)
        if group[last] is None:
            group[last] = with_sentences if of_sentences else with_others
    if values["stages"] is None:
        values["stages"] = usual_stages(values)
    return values


def usual_stages(config: Mapping[str, Any]) -> list[str]:
    """Return the stages of a run that names none."""
    joining = [each.name for each in extras(config) if is_embedded(config["corpus"]) and each.joins(config) == ""]
    return [*USUAL[:-1], *joining, USUAL[-1]]


def is_embedded(corpus: Mapping[Any, object]) -> bool:
    """Return whether a corpus names no other recordings than the built-in ones."""
    return all(corpus.get(name) is None for name in (*LISTED, "dataset"))


EMBEDDED = "<embedded corpus>"  # stands for the root, which is known after the synthesis
EMBEDDED_SOURCE = "embedded"  # in `unlabelled`, for the embedded corpus


def with_embedded_corpus(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a completed config, with the embedded corpus if no recordings are named; refuse two places."""
    copied = deepcopy({**config})
    corpus: dict[str, Any] = copied["corpus"]
    listed, packed = [name for name in LISTED if corpus.get(name)], corpus.get("dataset")
    if listed and packed:  # a data set is unpacked into a folder with a table
        first, second = f"corpus.dataset={packed}", f"corpus.{listed[0]}={corpus[listed[0]]}"
        raise InputError(f"{first} has its own recordings, and {second} names others; leave one of them out")
    if is_embedded(corpus):
        plain = {"pattern": None, "labels": "folder", **{f"columns.{name}": None for name in corpus.get("columns", {})}}
        given = {**corpus, **{f"columns.{name}": column for name, column in corpus.get("columns", {}).items()}}
        for name, default in plain.items():
            if (value := given.get(name, default)) != default:
                raise InputError(
                    f"corpus.{name}={value}, but no corpus.root, corpus.table or corpus.dataset says "
                    f"where the recordings are: add one of them; the built-in corpus takes no corpus.{name}"
                )
        corpus.update(root=EMBEDDED, embedded=copied["embedded"], pattern=PATTERN, labels="pattern")
    return copied


def corpus_options(config: Mapping[str, Any]) -> CorpusConfig:
    """Build the options of the corpus of a completed config."""
    corpus = with_embedded_corpus(config)["corpus"]
    if "embedded" in corpus:
        build(EmbeddedConfig, corpus["embedded"], name="embedded")  # refuses values at the place where they were set
    return build(CorpusConfig, corpus, name="corpus")


def require_recordings(options: CorpusConfig, *, in_folds: bool = False) -> None:
    """Refuse a folder or table of recordings that cannot be used; nothing is decoded.

    The chain checks the same again, after imports that take seconds. Data sets are left to the chain.
    """
    if not options.is_made:
        with within("corpus"):
            find_recordings(replace(options, split=SplitConfig(by="hash")) if in_folds else options)
