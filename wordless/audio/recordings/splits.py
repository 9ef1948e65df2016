"""Splits: training, validation and test clips.

Clips whose names are given for a split come first. A split without clips is then drawn from the rest by seeded hash,
with its fraction; the remaining clips train. Units are never cut: all clips of a group (speaker, site...) stay
together, as do the parts of one recording, also if they are of several groups: such groups are one unit. Each label is
drawn separately, so that every split gets some. A label with too few clips or groups for every split is used for
training only, because it could not be learned otherwise. If all labels are like that, they are drawn together.

If there are fewer recordings than splits to fill, as with one long recording, each recording is divided in time::

    recording   |----------- train -----------|- validation -|- test -|

Each label is divided so separately. However clips got their splits, a segment that overlaps a segment of another split
is set aside, so that no sound is in two splits.

Splits by the lists of a data set: text files below its root with the path of a recording in each line.

Speech Commands has such lists for validation and test::

    speech_commands/validation_list.txt    bed/026290a7_nohash_0.wav
                                           bed/060cd039_nohash_0.wav
    speech_commands/testing_list.txt       bed/0c40e715_nohash_0.wav

Folds: divisions of one corpus in which each group (or given fold) is the test set once.

The figure of one fold depends on who was left out: it varies more between speakers than between methods. So methods are
compared by the mean over folds.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Literal

from wordless.audio.recordings.description import Described, SplitBy, folder_split, split_depth
from wordless.audio.recordings.folders import listed_path, read_text
from wordless.audio.recordings.manifest import LARGEST, SPLITS, Clip, Manifest, Rejected, Split, whole_number
from wordless.base.errors import InputError
from wordless.base.options import Options, option
from wordless.base.seeds import MAX_SEED
from wordless.base.text import counted

GIVEN: Final = ("auto", "table")  # values of ``by`` with which tables, data sets and file names may say splits
DRAWN: Final = ("auto", "hash")  # values of ``by`` with which all splits are drawn; auto only where no split is known
TOLERATED = 1.5  # a split this many times larger or smaller than requested gets a notice


@dataclass(frozen=True, kw_only=True)
class SplitConfig(Options):
    """Options of splitting.

    ``train``, ``validation`` and ``test`` name values of ``by``: groups, folds, indices or ranges of them ("0-4"),
    patterns of top folder names ("dev-*"), or text files that list clips (`split_by_lists`). With an
    empty ``train`` all other clips train; otherwise clips that no split names are set aside.
    """

    by: SplitBy = option(
        "auto",
        "divides the recordings; auto: the splits of a table, a data set or a pattern, else folders named train, "
        "validation and test, else hash, which draws",
    )
    train: tuple[str | int, ...] = option(
        (), 'values of the training clips, such as ["0-7"]; []: all values that the other splits do not have'
    )
    validation: tuple[str | int, ...] = option((), "values of the validation clips; []: a share of the clips is drawn")
    test: tuple[str | int, ...] = option((), "values of the test clips; []: a share of the clips is drawn")
    validation_fraction: float = option(
        0.1, "share of the clips that is drawn for validation if split.validation is empty", least=0, below=1
    )
    test_fraction: float = option(
        0.1, "share of the clips that is drawn for test if split.test is empty", least=0, below=1
    )
    seed: int = option(0, "seed of the drawn splits", least=0, most=MAX_SEED)
    shared_groups: bool = option(
        False, "whether clips of one group may be in several splits, as in the official splits of some data sets"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.validation_fraction + self.test_fraction >= 1:
            rule = f"test_fraction is {self.test_fraction:g}: choose fractions that leave a part to train on"
            raise InputError(option="validation_fraction", value=self.validation_fraction, rule=rule)
        for split, name in [(each, name) for each in SPLITS for name in getattr(self, each)]:
            if isinstance(name, int) and abs(name) > LARGEST:
                raise InputError(option=split, value=name, rule="write numbers of at most 63 bits")
        if self.by in ("auto", "hash", "table") and self.all_names:
            rule = "it takes no names: choose group, index, folder, fold or lists"
            raise InputError(option="by", value=self.by, rule=rule)
        needed = {"lists": "[testing_list.txt]", "index": "['0-4']"}
        if self.by in needed and not (self.validation or self.test):
            rule = f"it needs names: give test={needed[self.by]} or validation"
            raise InputError(option="by", value=self.by, rule=rule)
        if self.by == "group" and self.shared_groups:
            raise InputError(option="shared_groups", value=True, rule="by=group contradicts it: choose one of them")
        for name, times in Counter(self.all_names).items():
            if times > 1 or (self.by == "index" and _indices(name) is None):
                split = next(split for split in SPLITS if name in map(str, getattr(self, split)))
                rule = f"{self.by} {name!r} is named twice: name it for one split, once"
                if times == 1:
                    rule = f"index {name!r:.40} must be a number such as '7' or a range such as '0-4'"
                raise InputError(option=split, value=getattr(self, split), rule=rule)

    @property
    def all_names(self) -> tuple[str, ...]:
        """All names given for any split."""
        return tuple(map(str, (*self.train, *self.validation, *self.test)))

    def names(self, split: Split) -> tuple[str, ...]:
        """Return the names given for a split."""
        return tuple(map(str, getattr(self, split)))

    def fraction(self, split: Split) -> float:
        """Return the share of clips to draw for a split; 0 for train, which gets the rest."""
        return 0.0 if split == "train" else float(getattr(self, f"{split}_fraction"))


def split_clips(
    clips: Sequence[Clip], config: SplitConfig, *, by_label: bool = True
) -> tuple[tuple[Clip, ...], tuple[Rejected, ...]]:
    """Give the clips their splits; also return those that are in none. Each label is drawn separately if ``by_label``.

    Raises:
        InputError: a split would be empty, a name fits no clip, a clip lacks the value it is split by, or a group is
            cut.
    """
    named = _named_splits(clips, config)
    kept = [_in_split(clip, split) for clip, split in zip(clips, named, strict=True) if split]
    without = [clip.name for clip, split in zip(clips, named, strict=True) if not split]
    rejected = [Rejected(path=name, reason=f"in no split: no split names its {config.by}") for name in without]
    unfilled, segmented = len(_unfilled_splits(kept, config)), any(clip.segment is not None for clip in kept)
    if config.by in DRAWN and segmented and len({clip.path for clip in kept}) <= unfilled:  # fewer than splits to fill
        drawn = _divide_in_time(kept, config, by_label=by_label)
        divided = [_in_split(clip, drawn.get(clip.name, clip.split)) for clip in kept]
    else:
        drawn = _draw(kept, config, by_label=by_label)
        divided = [
            _in_split(clip, drawn.get(_unit(clip, config), "train")) if clip.split == "train" else clip for clip in kept
        ]
        if not config.shared_groups and config.by != "index":  # a split by index cuts the series of every group
            require_whole_groups(divided)
    final, others = _without_shared_sound(divided, config)
    _check_filled(final, config)
    return final, (*rejected, *others)


UNDIVIDED = SplitConfig(by="hash", validation_fraction=0, test_fraction=0)  # all clips train


def _in_split(clip: Clip, split: Split) -> Clip:
    """Return the clip in a split; most clips are in theirs already, and a copy of each would double the memory."""
    return clip if clip.split == split else replace(clip, split=split)


def _indices(name: str) -> range | None:
    """Parse a name of indices: "0-4" is 0 to 4, "7" is only 7; None for all other names."""
    first, dash, last = name.partition("-")
    begin, end = whole_number(first), whole_number(last if dash else first)
    return None if begin is None or end is None or end < begin else range(begin, end + 1)


def _named_splits(clips: Sequence[Clip], config: SplitConfig) -> list[Split | None]:
    """Return the split that names each clip's value, or train if that gets the rest; None if no split does."""
    if config.by in DRAWN:
        return ["train" for _ in clips]
    if config.by in ("table", "lists"):  # their splits are known
        return [clip.split for clip in clips]
    if config.by == "folder" and not config.all_names:
        return folder_splits([clip.path for clip in clips])
    values = [_value(clip, config) for clip in clips]
    example = dict(zip(values, (clip.path for clip in clips), strict=True))  # path of a clip with each value
    named: dict[str, Split] = {}
    for split, name in [(each, name) for each in SPLITS for name in config.names(each)]:
        given, indices = config.names(split), _indices(name) or range(0)
        match config.by:
            case "index":
                fitting = [value for value in example if int(value) in indices]
            case "folder":
                fitting = [value for value in example if fnmatchcase(value.lower(), name.lower())]
            case _:
                fitting = [name] if name in example else []
        if not fitting:
            there, more = ", ".join(map(repr, sorted(example)[:8])), len(example) - 8
            rule = f"no clip has the {config.by} {name!r}; there are {there}{f' and {more} more' if more > 0 else ''}"
            raise InputError(option=f"split.{split}", value=given, rule=rule)
        for value in fitting:
            if named.setdefault(value, split) != split:
                rule = f"{config.by} {value!r} of {example[value]} is named for {named[value]}, too"
                raise InputError(option=f"split.{split}", value=given, rule=rule)
    remaining: Split | None = None if config.names("train") else "train"
    return [named.get(value, remaining) for value in values]


