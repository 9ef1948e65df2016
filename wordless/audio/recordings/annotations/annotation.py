"""The values that all readers of annotations share."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from wordless.audio.recordings.text_files import require_text
from wordless.base.errors import InputError

Kind = Literal["raven", "elan", "textgrid", "audacity", "kaldi", "lhotse", "rttm", "ctm", "lab"]
KINDS: tuple[Kind, ...] = get_args(Kind)  # of several kinds that agree, the first is used: it knows most
AnnotationKind = Literal["auto", "none", Kind]
MAX_BYTES = 1 << 28  # of a file of annotations
NUMBER = r"[-+]?\d+(?:[.,]\d*)?(?:[eE][-+]?\d+)?"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, kw_only=True)
class AnnotationConfig:
    """Options of the annotations of a folder."""

    kind: AnnotationKind = "auto"
    tier: str | None = None  # tier, or column of a selection table, that has the labels; None: the only one
    tier_option: str = "tier"  # the option that named the tier, for messages
    group: str | None = None  # column of a selection table that has the groups
    prefix: str = ""  # of the options' names in messages: "corpus." where they are options of the corpus


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """A part of a recording, as a file names it."""

    where: str  # "file:line"
    fields: Mapping[str, str]  # as `wordless.audio.recordings.description.describe` reads them
    recording: str | None = None  # its path or name, as the file gives it; None: the recording of the file's name
    fault: str | None = None  # why the part cannot be used


@dataclass(frozen=True, kw_only=True)
class Tier:
    """Annotations of one kind in a file: a tier, a column of labels, or all there are."""

    name: str
    annotations: Sequence[Annotation]
    gaps: int = 0  # empty intervals between the annotations, which are no parts
    points: int = 0  # times without a length


class NoTierError(InputError):
    """A file has no tier of the wanted name."""


def read_text(path: Path) -> str:
    """Read text in UTF-8 or UTF-16 with a mark, in UTF-8, or else in Latin-1; line ends become line feeds."""
    return decoded(read_bytes(path)).replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: Path, *, xml: bool = False) -> bytes:
    """Read the bytes of a text, which may be an XML document.

    Raises:
        InputError: the file is too long, or of another kind: a Git LFS pointer, a web page...
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError(f"{path.name}:1: more than {MAX_BYTES >> 20} MiB of text; divide the file")
    require_text(content, path.name, xml=xml)
    return content


def decoded(content: bytes) -> str:
    """Decode the bytes of a text, which may end within a character."""
    if content[:2] in _UTF_16:
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(content) - error.start < 4:  # cut off within a character
            return content[: error.start].decode("utf-8-sig")
        return content.decode("latin-1")


def seconds(text: str) -> str:
    """Return a number with a point for the decimals; some tools write the comma of their country."""
    text = text.strip()
    return text.replace(",", ".") if re.fullmatch(NUMBER, text) else text


def one_line(text: str) -> str:
    """Return a label without line breaks, tabs and repeated spaces."""
    return " ".join(text.split())


def choose_tier(tiers: Iterable[Tier], wanted: str | None, shown: str, config: AnnotationConfig) -> Tier:
    """Return the wanted tier, or the only one that has annotations.

    Raises:
        NoTierError: the file has no tier of this name.
        InputError: the file has several tiers, and no option chooses.
    """
    tiers = list(tiers)
    option, plain = f"{config.prefix}tier", f"{config.prefix}annotations=none"
    if wanted is not None:
        named = [tier for tier in tiers if tier.name == wanted]
        if not named:
            raise NoTierError(f"{shown}: no tier or column {wanted!r}; there are {_names(tiers)}")
        return named[0]
    filled = [tier for tier in tiers if tier.annotations]
    if len(filled) > 1:
        raise InputError(
            f"{shown}: {len(filled)} tiers or columns have labels: {_names(filled)}; choose one, such as "
            f"{option}={filled[0].name}, or {plain} for whole recordings"
        )
    gaps, points = sum(tier.gaps for tier in tiers), sum(tier.points for tier in tiers)
    return filled[0] if filled else Tier(name="", annotations=(), gaps=gaps, points=points)


def _names(tiers: Sequence[Tier], most: int = 8) -> str:
    names = [tier.name for tier in tiers[:most]]
    return (", ".join(names) or "none") + (f" and {len(tiers) - most} more" if len(tiers) > most else "")
