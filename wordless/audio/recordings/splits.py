"""Splits: training, validation and test clips.

Clips whose names are given for a split come first. A split without clips is then drawn from the rest by seeded hash,
with its fraction; the remaining clips train. Units are never cut: all clips of a group (speaker, site...) stay
together, as do the parts of one recording, also if they are of several groups: such groups are one unit. Units of
different sizes are drawn by their clips, so that each split has its fraction as nearly as they allow. Each label is
drawn separately, so that every split gets some. A label with too few clips or groups for every split is used for
training only, because it could not be learned otherwise. If all labels are like that, they are drawn together.

If there are fewer recordings than splits to fill, as with one long recording, each recording is divided in time::

    recording   |----------- train -----------|- validation -|- test -|

Each label is divided so separately. However clips got their splits, a segment that overlaps a segment of another split
is set aside, so that no sound is in two splits.

Folds: divisions of one corpus in which each group (or given fold, or one of several sets of groups) is tested once.

The figure of one fold depends on who was left out: it varies more between speakers than between methods. So methods are
compared by the mean over folds.
"""

import hashlib
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from pandas import DataFrame, Series, crosstab, factorize
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wordless.audio.recordings.manifest import LARGEST, SPLITS, Clip, Clips, Rejected, Split, SplitBy, whole_number
from wordless.base.messages import InputError, counted
from wordless.base.options import Options, option
from wordless.base.seeds import MAX_SEED, balanced, set_title

GIVEN: Final = ("auto", "table")  # values of ``by`` with which tables, data sets and file names may say splits
DRAWN: Final = ("auto", "hash")  # values of ``by`` with which all splits are drawn; auto only where no split is known