def _value(clip: Clip, config: SplitConfig) -> str:
    """Return the group, fold, index or top folder by which a clip is split."""
    if config.by == "folder":
        return clip.path.partition("/")[0] if "/" in clip.path else ""
    value = {"group": clip.group, "fold": clip.fold, "index": clip.index}[config.by]
    if value is None:
        remedy = f"put {{{config.by}}} into `pattern`, or a column {config.by} into `table`"
        raise InputError(option="split.by", value=config.by, rule=f"{clip.path} has no {config.by}", remedy=remedy)
    return str(value)


def folder_splits(paths: Sequence[str]) -> list[Split | None]:
    """Return the splits that folders are named after; other recordings train, unless a folder to train is named."""
    depth = split_depth({*paths}) or 0  # a recording counts once, however many clips it has
    found = [folder_split(path, depth) for path in paths]
    if not any(found):
        rule = f"no folder of {min(paths)} is named train, validation or test: name one, such as `split.test`=[NAME]"
        raise InputError(option="split.by", value="folder", rule=rule)
    others: Split | None = None if "train" in found else "train"
    return [split or others for split in found]


def _unfilled_splits(clips: Collection[Clip], config: SplitConfig) -> list[Split]:
    filled = {clip.split for clip in clips}
    return [split for split in SPLITS if split not in filled and config.fraction(split) > 0]


