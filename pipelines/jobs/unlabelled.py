"""Recordings without labels that networks are trained on beside the corpus."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.chain.clips_of_run import Found, find_corpus, read_corpus, seen_of
from pipelines.settings.choices import EMBEDDED, EMBEDDED_SOURCE
from pipelines.settings.run_settings import RunSettings
from pipelines.store.store import some_options
from wordless.audio.recordings.description import groups_in_names
from wordless.audio.recordings.folders import expand_home, require_folder
from wordless.audio.recordings.manifest import SECONDS_PER_HOUR, Clips, first_hours, without_copies, write_rejected
from wordless.audio.recordings.recording_sources import CorpusConfig
from wordless.audio.recordings.splits import UNDIVIDED
from wordless.base.messages import InputError, counted, within
from wordless.base.progress import Terminal
from wordless.training.fit import Gang

REJECTED_UNLABELLED = "rejected_unlabelled.tsv"  # in the folder of a run


def find_sources(settings: RunSettings, terminal: Terminal) -> dict[str, Found]:
    """Find the recordings of each source of ``unlabelled``, without those of ``unlabelled_hours=0``.

    The corpus itself and folders without recordings are refused before any recording is decoded.
    """
    own, found = settings.corpus, dict[str, Found]()
    for source in settings.unlabelled or ():
        # its words are never cut
        config = CorpusConfig(embedded=settings.embedded, inspection=own.inspection, split=UNDIVIDED)
        if source == EMBEDDED_SOURCE:
            if own.root == EMBEDDED:
                raise InputError("unlabelled=embedded adds the corpus that this run is on already; leave it out")
        else:
            folder = require_folder(source, option="unlabelled")
            if own.root and own.table is None and folder.resolve() == expand_home(own.root, "corpus.root").resolve():
                raise InputError(f"unlabelled={source} is the folder of the corpus; name other recordings")
            cut: dict[str, Any] = some_options(
                own, "segment_seconds", "segment_overlap_seconds", "segment_silence_dbfs"
            )
            config = replace(config, embedded=None, root=source, labels="none", annotations="none", **cut)
        if settings.unlabelled_hours != 0:
            found[source] = find_corpus(config, settings, require=None, terminal=terminal, option="unlabelled")
    return found


def read_unlabelled(
    settings: RunSettings, corpus: Clips, sources: Mapping[str, Found], *, gang: Gang, terminal: Terminal, folder: Path
) -> tuple[Clips, ...]:
    """Read the recordings of `find_sources`: all of them for training, and without labels.

    Left out are recordings that the corpus or an earlier source holds as well, in any lossless format, and those whose
    names give a held-out group. ``unlabelled_hours`` limits the sound of all sources together.
    """
    if not gang.rank:
        (folder / REJECTED_UNLABELLED).unlink(missing_ok=True)  # left by an earlier run in this folder
    if not sources:
        return ()
    known, found, rejected = {each for clip in corpus.clips for each in clip.hashes}, [], []
    held_out = held_out_groups(corpus, settings)
    for source, recordings in sources.items():
        listed = folder / REJECTED_UNLABELLED
        read = read_corpus(recordings, settings, gang=gang, terminal=terminal, audio=settings.audio, rejected=listed)
        rejected += [replace(each, path=f"{source}/{each.path}") for each in read.rejected]
        if source != EMBEDDED_SOURCE and held_out:  # groups are known as far as names fit the pattern of the corpus
            groups = groups_in_names(read.clips, settings.corpus.pattern)
            others = read.where(each not in held_out for each in groups)
            read = _kept(source, read, others, "their groups are held out in this run", terminal)
        why = "the corpus or an earlier folder has the same sound"
        own = _kept(source, read, without_copies(read, known), why, terminal)
        found.append(own.with_columns(label=None, split="train"))
        known |= {each for clip in own.clips for each in clip.hashes}
    if not gang.rank:
        write_rejected(rejected, folder / REJECTED_UNLABELLED)
    if settings.unlabelled_hours is None:
        return tuple(found)
    with within("", hours="unlabelled_hours"):
        chosen = [each for each in first_hours(found, settings.unlabelled_hours) if each.clips]
    hours, held = (sum(each.seconds for each in group) / SECONDS_PER_HOUR for group in (chosen, found))
    clips = counted(sum(len(each.clips) for each in chosen), "clip")
    terminal.say(f"corpus    of the unlabelled recordings {hours:.3g} of {held:.3g} hours, {clips} are used")
    return tuple(chosen)


def _kept(source: str, before: Clips, after: Clips, why: str, terminal: Terminal) -> Clips:
    """Say how many clips are left out and why, and refuse to keep none."""
    if left_out := len(before.clips) - len(after.clips):
        clips = f"{left_out:,} of {counted(len(before.clips), 'clip')}"
        terminal.say(f"corpus    {before.name}: {clips} left out, because {why}")
    if not after.clips:
        raise InputError(f"unlabelled={source}: all of its recordings are left out, because {why}; name others")
    return after


def held_out_groups(corpus: Clips, settings: RunSettings) -> frozenset[str]:
    """Return the groups of the corpus that are not trained on: in folds all, because each is held out once."""
    own = settings.corpus.split
    if own.shared_groups or own.by == "index":  # the run does not test other groups
        return frozenset()
    clips = [clip for clip in corpus.clips if settings.compare.folds or clip.split != "train"]
    return frozenset(clip.group for clip in clips if clip.group is not None)


def shared_paths(settings: RunSettings, unlabelled: Sequence[Clips]) -> tuple[Path, ...]:
    """Return the paths outside corpus and store that all workers must see: recordings, noise and weights."""
    recordings = [path for each in unlabelled for path in seen_of(each)]
    weights = [folder for body in settings.bodies for folder in body.folders]
    return *recordings, *settings.compare.noise_folders.values(), *weights
