"""Notices about clips and splits that limit what the figures of a run mean, or that differ from the request."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from wordless.audio.options import SpectrogramConfig
from wordless.audio.recordings.inspection import Measurement
from wordless.audio.recordings.manifest import SPLITS, Clip, Manifest, Split
from wordless.audio.recordings.splits import SplitConfig
from wordless.audio.waveform import Part
from wordless.base.text import counted

LONG_SECONDS = 60.0  # of a clip; a corpus of longer clips learns more from segments
TOLERATED = 1.5  # a split this many times larger or smaller than requested gets a notice


def division_notices(clips: Collection[Clip], config: SplitConfig) -> tuple[str, ...]:
    """Return notices about the splits of `split_clips`, a sentence each; none if the splits are as requested."""
    if config.by == "hash" and (divided := _divided_recordings(clips)):
        several = divided > 1
        labels = ", each label by itself" if len({clip.label for clip in clips}) > 1 else ""
        return (
            f"{counted(divided, 'recording')} cannot fill {len({clip.split for clip in clips})} splits, so "
            f"{'each recording' if several else 'it'} is divided in time{labels}: the first stretch trains, the next "
            "validates, the last tests. The figures say nothing about other recordings: add some, or say in a table "
            "which stretch stands in which split (corpus.split.by=table)",
        )
    return _uneven_shares(clips, config)


def length_notices(clips: Collection[Clip], segment_seconds: float | None) -> tuple[str, ...]:
    """Return a notice about clips that should be cut into segments; none if they are cut already."""
    lengths = [clip.seconds for clip in clips]
    long = sum(length > LONG_SECONDS for length in lengths)
    if not long or segment_seconds is not None:
        return ()
    return (
        f"{counted(long, 'clip is', 'clips are')} longer than {LONG_SECONDS:g} s (the longest: "
        f"{max(lengths) / 60:.1f} minutes): corpus.segment_seconds=10 cuts them into clips of 10 s, each of which is "
        "probed and listened to",
    )


def upsampling_notices(clips: Collection[Clip], audio: SpectrogramConfig) -> tuple[str, ...]:
    """Return a notice about recordings that are resampled to a higher rate, and hold nothing in the upper bands."""
    rates = {clip.path: clip.sample_rate for clip in clips}
    lower = Counter(rate for rate in rates.values() if rate / 2 < audio.highest)
    if not lower:
        return ()
    (frequent, _), lowest = lower.most_common(1)[0], min(lower)
    which = f"{lower.total()} of {counted(len(rates), 'recording')}" if lower.total() < len(rates) else "all recordings"
    and_lower = f", down to {lowest} Hz" if lowest < frequent else ""
    return (
        f"{which} have a lower sample rate than the {audio.sample_rate} Hz of the front end (mostly {frequent} Hz"
        f"{and_lower}), so their bands above {frequent / 2:g} Hz are empty: a model with audio.sample_rate={frequent}, "
        f"or audio.f_max={frequent / 2:g}, has no empty bands",
    )


def softer_notice(found: Mapping[str, Measurement]) -> str | None:
    """Return a notice about recordings that are read far softer than one of their channels; None if there is none."""
    softer = {path: each.louder for path, each in found.items() if each.louder is not None}
    if not softer:
        return None
    path, louder = next(iter(softer.items()))
    return (
        f"{counted(len(softer), 'recording')} such as {path} lose most of their sound, since channels cancel in their "
        f"mean or another channel was chosen: audio.channel={louder} or audio.channel=loudest reads it"
    )


def trained_on(clips: Collection[Clip], trained: Iterable[Clip]) -> int:
    """Count the clips that share sound with a training clip of a run.

    Recordings are known by their bytes or samples (`Clip.hashes`), wherever they lie.
    """
    known: dict[str, list[Part]] = {}
    for clip in trained:
        for each in clip.hashes:
            known.setdefault(each, []).append(clip.part)
    return sum(any(clip.part.overlaps(part) for each in clip.hashes for part in known.get(each, ())) for clip in clips)


def overlap_notices(
    tested: Manifest,
    trained: Manifest,
    *,
    owner: Path,
    readers: str = "its tokenizer and language model",
    unlabelled: Iterable[Clip] = (),
) -> tuple[str, ...]:
    """Return what the manifest of a run in the folder ``owner`` means for other recordings, a sentence each.

    ``readers`` names, in the plural, the models of the run that are used. ``unlabelled`` are the clips that the run was
    pre-trained on beside its corpus, itself or before it began.
    """
    test = tested.of("test")
    notices = []
    if shared := trained_on(test, trained.of("train")):
        notices.append(
            f"{shared} of {len(test)} test clips are among those that {owner} was trained on: {readers} have heard them"
        )
    if shared := trained_on(test, trained.of("validation")):
        notices.append(
            f"{shared} of {len(test)} test clips are among the validation clips of {owner}: it chose weights by them"
        )
    if shared := trained_on(test, unlabelled):
        notices.append(
            f"{shared} of {len(test)} test clips are among the unlabelled recordings of {owner}, or those of the "
            "models that it began with: the models that it pre-trained have heard them"
        )
    if bool(trained.trimmed_seconds) != bool(tested.trimmed_seconds):
        where = f"of {owner}" if trained.trimmed_seconds else "that are probed"
        notices.append(
            f"silent ends were cut off the recordings {where} alone; unless the others have none, give the "
            "corpus.inspection.trim_db of that run"
        )
    return tuple(notices)


def _divided_recordings(clips: Collection[Clip]) -> int:
    """Count the recordings that have segments in several splits."""
    splits: dict[str, set[Split]] = defaultdict(set)
    for clip in clips:
        if clip.segment is not None:
            splits[clip.path].add(clip.split)
    return sum(len(each) > 1 for each in splits.values())


def _uneven_shares(clips: Collection[Clip], config: SplitConfig) -> tuple[str, ...]:
    """Return a notice if a random split is much larger or smaller than requested because some clips stay together."""
    random_splits = [split for split in SPLITS if config.fraction(split) > 0 and not config.names(split)]
    groups = {clip.group for clip in clips if clip.group is not None}
    together = groups if groups and not config.shared_groups else {clip.path for clip in clips}
    if config.by not in ("hash", "group") or len(together) == len(clips):
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
        remedies = (
            "hold each group out once (compare.folds=group), let groups be divided (corpus.split.shared_groups=true)"
        )
        noun, remedy = "groups", f"{remedies}, or add groups"
    notice = f"{len(together)} {noun} stay whole, so train / validation / test hold {counts} clips, not {shares} %"
    return (f"{notice}: {remedy}",)