def _draw(clips: Sequence[Clip], config: SplitConfig, *, by_label: bool) -> dict[str, Split]:
    """Draw units from train (unit -> split) for the splits that have no clip yet, from each label or from all."""
    wanted = _unfilled_splits(clips, config)
    units = _units([clip for clip in clips if clip.split == "train"], config)
    strata: dict[str | None, list[str]] = defaultdict(list)  # by the label of all clips of a unit
    for unit, own in units.items():
        labels = {clip.label if by_label else None for clip in own}
        strata[labels.pop() if len(labels) == 1 else None].append(unit)
    # a label with too few units trains only; if all are like that, they are drawn together
    enough = [names for names in strata.values() if len(names) > len(wanted)] or [list(units)]
    drawn: dict[str, Split] = {}

    def seeded(name: str) -> bytes:
        return hashlib.sha256(f"{config.seed} {name}".encode(errors="surrogatepass")).digest()

    for names in (names for names in enough if len(names) > len(wanted)):
        ranked = sorted(names, key=seeded)
        for split, count in _counts(len(names), wanted, config).items():
            drawn |= {_unit(clip, config): split for name in ranked[:count] for clip in units[name]}
            ranked = ranked[count:]
    return drawn


def _units(clips: Collection[Clip], config: SplitConfig) -> dict[str, list[Clip]]:
    """Return the clips of each unit that must stay together.

    Groups that share a recording are one unit, whose name is the first of theirs in sorted order. Folds are not joined:
    who gives a fold to each part of a recording has divided it.
    """
    own, first = [_unit(clip, config) for clip in clips], dict[str, str]()
    joined: dict[str, str] = {}  # each unit -> another of those that it is joined with, earlier in sorted order

    def whole(unit: str) -> str:
        while (earlier := joined.get(unit, unit)) != unit:
            joined[unit] = joined.get(earlier, earlier)  # halves the way of the next search
            unit = earlier
        return unit

    for clip, unit in zip(clips, own, strict=True) if config.by != "fold" else ():
        one, other = whole(unit), whole(first.setdefault(clip.path, unit))
        joined[max(one, other)] = min(one, other)
    units: dict[str, list[Clip]] = defaultdict(list)
    for clip, unit in zip(clips, own, strict=True):
        units[whole(unit)].append(clip)
    return units


