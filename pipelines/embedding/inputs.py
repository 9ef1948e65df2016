"""The recordings of ``wordless embed``: found as those of `wordless encode`, or listed in a table."""

import os
import re
from collections.abc import Callable

from pipelines.embedding.options import EmbedConfig
from wordless.audio.recordings.annotations.annotation import AnnotationConfig
from wordless.audio.recordings.corpus import CorpusConfig, Found, find_recordings
from wordless.audio.recordings.description import Description, Span
from wordless.audio.recordings.recording_paths import Passage, recordings_at
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.errors import InputError

WHOLE = SplitConfig(validation_fraction=0, test_fraction=0)  # no clip is held out
# Options of a corpus -> those of this command, in messages about the tables that both read.
OWN_OPTIONS = {"corpus.table": "input", **{f"corpus.{name}": name for name in ("root", "annotations", "tier")}}


def corpus_of(settings: EmbedConfig) -> CorpusConfig:
    """Return the options of a corpus without labels and splits that holds the recordings."""
    if not settings.is_table:
        return CorpusConfig(root=str(settings.input), labels="none", annotations="none", split=WHOLE)
    return CorpusConfig(
        root=None if settings.root is None else str(settings.root),
        table=str(settings.input),
        labels="none",
        annotations=settings.annotations,
        tier=settings.tier,
        missing="list",
        split=WHOLE,
    )


def find_inputs(settings: EmbedConfig, say: Callable[[str], None]) -> Found:
    """Find the recordings and their annotated parts; ``say`` gets sentences about annotations.

    Raises:
        InputError: the input is not there or holds no recordings, or an option has no effect on it.
    """
    if settings.is_table:
        if not os.path.lexists(settings.input):
            problem = f"input={settings.input} does not exist"
            raise InputError(f"{problem}; name a recording, a folder or a table of recordings")
        try:
            return find_recordings(corpus_of(settings), option="input", say=say)
        except InputError as error:
            raise InputError(_with_own_options(str(error))) from error
    if settings.root is not None:
        raise InputError(f"root={settings.root}, but input={settings.input} is no table that lists recordings")
    found = recordings_at(settings.input, AnnotationConfig(kind=settings.annotations, tier=settings.tier))
    for notice in found.notices:
        say(notice)
    described: dict[str, tuple[Description, ...]] = {}
    for passage in found.passages:
        described[passage.path] = (*described.get(passage.path, ()), Description(span=_span_of(passage)))
    return found.root, described, found.rejected


def _span_of(passage: Passage) -> Span | None:
    """Return the span of an annotated part, which may be the whole recording; None: no annotation names a part."""
    if passage.span is not None:
        return Span(start=passage.span[0], end=passage.span[1])
    return None if passage.sample_rate is None else Span(start=0, end=None)


def _with_own_options(message: str) -> str:
    """Name the options of this command where a message names those of a corpus."""
    names = "|".join(map(re.escape, OWN_OPTIONS))
    return re.sub(rf"\b({names})\b(?!\.)", lambda found: OWN_OPTIONS[found.group()], message)
