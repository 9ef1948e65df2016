"""A first look for the recordings of a corpus, before the imports of the trainings."""

from collections.abc import Mapping
from dataclasses import replace

from pipelines.settings.completed import EMBEDDED, with_embedded_corpus
from wordless.audio.recordings.corpus import CorpusConfig, find_recordings
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.configuration import build


def require_recordings(config: Mapping[str, object]) -> None:
    """Refuse a composed config whose folder or table of recordings cannot be used; nothing is decoded.

    The chain checks the same again, when its imports are done: they take seconds, and this check takes one. Data sets
    and shards must be unpacked first, and are left to the chain.

    Raises:
        InputError: the options of the corpus contradict each other, or `find_recordings` finds no recordings.
    """
    corpus = with_embedded_corpus(config).get("corpus")
    if not isinstance(corpus, Mapping):
        return
    options = build(CorpusConfig, corpus, name="corpus")
    if options.is_packed or options.root == EMBEDDED:
        return
    compare = config.get("compare")
    in_folds = isinstance(compare, Mapping) and compare.get("folds")
    find_recordings(replace(options, split=SplitConfig()) if in_folds else options)
