"""Selection of recordings: a few of many, a part of given length, and what is known of the same sound elsewhere."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from math import floor
from pathlib import Path
from typing import TypeVar

import numpy as np

from wordless.audio.recordings.description import Template
from wordless.audio.recordings.manifest import Clip, Manifest
from wordless.audio.waveform import Part
from wordless.base.errors import InputError

SECONDS_PER_HOUR = 3600.0
ROUNDING = 1e-6  # seconds by which sums of lengths may differ from the wanted hours


def without_copies(manifest: Manifest, known: Collection[str]) -> Manifest:
    """Leave out the clips of recordings with the same bytes or samples as a known one, wherever the files lie.

    ``known`` holds `Clip.hashes`. A lossy copy, such as the MP3 of a WAV file, has other samples and is not recognised.
    """
    return replace(manifest, clips=tuple(clip for clip in manifest.clips if clip.hashes.isdisjoint(known)))


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
    test, heard = tested.of("test"), "the models that it pre-trained have heard them"
    notices = [
        f"{shared} of {len(test)} test clips are among {those}: {so}"
        for clips, those, so in (
            (trained.of("train"), f"those that {owner} was trained on", f"{readers} have heard them"),
            (trained.of("validation"), f"the validation clips of {owner}", "it chose weights by them"),
            (unlabelled, f"the unlabelled recordings of {owner}, or those of the models that it began with", heard),
        )
        if (shared := trained_on(test, clips))
    ]
    if bool(trained.trimmed_seconds) != bool(tested.trimmed_seconds):
        where = f"of {owner}" if trained.trimmed_seconds else "that are probed"
        notices.append(
            f"silent ends were cut off the recordings {where} alone; unless the others have none, give the "
            "`inspection.trim_db` of that run"
        )
    return tuple(notices)


def groups_in_names(clips: Collection[Clip], pattern: str | None) -> list[str | None]:
    """Return the group (speaker, site...) that each clip's file name gives by a pattern; None if it gives none."""
    found = [None] * len(clips) if pattern is None else Template(pattern).match_all(clip.path for clip in clips)
    return [(fields or {}).get("group") for fields in found]


def without_groups(manifest: Manifest, groups: Collection[str], pattern: str | None) -> Manifest:
    """Leave out the clips whose file names give one of these groups by a pattern."""
    named = zip(manifest.clips, groups_in_names(manifest.clips, pattern), strict=True)
    return replace(manifest, clips=tuple(clip for clip, group in named if group not in groups))


def first_hours(manifests: Sequence[Manifest], hours: float) -> tuple[Manifest, ...]:
    """Select at most ``hours`` of sound from several manifests together.

    Clips are taken in the order of the SHA-256 of their names, up to the first clip that does not fit. Such a part does
    not depend on the place of the folders, and it contains every smaller part.

    Raises:
        InputError: the manifests hold less, or the first clip is longer.
    """
    clips = [(clip, source) for source, manifest in enumerate(manifests) for clip in manifest.clips]
    held = (sum(clip.seconds for clip, _ in clips) + ROUNDING) / SECONDS_PER_HOUR
    if hours > held:
        there = f"{floor(held * 1e4) / 1e4:g}"  # rounded down, so that this number of hours is accepted
        rule = f"the recordings hold {there} hours: choose null (all), or add some"
        raise InputError(option="hours", value=hours, rule=rule)
    chosen: list[set[str]] = [set() for _ in manifests]
    left = hours * SECONDS_PER_HOUR
    for clip, source in sorted(clips, key=lambda one: (_place(one[0]), one[1])):
        left -= clip.seconds
        if left < -ROUNDING:
            break
        chosen[source].add(clip.name)
    if not any(chosen):
        rule = "the first clip is longer: choose more, or 0 (none)"
        raise InputError(option="hours", value=hours, rule=rule)
    return tuple(
        replace(manifest, clips=tuple(clip for clip in manifest.clips if clip.name in names))
        for manifest, names in zip(manifests, chosen, strict=True)
    )


def _place(clip: Clip) -> bytes:
    return hashlib.sha256(clip.name.encode(errors="surrogatepass")).digest()


T = TypeVar("T")


def choose_evenly(items: Sequence[T], count: int) -> list[T]:
    """Choose ``count`` evenly spaced items, or all of fewer; of clips in order of path, some of each folder."""
    return [items[index * len(items) // count] for index in range(count)] if len(items) > count else list(items)


def choose_randomly(items: Sequence[T], count: int, *, seed: int) -> list[T]:
    """Choose ``count`` random items, in their order, or all if there are fewer; an even step may hit one group only."""
    chosen = np.random.default_rng(seed).choice(len(items), min(count, len(items)), replace=False)
    return [items[index] for index in sorted(chosen)]
