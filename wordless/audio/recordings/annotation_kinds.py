"""The table of the kinds of files of annotations. No other file names a kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from wordless.audio.recordings.annotation_formats import (
    Annotation,
    Contents,
    columns,
    contents,
    ctm,
    elan,
    lab,
    raven,
    rttm,
    textgrid,
)


@dataclass(frozen=True, kw_only=True)
class AnnotationKind:
    """What is known of a kind of files of annotations."""

    title: str  # what a file is called
    suffixes: tuple[str, ...]  # in any case
    # Of the text of a file, its name for errors, and the columns of labels and groups that options name.
    read: Callable[..., list[Annotation]]
    has_columns: bool = False  # whether columns may have names; else `read` takes text and name alone
    # What the first lines of a text hold; None: no other files have the suffixes.
    contents: Callable[[str], Contents] | None = None
    names_recordings: bool = False  # whether each line does; else a file belongs to the recording of its name
    has_missing: bool = False  # whether NA and such stand for labels and groups that are not known
    is_xml: bool = False

    @cached_property
    def endings(self) -> tuple[str, ...]:
        """The suffixes in lower case."""
        return tuple(map(str.lower, self.suffixes))


ANNOTATION_KINDS: Mapping[str, AnnotationKind] = {  # a file is of the first kind whose suffix it has
    "raven": AnnotationKind(
        title="Raven selection table",
        suffixes=(".selections.txt", ".selection.table.txt", ".selections"),
        read=raven,
        has_columns=True,
        has_missing=True,
    ),
    "elan": AnnotationKind(title="ELAN document", suffixes=(".eaf",), read=elan, is_xml=True),
    "textgrid": AnnotationKind(title="Praat TextGrid", suffixes=(".TextGrid",), read=textgrid),
    "rttm": AnnotationKind(title="RTTM file", suffixes=(".rttm",), read=rttm, names_recordings=True),
    "ctm": AnnotationKind(title="CTM file", suffixes=(".ctm",), read=ctm, names_recordings=True),
    "lab": AnnotationKind(
        title=".lab file", suffixes=(".lab",), read=lab, has_columns=True, contents=partial(contents, lab)
    ),
    "audacity": AnnotationKind(
        title=".txt file",
        suffixes=(".txt",),
        read=columns,
        has_columns=True,
        contents=partial(contents, columns),
    ),
    "csv": AnnotationKind(
        title="label table",
        suffixes=(".csv", ".tsv"),
        read=columns,
        has_columns=True,
        contents=partial(contents, columns, needs_header=True),
        has_missing=True,
    ),
}


def kind_by_suffix(name: str) -> str | None:
    """Return the kind of files that have the suffix of a name."""
    name = name.lower()
    return next((kind for kind, facts in ANNOTATION_KINDS.items() if name.endswith(facts.endings)), None)
