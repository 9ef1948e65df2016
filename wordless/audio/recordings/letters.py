"""The letters of labels and other texts of recordings: which are refused, how they are written, which look alike.

Tables, data sets, names of folders and files, and annotations of all kinds pass the same functions. Paths do not: a
file is found by its name as it is on the disk.

=======================================================  ================================================
control characters (Cc), separators of lines (Zl, Zp)    refused, with the place of the text
halves of characters (Cs), code points without meaning   refused
spaces of any kind (Zs), one or several                  one plain space; none at the ends
tabs and line breaks at the ends                         left out
joiners, soft hyphens and other format characters (Cf)   kept: they belong to the spelling of many languages
the byte order mark (U+FEFF)                             left out
letters and their marks                                  composed (NFC)
=======================================================  ================================================

The byte order mark is the one format character that is left out. It says how a file is encoded, and stands inside a
text only where programs have joined files; Unicode no longer allows it as a joiner.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from unicodedata import category, name, normalize

SPACES = " \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u202f\u205f\u3000"  # the category Zs
_BYTE_ORDER_MARK = "\ufeff"
_SPACE = re.compile(f"[{SPACES}]+")
_WRAPPED = re.compile(f"[{SPACES}\t\r\n]+")
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    map(chr, (p + last for p in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)))
)
_REFUSED = re.compile(f"[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_NONCHARACTERS}]")
# What a reader does not see: format characters are found by their category, and these beside them.
_UNSEEN = re.compile("[\u034f\u17b4\u17b5\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_BLANK = re.compile(f"[{SPACES}\u115f\u1160\u2800\u3164\uffa0]+")  # spaces, and letters that are drawn as nothing

_SPELLED = re.compile(r"[^A-Za-z0-9_./+@ -]")


def plain(text: str) -> str:
    """Write a text as all sources write it; characters that are refused stay, so that `refused` finds them."""
    if text.isascii() and text.isprintable() and "  " not in text:  # most texts, in a tenth of the time
        return text.strip(" ")
    text = _SPACE.sub(" ", text.replace(_BYTE_ORDER_MARK, ""))
    return normalize("NFC", text.strip(" \t\r\n"))


def unwrapped(text: str) -> str:
    """Write a text of a format that wraps its lines, as Praat and ELAN do: tabs and line breaks are spaces there."""
    return plain(_WRAPPED.sub(" ", text))


def refused(text: str) -> str:
    """Name the first character of a text that is refused; empty: there is none."""
    found = _REFUSED.search(text)
    if found is None:
        return ""
    kinds = {"Cc": "a control character", "Cs": "half of a character", "Cn": "no character"}
    return f"U+{ord(found[0]):04X} ({kinds.get(category(found[0])) or name(found[0]).lower()})"


def visible(text: str) -> str:
    """Write characters that are not seen, or look like others, as Python's escape sequences, such as ``\\u200c``."""

    def is_plain(each: str) -> bool:
        return each == " " or not (_is_unseen(each) or _BLANK.match(each) or normalize("NFKC", each) != each)

    return "".join(each if is_plain(each) else each.encode("unicode_escape").decode() for each in text)


def spelled(text: str) -> str:
    """Write a text in letters that a command line takes as the name of an entry, others as escape sequences."""
    return _SPELLED.sub(
        lambda found: found[0].encode("unicode_escape").decode() if found[0] > "~" else f"\\x{ord(found[0]):02x}", text
    )


def alike(labels: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the labels that look alike, those of one look together, in order.

    They differ only in case, in characters that are not seen, in forms that Unicode calls compatible, such as the
    letters of full width, or in blanks.
    """
    looks = defaultdict[str, set[str]](set)
    for label in labels:
        looks[_look(label)].add(label)
    return sorted(tuple(sorted(several)) for several in looks.values() if len(several) > 1)


def _is_unseen(character: str) -> bool:
    return category(character) == "Cf" or _UNSEEN.match(character) is not None


def _look(text: str) -> str:
    seen = text if text.isascii() else "".join(each for each in text if not _is_unseen(each))
    return _BLANK.sub(" ", normalize("NFKC", normalize("NFKC", seen).casefold())).strip()