def _unit(clip: Clip, config: SplitConfig) -> str:
    """Return the smallest unit that must stay together: the clip's fold or group, or its recording alone."""
    if config.by == "fold":
        return f"fold {clip.fold}"
    if clip.group is None or config.shared_groups or config.by == "index":
        return f"clip {clip.path}"
    return f"group {clip.group}"


def _counts(total: int, wanted: Sequence[Split], config: SplitConfig) -> dict[Split, int]:
    """Compute how many of ``total`` units each split gets: its fraction, at least one; at least one stays for train."""
    counts: dict[Split, int] = {}
    for left, split in zip(range(len(wanted), 0, -1), wanted, strict=True):
        counts[split] = min(max(round(config.fraction(split) * total), 1), total - sum(counts.values()) - left)
    return counts


def _divide_in_time(clips: Sequence[Clip], config: SplitConfig, *, by_label: bool) -> dict[str, Split]:
    """Divide each recording in time (clip -> split): each label by itself, while there are clips enough.

    Sequences with too few clips train only. If all are like that, labels are merged, and then recordings.
    """
    wanted = _unfilled_splits(clips, config)
    ordered = sorted(clips, key=lambda clip: (clip.path, clip.start))
    by_recording: dict[str, list[Clip]] = defaultdict(list)
    of_a_label: dict[tuple[str, str | None], list[Clip]] = defaultdict(list)
    for clip in ordered:
        by_recording[clip.path].append(clip)
        of_a_label[clip.path, clip.label if by_label else None].append(clip)
    choices = ([*of_a_label.values()], [*by_recording.values()], [ordered])
    long_enough = ([sequence for sequence in each if len(sequence) > len(wanted)] for each in choices)
    splits: dict[str, Split] = {}
    for sequence in next(filter(None, long_enough), []):
        held_out = [each for each, count in _counts(len(sequence), wanted, config).items() for _ in range(count)]
        last = sequence[len(sequence) - len(held_out) :]
        splits |= {clip.name: split for clip, split in zip(last, held_out, strict=True)}
    return splits


def _without_shared_sound(clips: Sequence[Clip], config: SplitConfig) -> tuple[tuple[Clip, ...], list[Rejected]]:
    """Set aside clips whose sound another split has as well, or, with groups named for splits, whose recording it has.

    A recording of several groups stays in the split for which one of them is named, test before validation before
    train: the user's choice of groups to test holds, and training loses a few parts.
    """
    splits: dict[str, set[Split]] = defaultdict(set)
    for clip in clips:
        splits[clip.path].add(clip.split)
    cut = [clip for clip in clips if len(splits[clip.path]) > 1]
    if not cut:
        return tuple(clips), []
    if config.by == "group":
        kind = "is of a group in another split than a group in its recording"
        held = {clip.path: max(splits[clip.path], key=SPLITS.index) for clip in cut}
        reasons = {
            clip.name: f"is of group {clip.group} in {clip.split}, and its recording holds a group in {held[clip.path]}"
            for clip in cut
            if clip.split != held[clip.path]
        }
    else:
        overlap = overlapping_clips(cut)
        kind = "overlaps a segment of another split"
        reasons = {clip.name: f"{kind} than {clip.split}" for clip in cut if clip.name in overlap}
    rejected = [Rejected(path=name, reason=reason, segments=1, kind=kind) for name, reason in reasons.items()]
    return tuple(clip for clip in clips if clip.name not in reasons), rejected


