"""Folds: divisions of one corpus in which each group (or given fold) is the test set once.

The figure of one fold depends on who was left out: it varies more between speakers than between methods. So methods are
compared by the mean over folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from wordless.audio.recordings.manifest import Clip, Manifest, Split
from wordless.audio.recordings.splits import overlapping_clips, require_whole_groups
from wordless.base.errors import InputError

FoldBy = Literal["group", "fold"]
FEWEST = 3  # values: one to test, one to validate, one to train


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One division of a corpus into splits."""

    name: str  # the group or given fold that is the test set
    manifest: Manifest


def folds(
    manifest: Manifest, by: FoldBy, *, at_most: int | None = None, shared_groups: bool = False
) -> tuple[Fold, ...]:
    """Make folds: each group (or given fold) is test once, with the next in sorted order (cyclically) as validation.

    Existing splits of the clips are replaced. ``at_most`` takes only that number of folds, evenly spaced;
    ``shared_groups`` allows a group in several given folds, as in some data sets.

    Raises:
        InputError: a clip has no group (or fold), there are fewer than three of them, ``at_most`` is below one, or a
            group or a sound would be both in training and in test.
    """
    values = _values(manifest.clips, by)
    if at_most is not None and at_most < 1:
        raise InputError(f"at most {at_most} folds are to be taken; choose 1 or more, or all")
    count = min(at_most or len(values), len(values))
    made = tuple(_fold(manifest, by, values, place * len(values) // count) for place in range(count))
    for fold in () if shared_groups else made:
        require_disjoint_groups(fold.manifest)
    _require_whole_recordings(made, by)
    return made


def require_disjoint_groups(manifest: Manifest) -> None:
    """Refuse a division that does not test generalisation across groups."""
    remedy = "keep each group in one split or fold, or allow it with corpus.split.shared_groups=true"
    require_whole_groups(manifest.clips, f", so what is measured is not how well an unheard one is told; {remedy}")


def _require_whole_recordings(made: Sequence[Fold], by: FoldBy) -> None:
    """Refuse folds that divide a recording by groups, or that have the same sound in two given folds."""
    first: dict[str, Clip] = {}
    for clip in made[0].manifest.clips if by == "group" else ():
        other = first.setdefault(clip.path, clip)
        if other.group != clip.group:
            raise InputError(
                f"{clip.path} holds parts of the groups {other.group!r} and {clip.group!r}, and folds by group would "
                "have one in training and the other in test: give both groups one name in the table, or measure on "
                "one split (compare.folds=null)"
            )
    for fold in made if by == "fold" else ():
        if found := sorted(overlapping_clips(fold.manifest.clips)):
            raise InputError(
                f"{found[0]} overlaps a part of its recording in another fold, so that fold {fold.name!r} would test "
                "what it is trained on: give both parts the same fold, or shorten one of them"
            )


def _fold(manifest: Manifest, by: FoldBy, values: Sequence[str], place: int) -> Fold:
    held_out: dict[str | None, Split] = {values[(place + 1) % len(values)]: "validation", values[place]: "test"}
    clips = tuple(replace(clip, split=held_out.get(_value(clip, by), "train")) for clip in manifest.clips)
    return Fold(name=values[place], manifest=replace(manifest, clips=clips))


def _values(clips: Sequence[Clip], by: FoldBy) -> list[str]:
    without = [clip.path for clip in clips if _value(clip, by) is None]
    if without:
        problem = f"{len(without)} of {len(clips)} clips have no {by} ({without[0]}), and folds are made by {by}"
        raise InputError(f"{problem}: put {{{by}}} into corpus.pattern, or a column {by} into corpus.table")
    values = sorted({value for clip in clips if (value := _value(clip, by)) is not None})
    if len(values) < FEWEST:
        found = f" ({', '.join(values)})" if values else ""
        problem = f"the clips are of {len(values)} {by}s{found}"
        rule = f"folds need at least {FEWEST}, to train, to validate and to test"
        raise InputError(f"{problem}; {rule}: add recordings of others, or measure on one split")
    return values


def _value(clip: Clip, by: FoldBy) -> str | None:
    return clip.group if by == "group" else clip.fold