@dataclass(frozen=True, kw_only=True)
class SplitConfig(Options):
    """Options of splitting.

    ``train``, ``validation`` and ``test`` name values of ``by``: groups, folds, indices or ranges of them ("0-4"), or
    text files that list clips (`split_by_lists`). With an empty ``train`` all other clips train; otherwise clips that
    no split names are set aside.
    """

    by: SplitBy = option(
        "auto",
        "divides the recordings; auto: table, the splits of a table, a data set or a pattern, else hash, which draws",
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
        rule = f"test_fraction is {self.test_fraction:g}: choose fractions that leave a part to train on"
        self.refuse_if(self.validation_fraction + self.test_fraction >= 1, "validation_fraction", rule)
        given = [(split, name) for split in SPLITS for name in getattr(self, split)]
        for split, name in given:
            if isinstance(name, int) and abs(name) > LARGEST:  # Python writes no numbers of thousands of digits
                raise InputError(option=split, value=name, rule="write numbers of at most 63 bits")
        rule = "it takes no names: choose group, index, fold or lists"
        self.refuse_if(self.by in ("auto", "hash", "table") and given, "by", rule)
        needed = {"lists": "[testing_list.txt]", "index": "['0-4']"}
        rule = f"it needs names: give test={needed.get(self.by)} or validation"
        self.refuse_if(self.by in needed and not (self.validation or self.test), "by", rule)
        rule = "by=group contradicts it: choose one of them"
        self.refuse_if(self.by == "group" and self.shared_groups, "shared_groups", rule)

    @property
    def names(self) -> list[tuple[Split, str]]:
        """The splits and the names given for them."""
        return [(split, str(name)) for split in SPLITS for name in getattr(self, split)]

    def fraction(self, split: Split) -> float:
        """Return the share of clips to draw for a split; 0 for train, which gets the rest."""
        return 0.0 if split == "train" else float(getattr(self, f"{split}_fraction"))


def split_clips(clips: Clips, config: SplitConfig, *, by_label: bool = True) -> tuple[Clips, tuple[Rejected, ...]]:
    """Give the clips their splits; also return those that are in none. Each label is drawn separately if ``by_label``.

    Empty splits, names that fit no clip, clips without the value they are split by, and cut groups are refused.
    """
    named = named_splits(clips, config)
    without = clips.where(not split for split in named)
    rejected = [Rejected(path=clip.name, reason=f"in no split: no split names its {config.by}") for clip in without]
    kept = clips.with_columns(split=named).where(map(bool, named))
    wanted = _unfilled_splits(kept, config)
    in_time = config.by in DRAWN and kept.has_segments and kept.frame.path.nunique() <= len(wanted)
    draw = _divide_in_time if in_time else _draw
    divided = kept.with_columns(split=draw(kept.frame, wanted, config, by_label=by_label))
    if not in_time and not config.shared_groups and config.by != "index":  # index: the series of every group is cut
        require_whole_groups(divided)
    # After the splits are known, because segments may share sound within one of them; and before the checks below,
    # because a split may lose all of its clips here.
    final, others = _without_shared_sound(divided, config)
    if not (final.frame.split == "train").any():
        of = f"none of {len(final.frame)} clips"
        few = "name fewer for test and validation" if config.names else "give some to train, or none a split"
        if config.by == "table":
            few = "name those that train, as by `split.by`=fold `columns.fold`=COLUMN `split.train`=[dev]"
        rule = f"it leaves {of} to train on: {few}, or choose hash, which draws"
        raise InputError(option="split.by", value=config.by, rule=rule)
    if unfilled := _unfilled_splits(final, config):
        groups = final.frame.group.nunique() if not config.shared_groups else 0
        whole, more = "", "add recordings, cut long ones into segments (`segment_seconds`=10 or less)"
        if groups:
            whole = f" in {groups} groups; groups and recordings stay whole"
            more = "add groups, let groups be divided (`split.by`=hash `split.shared_groups`=true)"
        problem = f"{unfilled[0]} split: too few clips to draw it from ({len(final.frame)}{whole})"
        raise InputError(problem, remedy=f"{more}, or do without it (`split.{unfilled[0]}_fraction`=0)")
    return final, (*rejected, *others)


UNDIVIDED = SplitConfig(by="hash", validation_fraction=0, test_fraction=0)  # all clips train


def named_splits(clips: Clips, config: SplitConfig) -> list[Split]:
    """Return the split that names each clip's value, or train if that gets the rest; "" if no split does."""
    paths, values = clips.frame.path.tolist(), clips.frame.get(config.by, clips.frame.split).tolist()
    if config.by in DRAWN:
        return ["train"] * len(paths)
    if config.by in ("table", "lists"):  # their splits are known
        if not any(values):
            remedy = "put {split} into `pattern`, or give a `table` with a column split"
            raise InputError(option="split.by", value=config.by, rule="no recording has a split", remedy=remedy)
        return [split or "train" for split in values]
    if None in values:
        remedy = f"put {{{config.by}}} into `pattern`, or a column {config.by} into `table`"
        rule = f"{paths[values.index(None)]} has no {config.by}"
        raise InputError(option="split.by", value=config.by, rule=rule, remedy=remedy)
    values = [*map(str, values)]
    example = dict(zip(values, paths, strict=True))  # path of a clip with each value
    named: dict[str, Split] = {}
    for split, name in config.names:
        name = unicodedata.normalize("NFC", name.strip())  # as candidates have theirs
        given, fitting = getattr(config, split), [name] if name in example else []
        if config.by == "index":  # "0-4" is 0 to 4, "7" only 7
            first, dash, last = name.partition("-")
            begin, end = whole_number(first), whole_number(last if dash else first)
            indices = range(0) if begin is None or end is None else range(begin, end + 1)
            fitting = [value for value in example if int(value) in indices]
        if not fitting:
            there, more = ", ".join(map(repr, sorted(example)[:8])), len(example) - 8
            rule = f"no clip has the {config.by} {name!r:.60}; there are {there}{f' and {more} more' * (more > 0)}"
            raise InputError(option=f"split.{split}", value=given, rule=rule)
        for value in fitting:
            if named.setdefault(value, split) != split:
                rule = f"{config.by} {value!r} of {example[value]} is named for {named[value]}, too"
                raise InputError(option=f"split.{split}", value=given, rule=rule)
    return [named.get(value, "" if config.train else "train") for value in values]


def _unfilled_splits(clips: Clips, config: SplitConfig) -> list[Split]:
    filled = {*clips.frame.split}
    return [split for split in SPLITS if split not in filled and config.fraction(split) > 0]


def _draw(frame: DataFrame, wanted: Sequence[Split], config: SplitConfig, *, by_label: bool) -> list[Split]:
    """Draw units from train for the splits that have no clip yet, from each label or from all; return all splits."""
    splits: list[Split] = frame.split.tolist()
    labels = frame.label.tolist() if by_label else [None] * len(frame)
    units = _units(frame[frame.split == "train"], config, least=len(wanted) + 1)
    strata: dict[str | None, list[str]] = defaultdict(list)  # by the label of all clips of a unit
    for unit, rows in units.items():
        of_unit = {labels[row] for row in rows}
        strata[of_unit.pop() if len(of_unit) == 1 else None].append(unit)
    # a label with too few units trains only; if all are like that, they are drawn together
    enough = [names for names in strata.values() if len(names) > len(wanted)] or [list(units)]

    def seeded(name: str) -> bytes:
        return hashlib.sha256(f"{config.seed} {name}".encode(errors="surrogatepass")).digest()

    for names in (names for names in enough if len(names) > len(wanted)):
        ordered = sorted(names, key=seeded)
        sizes = [len(units[name]) for name in ordered]
        if len({*sizes}) == 1:  # counted, so that the rounding does not depend on the size
            drawn = [split for split, count in _counts(len(names), wanted, config).items() for _ in range(count)]
        else:
            drawn = _by_size(sizes, wanted, config)
        for name, split in zip(ordered, drawn, strict=False):
            for row in units[name]:
                splits[row] = split
    return splits


def _by_size(sizes: Sequence[int], wanted: Sequence[Split], config: SplitConfig) -> list[Split]:
    """Choose the split of each unit by its number of clips: in order, a split takes all that fit into its share.

    Then it takes one more if that is nearer. Each split gets at least one unit, and one stays for train.
    """
    splits: list[Split] = ["train"] * len(sizes)
    for left, split in zip(range(len(wanted), 0, -1), wanted, strict=True):
        rest = [unit for unit, of in enumerate(splits) if of == "train"]
        most, taken, missing = len(rest) - left, list[int](), config.fraction(split) * sum(sizes)
        for unit in rest:
            if len(taken) < most and sizes[unit] <= missing:
                taken.append(unit)
                missing -= sizes[unit]
        over, another = min((abs(missing - sizes[unit]), unit) for unit in {*rest} - {*taken})
        if not taken or (len(taken) < most and over < missing):
            taken.append(another)
        for unit in taken:
            splits[unit] = split
    return splits


def _units(frame: DataFrame, config: SplitConfig, *, least: int) -> dict[str, list[int]]:
    """Return the numbers of the rows of each unit that must stay together: a fold, a group, or a recording.

    Fewer folds than the ``least`` are divided: one whose name was given for training, such as dev, is all there is.
    """
    own = (
        "clip " + frame.path
    )  # groups that share a recording are joined; folds are not, as who gives them has divided it
    if by_fold := config.by == "fold" and frame.fold.nunique() >= least:
        own = "fold " + frame.fold
    elif not config.shared_groups and config.by != "index":
        own = own.where(frame.group.isna(), "group " + frame.group.fillna(""))
    codes, names = factorize(own.to_numpy(object), sort=True)
    paths = np.arange(len(frame)) if by_fold else factorize(frame.path.to_numpy(object))[0]
    size = len(names) + len(frame)  # nodes of a graph that joins each unit with its recordings

    edges = coo_array((np.ones(len(codes), bool), (codes, len(names) + paths)), shape=(size, size))
    joined = Series(codes).groupby(connected_components(edges, directed=False)[1][codes]).transform("min")
    units: dict[str, list[int]] = defaultdict(list)
    for row, unit in zip(frame.index.tolist(), joined.tolist(), strict=True):
        units[names[unit]].append(row)
    return units


def _counts(total: int, wanted: Sequence[Split], config: SplitConfig) -> dict[Split, int]:
    """Compute how many of ``total`` units each split gets: its fraction, at least one; at least one stays for train."""
    counts: dict[Split, int] = {}
    for left, split in zip(range(len(wanted), 0, -1), wanted, strict=True):
        counts[split] = min(max(round(config.fraction(split) * total), 1), total - sum(counts.values()) - left)
    return counts


def _divide_in_time(frame: DataFrame, wanted: Sequence[Split], config: SplitConfig, *, by_label: bool) -> list[Split]:
    """Divide each recording in time: each label by itself, while there are clips enough; return all splits."""
    splits: list[Split] = frame.split.tolist()
    ordered = frame.assign(row=range(len(frame)), all="").sort_values(["path", "start"], kind="stable")
    for columns in (["path", "label"] if by_label else ["path"], ["path"], ["all"]):
        sequences = [each.row.tolist() for _, each in ordered.groupby(columns, dropna=False)]
        if long_enough := [sequence for sequence in sequences if len(sequence) > len(wanted)]:
            break
    for sequence in long_enough:
        held_out = [each for each, count in _counts(len(sequence), wanted, config).items() for _ in range(count)]
        for row, split in zip(sequence[len(sequence) - len(held_out) :], held_out, strict=True):
            splits[row] = split
    return splits


def _without_shared_sound(clips: Clips, config: SplitConfig) -> tuple[Clips, list[Rejected]]:
    """Set aside clips whose sound, or with groups named for splits whose recording, another split has as well."""
    of_path: dict[str, set[Split]] = defaultdict(set)
    for path, split in zip(clips.frame.path, clips.frame.split, strict=True):
        of_path[path].add(split)
    several = [len(of_path[path]) > 1 for path in clips.frame.path]
    cut = clips.where(several).clips
    kind, wrong = "overlaps a segment of another split", overlapping_clips(cut)
    if config.by == "group":  # test before validation before train: the user's choice of groups to test holds
        kind = "is of a group in another split than a group in its recording"
        wrong = {clip.name for clip in cut if clip.split != max(of_path[clip.path], key=SPLITS.index)}
    rejected = [
        Rejected(path=clip.name, reason=f"{kind} (group {clip.group}, {clip.split})", segments=1, kind=kind)
        for clip in cut
        if clip.name in wrong
    ]
    names = iter(cut)
    return clips.where(not each or next(names).name not in wrong for each in several), rejected


def overlapping_clips(clips: Iterable[Clip]) -> set[str]:
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


def require_whole_groups(clips: Clips) -> None:
    """Refuse a group whose clips stand in two splits: how well an unheard group is told would not be measured."""
    first: dict[str, tuple[Split, str]] = {}
    for path, group, split in zip(*(clips.frame[name] for name in ("path", "group", "split")), strict=True):
        known, other = (split, path) if group is None else first.setdefault(group, (split, path))
        if known != split:
            remedy = "keep each group in one split or fold, or allow it with `split.shared_groups`=true"
            problem = f"group {group!r} stands in two splits ({other} in {known}, {path} in {split})"
            raise InputError(problem, remedy=remedy)


def division_notices(clips: Clips, config: SplitConfig) -> tuple[str, ...]:
    """Return a notice about recordings that `split_clips` divided in time, or about shares that it could not draw."""
    frame = clips.frame
    divided = int((frame[frame.segment.notna()].groupby("path").split.nunique() > 1).sum())
    if not divided or config.by not in DRAWN:
        return _share_notices(frame, config)
    labels = ", each label by itself" if frame.label.nunique(dropna=False) > 1 else ""
    few = f"{counted(divided, 'recording')} cannot fill {frame.split.nunique()} splits: each is divided in time{labels}"
    stretches = "the first stretch trains, the next validates, the last tests"
    remedy = "add some, or say in a table which stretch stands in which split (`split.by`=table)"
    return (f"{few}: {stretches}. The figures say nothing about other recordings: {remedy}",)


def _share_notices(frame: DataFrame, config: SplitConfig) -> tuple[str, ...]:
    """Return a notice about drawn splits that have less than half, or more than twice, their share of the clips."""
    far = list[str]()
    for split in SPLITS:
        wanted, share = config.fraction(split), float((frame.split == split).mean())
        drawn = config.by in DRAWN or (config.names and not getattr(config, split))
        if wanted and drawn and not wanted / 2 <= share <= 2 * wanted:
            far.append(f"{split} has {100 * share:.0f} % of the clips, where {100 * wanted:.0f} % were to be drawn")
    if not far:
        return ()
    whole = "groups and recordings stay whole, and each split gets some of each label"
    return (f"{'; '.join(far)}: {whole} (`split.seed` draws others, `split.shared_groups`=true divides groups)",)


def split_by_lists(found: Clips, config: SplitConfig) -> Clips:
    """Give candidates the split whose list names their recordings, one path below the root in each line.

    Without a list for training, all other recordings train. With one, recordings that no list names are set aside. A
    list may name recordings that the corpus leaves out, or that are not there. Lists that contradict each other are
    refused.
    """
    named: dict[str, tuple[Split, str]] = {}
    there, notices = {*found.frame.path}, list[str]()
    for split, name in config.names:
        file, others = found.root / name, 0
        try:
            lines = file.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeError) as error:
            value, rule = getattr(config, split), f"{file} cannot be read ({error})"
            raise InputError(option=f"split.{split}", value=value, rule=rule, remedy="check the path") from error
        for number, line in enumerate(lines, start=1):
            if not (listed := line.strip()):
                continue
            path, where = os.path.normpath(listed), f"{file}:{number}"
            others += path not in there
            known, before = named.setdefault(path, (split, where))
            if known != split:
                problem = f"{where}: {path} is named for {split}, and for {known} in {before}"
                raise InputError(problem, remedy="leave one out")
        if others:
            notices.append(f"{name} names {counted(others, 'recording')} that are not in the corpus")
    rest: Split = "" if config.train else "train"
    splits = [named.get(path, (rest,))[0] for path in found.frame.path]
    without = dict.fromkeys(path for path, split in zip(found.frame.path, splits, strict=True) if not split)
    rejected = [Rejected(path=path, reason="in no split: no list of `split` names it") for path in without]
    kept = found.with_columns(split=splits).where(map(bool, splits))
    return replace(kept, rejected=(*found.rejected, *rejected), notices=(*found.notices, *notices))