def overlapping_clips(clips: Collection[Clip]) -> set[str]:
    """Name the clips that overlap an earlier clip of their recording in another split; the earlier clip stays."""
    ends: dict[str, dict[Split, int]] = defaultdict(dict)  # end of the last clip that each split keeps
    overlapping = set()
    for clip in sorted(clips, key=lambda clip: (clip.path, clip.start, clip.num_samples)):
        if any(clip.start < end for split, end in ends[clip.path].items() if split != clip.split):
            overlapping.add(clip.name)
        else:
            end = ends[clip.path].get(clip.split, 0)
            ends[clip.path][clip.split] = max(end, clip.start + clip.num_samples)
    return overlapping


def _check_filled(clips: Sequence[Clip], config: SplitConfig) -> None:
    filled = {clip.split for clip in clips}
    if "train" not in filled:
        rule = f"it leaves none of {len(clips)} clips to train on: name fewer for test and validation, or choose hash"
        raise InputError(option="split.by", value=config.by, rule=rule)
    for split in ("validation", "test"):
        if split not in filled and config.fraction(split) > 0:
            groups = {clip.group for clip in clips if clip.group is not None and not config.shared_groups}
            whole = f" in {len(groups)} groups, which stay whole" if groups else ""
            if groups and (units := len(_units(clips, config))) < len(groups):
                whole += f", {units} without those that share recordings"
            more = "add recordings, cut long ones into segments (`segment_seconds`=10 or less)"
            if groups:
                more = "add groups, let groups be divided (`split.by`=hash `split.shared_groups`=true)"
            problem = f"{split} split: too few clips to draw it from ({len(clips)}{whole})"
            raise InputError(problem, remedy=f"{more}, or do without it (`split.{split}_fraction`=0)")


def require_whole_groups(clips: Iterable[Clip]) -> None:
    """Refuse a group whose clips stand in two splits: how well an unheard group is told would not be measured."""
    first: dict[str, Clip] = {}
    for clip in clips:
        other = clip if clip.group is None else first.setdefault(clip.group, clip)
        if other.split != clip.split:
            places = f"{other.path} in {other.split}, {clip.path} in {clip.split}"
            remedy = "keep each group in one split or fold, or allow it with `split.shared_groups`=true"
            raise InputError(f"group {clip.group!r} stands in two splits ({places})", remedy=remedy)


def division_notices(clips: Collection[Clip], config: SplitConfig) -> tuple[str, ...]:
    """Return notices about the splits of `split_clips`, a sentence each; none if the splits are as requested."""
    splits: dict[str, set[Split]] = defaultdict(set)  # of each recording that is cut
    for clip in clips:
        if clip.segment is not None:
            splits[clip.path].add(clip.split)
    if config.by in DRAWN and (divided := sum(len(each) > 1 for each in splits.values())):
        several = divided > 1
        labels = ", each label by itself" if len({clip.label for clip in clips}) > 1 else ""
        return (
            f"{counted(divided, 'recording')} cannot fill {len({clip.split for clip in clips})} splits, so "
            f"{'each recording' if several else 'it'} is divided in time{labels}: the first stretch trains, the next "
            "validates, the last tests. The figures say nothing about other recordings: add some, or say in a table "
            "which stretch stands in which split (`split.by`=table)",
        )
    # a random split may be much larger or smaller than requested, because some clips stay together
    random_splits = [split for split in SPLITS if config.fraction(split) > 0 and not config.names(split)]
    groups = {clip.group for clip in clips if clip.group is not None}
    together = groups if groups and not config.shared_groups else {clip.path for clip in clips}
    if config.by not in (*DRAWN, "group") or len(together) == len(clips):
        return ()
    held = Counter(clip.split for clip in clips)
    if all(1 / TOLERATED < held[split] / len(clips) / config.fraction(split) < TOLERATED for split in random_splits):
        return ()
    wanted = {split: config.fraction(split) for split in SPLITS}
    wanted["train"] = 1 - sum(wanted.values())
    shares = " / ".join(f"{100 * wanted[split]:g}" for split in SPLITS)
    counts = " / ".join(str(held[split]) for split in SPLITS)
    noun, remedy = "recordings", "add recordings"
    if together is groups:
        remedies = "hold each group out once (`folds`=group), let groups be divided (`split.shared_groups`=true)"
        noun, remedy = "groups", f"{remedies}, or add groups"
    notice = f"{len(together)} {noun} stay whole, so train / validation / test hold {counts} clips, not {shares} %"
    return (f"{notice}: {remedy}",)


