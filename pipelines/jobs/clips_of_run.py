"""The recordings of a command: they are found by their source, inspected and divided; and sound beside the corpus.

Networks may also be trained on recordings without labels. The notices of the report say what sound models of a run have
heard beside the corpus, here or before. Test clips may be among it.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import floor
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.methods.methods_table import METHODS
from pipelines.settings.run_settings import EMBEDDED, EMBEDDED_SOURCE, CorpusCommand, RunSettings
from pipelines.stages.language_model import gpt_hash
from pipelines.stages.voices import UNIVERSAL, is_shipped, saved_vocoder
from pipelines.store.run_parts import RESULTS
from pipelines.store.start_models import LM, TOKENS, VOICE, start_folder
from pipelines.store.store import MADE, SYNTHESISED, Store
from pipelines.store.stored_features import GPT_METHOD
from wordless.audio.audio_options import Channel, SpectrogramConfig
from wordless.audio.recordings.corpus import build_manifest, find_recordings, resolved_corpus
from wordless.audio.recordings.corpus_config import CorpusConfig, Making
from wordless.audio.recordings.folder import NO_ROLES, expand_home, require_folder
from wordless.audio.recordings.inspection import inspect
from wordless.audio.recordings.manifest import Clip, Clips, Rejected, read_manifest, write_manifest, write_rejected
from wordless.audio.recordings.patterns import roles_of, roles_read
from wordless.audio.recordings.splits import UNDIVIDED, division_notices
from wordless.audio.recordings.summary import corpus_summary
from wordless.audio.waveform import Part
from wordless.base.messages import InputError, counted, listed, named, within
from wordless.base.progress import Terminal
from wordless.base.saved_models import LANGUAGE_MODEL, TOKENIZER, VOCODER, learned_labels
from wordless.training.fit import Gang

# in the folder of a run
MANIFEST, CLIPS_TABLE, REJECTED = "manifest.tsv", "clips.tsv", "rejected.tsv"
UNLABELLED, REJECTED_UNLABELLED = "unlabelled.tsv", "rejected_unlabelled.tsv"
SECONDS_PER_HOUR = 3600.0
ROUNDING = 1e-6  # seconds by which sums of lengths may differ from the wanted hours


@dataclass(frozen=True, kw_only=True)
class Found:
    """The recordings of a corpus before they are inspected."""

    config: CorpusConfig  # completed
    clips: Clips  # candidates
    option: str  # that names their folder, for messages


def seen_of(manifest: Clips) -> tuple[Path, ...]:
    """Return what workers must see of a corpus: its folder and a recording of it."""
    return manifest.root, manifest.root / manifest.clips[0].path


def find_corpus(
    config: CorpusConfig,
    settings: CorpusCommand,
    *,
    require: Callable[[Sequence[str | None]], None] | None,
    terminal: Terminal,
    option: str = "corpus.root",
) -> Found:
    """Find the recordings; faults of folder, names or labels are refused before any recording is decoded.

    ``require`` refuses labels that cannot be learned; None accepts all. ``option`` names the folder's in messages.
    """

    Store(settings.store.root).require_format()  # before recordings are inspected for hours

    def folder() -> Path:
        Store(settings.store.root).mark()  # before recordings are written there
        return settings.store.root / MADE[config.source]

    with within("corpus", root=option):
        found = find_recordings(config, Making(folder=folder, terminal=terminal)).named("corpus", root=option)
    if require is not None:
        require(found.frame.label.tolist())
    option = "corpus.dataset" if config.dataset else option
    return Found(config=resolved_corpus(config, found.split_by), clips=found, option=option)


def read_corpus(
    found: Found,
    settings: CorpusCommand,
    *,
    gang: Gang,
    terminal: Terminal,
    audio: SpectrogramConfig | Channel,
    rejected: Path | None = None,
) -> Clips:
    """Inspect and divide recordings; rank 0 decodes first, the others use its cached measurements.

    ``audio`` is the front end that reads the recordings and chooses their channel, or this channel. If the recordings
    make no corpus, the file ``rejected`` lists those that were set aside. The summary of what was read is printed.
    """
    own = audio if isinstance(audio, SpectrogramConfig) else None
    if gang.rank:
        gang.barrier()
    unfit, listed = list[Rejected](), rejected.name if rejected else REJECTED
    try:
        with within("corpus", root=found.option), terminal.working("inspecting", 0, "files") as progress:
            inspector = partial(
                inspect,
                workers=settings.engine.workers(settings.workers, enough=True),
                engine=settings.engine,
                cache=settings.store.root / "inspected.jsonl",
                progress=progress.advance_to,
                channel=audio.channel if isinstance(audio, SpectrogramConfig) else audio,
                sample_rate=None if own is None else own.sample_rate,
            )
            manifest, others = build_manifest(found.config, found=found.clips, inspector=inspector, rejected=unfit)
    except InputError as error:
        if rejected is None or not unfit:
            raise
        if not gang.rank:
            write_rejected(sorted(unfit, key=lambda each: each.path), rejected)
        raise error.also(f"each file and its reason stand in {rejected}") from error
    if not gang.rank:
        gang.barrier()
    whole = manifest.root.resolve()  # a table beside the recordings gives ".", which has no name
    name = manifest.name or whole.name or str(whole)
    divided = (named(each, "corpus", folds="compare.folds") for each in division_notices(manifest, found.config.split))
    read = corpus_summary(manifest, rejected=others, listed=listed, highest=None if own is None else own.highest)
    notices = (*divided, *(named(each, "corpus") for each in manifest.notices))
    for line in (f"{name}: {read[0]}", *read[1:], *notices):
        terminal.say(f"corpus    {line}")
    return replace(manifest, name=name, rejected=others, notices=notices, summary=read)


def find_sources(settings: RunSettings, terminal: Terminal) -> dict[str, Found]:
    """Find the recordings of each source of ``unlabelled``, without those of ``unlabelled_hours=0``.

    The corpus itself and folders without recordings are refused before any recording is decoded.
    """
    own, found = settings.readable_corpus, dict[str, Found]()
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
            segments = ("segment_seconds", "segment_overlap_seconds", "segment_silence_dbfs")
            cut: dict[str, Any] = {name: getattr(own, name) for name in segments}
            config = replace(config, embedded=None, root=source, pattern=NO_ROLES, **cut)
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
        # All that is left becomes training clips, so copies and held-out groups have gone before.
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
    own, folds = settings.corpus.split, settings.compare.folds
    if own.shared_groups or (own.by if folds else corpus.split_by) == "index":  # the run does not test other groups
        return frozenset()
    clips = [clip for clip in corpus.clips if folds or clip.split != "train"]
    return frozenset(clip.group for clip in clips if clip.group is not None)


def shared_paths(settings: RunSettings, unlabelled: Sequence[Clips]) -> tuple[Path, ...]:
    """Return the paths outside corpus and store that all workers must see: recordings, noise and weights."""
    recordings = [path for each in unlabelled for path in seen_of(each)]
    weights = [folder for backbone in settings.backbones for folder in backbone.folders]
    return *recordings, *settings.compare.noise_folders.values(), *weights


def notices(manifest: Clips, unlabelled: Sequence[Clips], settings: RunSettings, folder: Path) -> Iterator[str]:
    yield from notices_of_unlabelled(manifest, unlabelled, settings)
    yield from notices_of_weights(manifest, settings)
    yield from notices_of_starts(manifest, settings, folder)


def notices_of_unlabelled(manifest: Clips, unlabelled: Sequence[Clips], settings: RunSettings) -> Iterator[str]:
    """Say for the report how much sound pre-training has beside the corpus, and which groups may be in it."""
    networks = dict.fromkeys(settings.backbone(method).pretrained(method) for method in settings.probed_methods)
    gpts = {METHODS[GPT_METHOD].title: settings.trains_lm, "GPT of each rate": settings.trains_rates}
    titles = [*(title for title, trained in gpts.items() if trained), *filter(None, networks)]
    names = listed([f"the {title}" if title.startswith("GPT") else title for title in titles])
    if not unlabelled or not names:
        return
    clips = counted(sum(len(each.clips) for each in unlabelled), "other clip")
    hours = sum(each.seconds for each in unlabelled) / SECONDS_PER_HOUR
    were = "were" if len(titles) > 1 else "was"
    yield f"{names[0].upper()}{names[1:]} {were} also trained on {clips} without labels ({hours:.3g} hours)"
    own = [each for each in unlabelled if each.root.parent != settings.store.root / SYNTHESISED]
    unknown = sum(groups_in_names(each.clips, settings.corpus.pattern).count(None) for each in own)
    if unknown and held_out_groups(manifest, settings):
        yield (
            f"A held-out group may be among {counted(unknown, 'unlabelled clip')} whose names give no group: name the "
            "files so that corpus.pattern finds {group} in them"
        )


def notices_of_weights(manifest: Clips, settings: RunSettings) -> Iterator[str]:
    """Say whether a speech model learned labels, as classifiers and CTC models do, or was trained on test clips."""
    for backbone in settings.backbones:
        of, self_supervised = (
            backbone.methods[0].title,
            any(each.kind == "self_supervised" for each in backbone.methods),
        )
        for folder in backbone.folders:
            if self_supervised and learned_labels(folder):
                yield f"the weights of {of} in {folder} learned labels, so their layers are not self-supervised"
            if _is_run(folder.parent):
                yield from _overlaps(manifest, settings, folder.parent, f"the weights of {of}")


def notices_of_starts(manifest: Clips, settings: RunSettings, folder: Path) -> Iterator[str]:
    """Say which models the run begins with, and what they know; those in its ``folder`` are refused."""
    for option, start, owner, readers in _starts(settings):
        if owner.resolve() == folder.resolve():
            problem = f"{option}={start} is in the folder of this run, which would replace it"
            raise InputError(f"{problem}; name another run")
        if option == TOKENS:
            yield f"The tokenizer is that of {start}, used as it is ({TOKENS})"
        elif option == LM:
            weights = f"the weights of {start} ({LM}), with the SHA-256 {gpt_hash(start)[:16]}"
            yield f"The training of the language model began with {weights}"
        if _is_run(owner):
            yield from _overlaps(manifest, settings, owner, readers)
        else:
            yield f"no {MANIFEST} beside {option}={start} says whether it was trained on test clips"
    yield from voice_notices(settings)


def voice_notices(settings: RunSettings) -> tuple[str, ...]:
    """Say where the vocoder begins and how far it is trained, and why the weights that ship do not serve it."""
    own = settings.vocoder
    if "vocoder" not in settings.stages:
        return ()
    trained, ships = f"trained {counted(own.fit.steps, 'step')}", f"that ship with Wordless ({VOICE}={UNIVERSAL})"
    if own.start is None:
        why = "" if own.unfit is None else f": of the weights {ships}, {own.unfit}"
        return (f"WaveNet begins with random weights and is {trained}{why}",)
    place = ships if is_shipped(own.start) else f"of {own.start} ({VOICE})"
    weights = f"the weights {place}, with the SHA-256 {saved_vocoder(own.start).weights_sha256[:16]}"
    notice = f"WaveNet begins with {weights}, and is {trained}"
    if not own.fit.steps:
        notice = f"WaveNet has {weights}, converted to the codes of this run and trained no further"
    if is_shipped(own.start) and settings.corpus.root == EMBEDDED and settings.embedded.other:
        return notice, "embedded.other names the voices and words that these weights were trained on: test clips, too"
    return (notice,)


def write_unlabelled(unlabelled: Sequence[Clips], folder: Path) -> None:
    """List the clips in the folder of a finished run; a run without any has no list."""
    (folder / UNLABELLED).unlink(missing_ok=True)  # of an earlier run
    if clips := [clip for each in unlabelled for clip in each.clips]:
        write_manifest(Clips.from_rows(folder, clips), folder / UNLABELLED)


def unlabelled_of_run(folder: Path, root: Path) -> tuple[Clip, ...]:
    """Return the clips that `write_unlabelled` listed: their hashes are known, not their paths."""
    return tuple(read_manifest(folder / UNLABELLED, root).clips) if (folder / UNLABELLED).is_file() else ()


def _starts(settings: RunSettings) -> Iterator[tuple[str, str, Path, str]]:
    """Give each model that the run begins with: option, value, the folder above it, and its name in the plural."""
    for option, kind in ((TOKENS, TOKENIZER), (LM, LANGUAGE_MODEL), (VOICE, VOCODER)):
        start = attrgetter(option)(settings)
        if start is not None and not is_shipped(start):
            owner = start_folder(start, kind, option=option).absolute().parent
            yield option, start, owner, f"its {kind.name}'s weights"


def _is_run(owner: Path) -> bool:
    return (owner / RESULTS).is_file() and (owner / MANIFEST).is_file()


def _overlaps(manifest: Clips, settings: RunSettings, owner: Path, readers: str) -> Iterator[str]:
    """Give notices about clips that the models ``readers`` of the run in ``owner`` share with the test clips."""
    trained, unlabelled = read_manifest(owner / MANIFEST, manifest.root), unlabelled_of_run(owner, manifest.root)
    tested = manifest.with_columns(split="test") if settings.compare.folds else manifest
    found = overlap_notices(tested, trained, owner=owner, readers=readers, unlabelled=unlabelled)
    yield from (named(each, "corpus") for each in found)


def without_copies(manifest: Clips, known: Collection[str]) -> Clips:
    """Leave out the clips of recordings with the same bytes or samples as a known one (`Clip.hashes`)."""
    return manifest.where(clip.hashes.isdisjoint(known) for clip in manifest.clips)


def first_hours(manifests: Sequence[Clips], hours: float) -> tuple[Clips, ...]:
    """Select at most ``hours`` of sound from several manifests together; refuse more than they hold.

    Clips are taken in the order of the SHA-256 of their names, up to the first clip that does not fit. Such a part does
    not depend on the place of the folders, and it contains every smaller part.
    """
    clips = [(clip, source) for source, manifest in enumerate(manifests) for clip in manifest.clips]
    clips.sort(key=lambda one: (hashlib.sha256(one[0].name.encode(errors="surrogatepass")).digest(), one[1]))
    ends = np.cumsum([clip.seconds for clip, _ in clips]) / SECONDS_PER_HOUR - ROUNDING / SECONDS_PER_HOUR
    first = clips[: np.searchsorted(ends, hours, side="right")]
    held = (sum(clip.seconds for clip, _ in clips) + ROUNDING) / SECONDS_PER_HOUR
    if hours > held or not first:  # rounded down, so that this number of hours is accepted
        rule = f"the recordings hold {floor(held * 1e4) / 1e4:g} hours: choose as many or fewer, and room for a clip"
        raise InputError(option="hours", value=hours, rule=rule, remedy="null takes all, and 0 none")
    chosen = [{clip.name for clip, source in first if source == number} for number in range(len(manifests))]
    return tuple(
        manifest.where(clip.name in names for clip in manifest.clips)
        for manifest, names in zip(manifests, chosen, strict=True)
    )


def overlap_notices(
    tested: Clips,
    trained: Clips,
    *,
    owner: Path,
    readers: str = "its tokenizer and language model",
    unlabelled: Iterable[Clip] = (),
) -> tuple[str, ...]:
    """Return what the manifest of a run in the folder ``owner`` means for other recordings, a sentence each.

    ``readers`` names, in the plural, the models of the run that are used. ``unlabelled`` are the clips that the run was
    pre-trained on beside its corpus.
    """
    test, heard = tested.of("test"), "the models that it pre-trained have heard them"
    return tuple(
        f"{shared} of {len(test)} test clips are among {those}: {so}"
        for clips, those, so in (
            (trained.of("train"), f"those that {owner} was trained on", f"{readers} have heard them"),
            (trained.of("validation"), f"the validation clips of {owner}", "it chose weights by them"),
            (unlabelled, f"the unlabelled recordings of {owner}", heard),
        )
        if (shared := trained_on(test, clips))
    )


def trained_on(clips: Collection[Clip], trained: Iterable[Clip]) -> int:
    """Count the clips that share sound with a training clip of a run, wherever their recordings lie."""
    known: dict[str, list[Part]] = {}
    for clip in trained:
        for each in clip.hashes:
            known.setdefault(each, []).append(clip.part)
    return sum(any(clip.part.overlaps(part) for each in clip.hashes for part in known.get(each, ())) for clip in clips)


def groups_in_names(clips: Collection[Clip], pattern: str | None) -> list[str | None]:
    """Return the group (speaker, site...) that each clip's file name gives by a pattern; None if it gives none."""
    if pattern is None or "group" not in roles_of(pattern):
        return [None] * len(clips)
    return [(names or {}).get("group") for names in roles_read(pattern, [clip.path for clip in clips])]