FoldBy = Literal["group", "fold"]


def folds(
    manifest: Clips, by: FoldBy | int, *, at_most: int | None = None, shared_groups: bool = False, seed: int = 0
) -> tuple[Clips, ...]:
    """Make folds: each group (or given fold) is test once, with the next in sorted order (cyclically) as validation.

    A number divides the groups into so many sets, by `balanced` with the ``seed``, and each set is test once. Each fold
    has the name of its test set. ``at_most`` takes only that number of folds, evenly spaced; ``shared_groups`` allows a
    group in several given folds, as in some data sets. Fewer than three groups, and a group or a sound in training and
    in test, are refused.
    """
    several, by = (by, "group") if isinstance(by, int) else (None, by)
    of_clip, paths = manifest.frame[by].tolist(), manifest.frame.path.tolist()
    if without := [path for path, value in zip(paths, of_clip, strict=True) if value is None]:
        problem = f"{len(without)} of {len(paths)} clips have no {by} ({without[0]}), and folds are made by {by}"
        raise InputError(problem, remedy=f"put {{{by}}} into `pattern`, or a column {by} into `table`")
    values = sorted({*of_clip})
    if len(values) < 3:
        problem = f"the clips are of {len(values)} {by}s ({', '.join(values)})"
        remedy = "folds need at least 3, to train, validate and test: add recordings of others, or measure on one split"
        raise InputError(problem, remedy=remedy)
    for path, groups in manifest.frame.groupby("path")[by].unique().items() if by == "group" else ():
        if len(groups) > 1:
            problem = f"{path} holds parts of the groups {groups[0]!r} and {groups[1]!r}, of which one would train"
            remedy = "give both groups one name in the table, or measure on one split (`folds`=null)"
            raise InputError(f"{problem} and the other test", remedy=remedy)
    if several is not None:
        if not 3 <= several <= len(values):
            rule = f"the clips are of {len(values)} groups: choose 3 to {len(values)} folds of whole groups"
            raise InputError(option="folds", value=several, rule=rule)
        sizes = crosstab(manifest.frame.group, manifest.frame.label.fillna("")).loc[values].to_numpy(np.float64)
        set_of = balanced(sizes, sizes.sum(1), several, seed=seed)
        members = [[value for value, own in zip(values, set_of, strict=True) if own == each] for each in range(several)]
        names = [set_title(*each) for each in enumerate(members, 1)]
        title_of = {value: names[own] for value, own in zip(values, set_of, strict=True)}
        of_clip, values = [title_of[value] for value in of_clip], names
    count = min(at_most or len(values), len(values))
    made = []
    for place in (number * len(values) // count for number in range(count)):
        held_out = {values[(place + 1) % len(values)]: "validation", values[place]: "test"}
        divided = manifest.with_columns(split=[held_out.get(value, "train") for value in of_clip])
        if not shared_groups:
            require_whole_groups(divided)
        if by == "fold" and (overlap := sorted(overlapping_clips(divided))):
            problem = f"{overlap[0]} overlaps a part of its recording in another fold than {values[place]!r}"
            raise InputError(problem, remedy="give both parts the same fold, or shorten one of them")
        made.append(replace(divided, name=values[place]))
    return tuple(made)