def split_by_lists(root: Path, described: Described, config: SplitConfig) -> tuple[Described, tuple[Rejected, ...]]:
    """Give the recordings below ``root`` the split whose list names them.

    Without a list for training, all other recordings train. With one, recordings that no list names are also returned,
    as set aside. A list may name recordings that the corpus leaves out, such as those that its pattern does not fit.

    Raises:
        InputError: a list cannot be read, names a file that is not there, or names one that another list names, too.
    """
    named: dict[str, tuple[Split, str]] = {}
    for split, name in [(each, name) for each in SPLITS for name in config.names(each)]:
        file = root / name
        text = read_text(file, option=f"split.{split}")
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                where = f"{file}:{number}"
                remedy = "remove the line, or add the file"
                path = listed_path(root, line.strip(), where, remedy=remedy)
                if path is None:
                    raise InputError(f"{where}: {line.strip()} is not there (looked in {root})", remedy=remedy)
                known, before = named.setdefault(path, (split, where))
                if known != split:
                    problem = f"{where}: {path} is named for {split}, and for {known} in {before}"
                    raise InputError(problem, remedy="leave one out")
    others: Split | None = None if config.names("train") else "train"
    found = {path: named[path][0] if path in named else others for path in described}
    kept = {
        path: tuple(replace(each, split=split) for each in described[path]) for path, split in found.items() if split
    }
    reason = "in no split: no list of `split` names it"
    return kept, tuple(Rejected(path=path, reason=reason) for path, split in found.items() if split is None)


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
    clips = manifest.clips
    of_clip = [clip.group if by == "group" else clip.fold for clip in clips]
    if without := [clip.path for clip, value in zip(clips, of_clip, strict=True) if value is None]:
        problem = f"{len(without)} of {len(clips)} clips have no {by} ({without[0]}), and folds are made by {by}"
        raise InputError(problem, remedy=f"put {{{by}}} into `pattern`, or a column {by} into `table`")
    values = sorted({value for value in of_clip if value is not None})
    if len(values) < FEWEST:
        found = f" ({', '.join(values)})" if values else ""
        problem = f"the clips are of {len(values)} {by}s{found}"
        rule = f"folds need at least {FEWEST}, to train, to validate and to test"
        raise InputError(f"{problem}; {rule}: add recordings of others, or measure on one split")
    if at_most is not None and at_most < 1:
        raise InputError(f"at most {at_most} folds are to be taken; choose 1 or more, or all")
    first: dict[str, Clip] = {}
    for clip in clips if by == "group" else ():
        if (other := first.setdefault(clip.path, clip)).group != clip.group:
            problem = (
                f"{clip.path} holds parts of the groups {other.group!r} and {clip.group!r}, of which one would train"
            )
            remedy = "give both groups one name in the table, or measure on one split (`folds`=null)"
            raise InputError(f"{problem} and the other test", remedy=remedy)
    count = min(at_most or len(values), len(values))
    made = []
    for place in (number * len(values) // count for number in range(count)):
        held_out: dict[str | None, Split] = {values[(place + 1) % len(values)]: "validation", values[place]: "test"}
        divided = [
            replace(clip, split=held_out.get(value, "train")) for clip, value in zip(clips, of_clip, strict=True)
        ]
        fold = Fold(name=values[place], manifest=replace(manifest, clips=tuple(divided)))
        if not shared_groups:
            require_whole_groups(divided)
        if by == "fold" and (overlap := sorted(overlapping_clips(divided))):
            problem = f"{overlap[0]} overlaps a part of its recording in another fold than {fold.name!r}"
            raise InputError(problem, remedy="give both parts the same fold, or shorten one of them")
        made.append(fold)
    return tuple(made)
