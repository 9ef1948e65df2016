"""Checks of what makers read: texts, times, splits, parts that reach outside, and recordings that are there twice.

A value that cannot be meant is refused with its place. What is wrong with single rows is set aside, in `rejected.tsv`,
and the corpus is refused if that are more rows than ``most_rejected`` allows.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from wordless.audio.recordings.inspection import Measurement
from wordless.audio.recordings.manifest import Clips, Rejected, Split, clip_name, writable
from wordless.base.messages import InputError, counted

END_TOLERANCE_SECONDS = 0.1  # an end so close to the end of the file counts as the end: decoders differ, tables round
DUPLICATE = "duplicate of another file"  # kinds of reasons
CONFLICTING = "duplicate of another file, with another label, group, split or part"
MISSING = "is not there"
OUTSIDE = "outside the recording"
_PLAIN = re.compile(r"[0-9]{1,12}(\.[0-9]*)?|\.[0-9]+")
_SPLITS: Mapping[str, Split] = {
    **{"train": "train", "test": "test"},
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
}
SPLIT_TEXTS = "train, validation (valid, val, dev) or test"


def plain_text(text: str) -> str:
    """Return a text without spaces around it, in the one form of letters with marks (NFC)."""
    return unicodedata.normalize("NFC", text.strip())


def text_of(name: str, text: str, where: str) -> str | None:
    """Return a `plain_text`; None: it is empty, so not known. One that no line of a table can hold is refused."""
    if not writable(text := plain_text(text)):
        remedy = "leave tabs, line breaks and broken characters out"
        raise InputError(f"{where}: {name} is {text!r:.80}, which no line can hold", remedy=remedy)
    return text or None


def seconds_of(name: str, text: str, where: str) -> float | None:
    """Parse a time, a plain decimal number of seconds; None: it is empty. All other texts are refused."""
    if not (text := text.strip()):
        return None
    if not _PLAIN.fullmatch(text):
        remedy = "write seconds as 1234.5, without other marks, or leave the cell empty"
        raise InputError(f"{where}: {name} is {text!r:.40}, which is no plain number of seconds", remedy=remedy)
    return float(text)


def whole_of(name: str, text: str, where: str) -> int | None:
    """Parse a whole number of at most 18 digits; None: it is empty. All other texts are refused."""
    if not (text := text.strip()):
        return None
    if not re.fullmatch("[0-9]{1,18}", text):
        raise InputError(f"{where}: {name} is {text!r:.40}", remedy="write a whole number, 0 or more")
    return int(text)


def split_of(text: str) -> Split | None:
    """Return the split that a text names, "" if it is empty; None: it names none."""
    text = text.strip().lower()
    return _SPLITS.get(text) if text else ""


def require_most_read(rejected: Sequence[Rejected], rows: int, most: float) -> None:
    """Refuse a table of which more than the share ``most`` of its ``rows`` was set aside."""
    lost = [each for each in rejected if each.where]
    if len(lost) <= most * rows:
        return
    shown = "; ".join(f"{each.where}: {each.path} {each.reason}" for each in lost[:3])
    more = f"; and {len(lost) - 3} more" if len(lost) > 3 else ""
    problem = f"{len(lost)} of {counted(rows, 'row')} cannot be used, more than {most:g} of them: {shown}{more}"
    folder = "name their folder (`root`), " if any(each.kind == MISSING for each in lost) else ""
    raise InputError(problem, remedy=f"{folder}mend or remove these rows, or allow more (`most_rejected`=0.5)")


def placed_parts(found: Clips, fit: Mapping[str, Measurement]) -> Clips:
    """Place parts of recordings in samples, as segment 0; parts outside are set aside, whole recordings stay."""
    return in_samples(found, {path: (each.num_samples, each.sample_rate) for path, each in fit.items()})


def in_samples(found: Clips, lengths: Mapping[str, tuple[int, int]]) -> Clips:
    """Place parts as `placed_parts`; ``lengths`` has the samples and the rate in Hz of each recording with a part."""
    named = found.frame[found.frame.begin.notna()]
    if not len(named):
        return found
    length, rate = np.array([lengths[path] for path in named.path]).T
    begin, end = named.begin.to_numpy(float), named.end.to_numpy(float)
    begins_behind = begin >= length / rate
    outside = begins_behind | (end > length / rate + END_TOLERANCE_SECONDS)
    start = np.rint(begin * rate)
    size = np.maximum(np.minimum(np.rint(end * rate), length) - start, 0)
    frame, parts = found.frame.copy(), size != length
    frame.loc[named.index[parts], "segment"] = 0
    for name, values in (("start", start), ("num_samples", size), ("sample_rate", rate)):
        frame.loc[named.index[parts], name] = values[parts].astype(np.int64)
    rejected = [*found.rejected]
    for row in np.flatnonzero(outside):
        clip, behind = named.iloc[row], "begins" if begins_behind[row] else "ends"
        name = clip_name(clip.path, (clip.begin, clip.end))
        lasts = f"{length[row] / rate[row]:.3f}".rstrip("0").rstrip(".")
        reason = f"{behind} behind the end of the recording, which lasts {lasts} s"
        rejected.append(Rejected(path=name, reason=reason, kind=OUTSIDE, where=clip["where"]))
    return replace(found, frame=frame.drop(named.index[outside]).reset_index(drop=True), rejected=tuple(rejected))


def without_duplicates(found: Clips, fit: Mapping[str, Measurement]) -> tuple[Clips, tuple[Rejected, ...]]:
    """Keep the first of files with the same samples, with the parts that only the others name."""
    first, rejected = dict[str, str](), list[Rejected]()  # hash of samples -> path of the first file
    originals = {path: first.setdefault(each.samples_sha256, path) for path, each in fit.items()}
    copies = {path: original for path, original in originals.items() if path != original}
    if not copies:
        return found, ()
    rows = found.frame[found.frame.path.isin([*copies, *copies.values()])].groupby("path")
    parts = {path: {(row.begin, row.end, row.table_channel): row for row in each.itertuples()} for path, each in rows}
    moved = dict[int, str]()  # row -> path of the first file, whose part it becomes
    for path, original in copies.items():
        there, other, before = parts[original], dict[str, None](), len(moved)
        for span, here in parts[path].items():
            if (known := there.get(span)) is not None:
                pairs = {name: (getattr(known, name), getattr(here, name)) for name in ("label", "group", "split")}
                differing = {name: pair for name, pair in pairs.items() if all(pair) and pair[0] != pair[1]}
                other |= {f"another {name}: here {pair[1]}, there {pair[0]}": None for name, pair in differing.items()}
            elif here.begin is None or (None, None, None) in there:
                other["it names other parts"] = None
            else:
                moved[here.Index], there[span] = original, here
        count = len(moved) - before
        used = f"; {counted(count, 'part')} of it used as parts of that file" if count else ""
        same = "" if fit[path].sha256 == fit[original].sha256 else " (the same samples in other bytes)"
        reason = ", with ".join([f"duplicate of {original}{same}", *other])
        rejected.append(Rejected(path=path, reason=f"{reason}{used}", kind=CONFLICTING if other else DUPLICATE))
    frame = found.frame.copy()
    for row, path in moved.items():
        frame.loc[row, "path"] = path
    kept = replace(found, frame=frame)
    return kept.where(path not in copies for path in frame.path), tuple(rejected)
