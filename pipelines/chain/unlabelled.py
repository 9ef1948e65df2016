"""Recordings without labels that networks are trained on beside the corpus, and models that a run begins with.

Both may contain sound of the test clips; the notices of the report say so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

from pipelines.chain.corpus import MANIFEST, Found, find_corpus, read_corpus, seen_of
from pipelines.commandline.choices import EMBEDDED, EMBEDDED_SOURCE
from pipelines.settings.run import RunSettings
from pipelines.stages.start import LM, TOKENS, UNIVERSAL, VOICE, gpt_hash, is_shipped, run_of_start, saved_vocoder
from pipelines.store.run_folder import RESULTS
from pipelines.store.store import SYNTHESISED
from wordless.audio.recordings.corpus import CorpusConfig
from wordless.audio.recordings.description import groups_in_names
from wordless.audio.recordings.folders import expand_home, require_folder
from wordless.audio.recordings.manifest import (
    SECONDS_PER_HOUR,
    Clip,
    Clips,
    first_hours,
    overlap_notices,
    read_manifest,
    without_copies,
    write_manifest,
    write_rejected,
)
from wordless.audio.recordings.splits import UNDIVIDED
from wordless.base.errors import InputError, named, within
from wordless.base.progress import Terminal
from wordless.base.saved_models import LANGUAGE_MODEL, TOKENIZER, VOCODER, learned_labels
from wordless.base.text import counted, listed
from wordless.training.gangs import Gang

UNLABELLED, REJECTED_UNLABELLED = "unlabelled.tsv", "rejected_unlabelled.tsv"  # in the folder of a run
STARTED = "start.tsv"  # there, too: the clips that the models it began with (such as lm.start) were trained on


def find_sources(settings: RunSettings, terminal: Terminal) -> dict[str, Found]:
    """Find the recordings of each source of ``unlabelled``, without those of ``unlabelled_hours=0``.

    The corpus itself and folders without recordings are refused before any recording is decoded.
    """
    own, found = settings.corpus, dict[str, Found]()
    for source in settings.unlabelled or ():
        config = CorpusConfig(root=EMBEDDED, inspection=own.inspection, split=UNDIVIDED)  # its words are never cut
        if source == EMBEDDED_SOURCE:
            if own.root == EMBEDDED:
                problem = "unlabelled=embedded adds the built-in corpus, which this run is on already"
                raise InputError(f"{problem}; leave it out")
        else:
            folder = require_folder(source, option="unlabelled")
            if own.root and own.table is None and folder.resolve() == expand_home(own.root, "corpus.root").resolve():
                raise InputError(f"unlabelled={source} is the folder of the corpus; name other recordings")
            config = replace(
                config,
                root=source,
                labels="none",
                annotations="none",
                segment_seconds=own.segment_seconds,
                segment_overlap_seconds=own.segment_overlap_seconds,
                segment_silence_dbfs=own.segment_silence_dbfs,
            )
        if settings.unlabelled_hours != 0:
            found[source] = find_corpus(config, settings, require=None, terminal=terminal, option="unlabelled")
    return found


def read_unlabelled(
    settings: RunSettings, corpus: Clips, sources: Mapping[str, Found], *, gang: Gang, terminal: Terminal, folder: Path
) -> tuple[Clips, ...]:
    """Read the recordings of `find_sources`: all of them for training, and without labels.

    Left out are recordings that the corpus or an earlier source holds as well, in any lossless format, and those whose
    names give a held-out group. ``unlabelled_hours`` limits the sound of all sources together. Unusable files
    are listed in the run's ``folder``.

    Raises:
        InputError: a source has no usable recording of its own, or there are fewer hours than wanted.
    """
    if not gang.rank:
        (folder / REJECTED_UNLABELLED).unlink(missing_ok=True)  # left by an earlier run in this folder
    if not sources:
        return ()
    known, found, rejected = {each for clip in corpus.clips for each in clip.hashes}, [], []
    held_out = _held_out_groups(corpus, settings)
    for source, recordings in sources.items():
        read = read_corpus(
            *recordings,
            settings,
            gang=gang,
            terminal=terminal,
            folder=folder,
            option="unlabelled",
            listed=REJECTED_UNLABELLED,
            audio=settings.audio,
        )
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


def _held_out_groups(corpus: Clips, settings: RunSettings) -> frozenset[str]:
    """Return the groups of the corpus that are not trained on: in folds all, because each is held out once."""
    own = settings.corpus.split
    if own.shared_groups or own.by == "index":  # the run does not test other groups
        return frozenset()
    clips = [clip for clip in corpus.clips if settings.compare.folds or clip.split != "train"]
    return frozenset(clip.group for clip in clips if clip.group is not None)


def notices_of_unlabelled(manifest: Clips, unlabelled: Sequence[Clips], settings: RunSettings) -> Iterator[str]:
    """Say for the report how much sound pre-training has beside the corpus, and which groups may be in it."""
    learners = {
        "the GPT": settings.trains_lm,
        "SimCLR": settings.probes("simclr"),
        "wav2vec 2.0": settings.pretrains_wav2vec2,
    }
    trained = [name for name, learns in learners.items() if learns]
    if not unlabelled or not trained:
        return
    clips = counted(sum(len(each.clips) for each in unlabelled), "other clip")
    hours = sum(each.seconds for each in unlabelled) / SECONDS_PER_HOUR
    were, names = "were" if len(trained) > 1 else "was", listed(trained)
    yield f"{names[0].upper()}{names[1:]} {were} also trained on {clips} without labels ({hours:.3g} hours)"
    own = [each for each in unlabelled if each.root.parent != settings.store.root / SYNTHESISED]
    unknown = sum(groups_in_names(each.clips, settings.corpus.pattern).count(None) for each in own)
    if unknown and _held_out_groups(manifest, settings):
        yield (
            f"The names of {counted(unknown, 'unlabelled clip')} give no group, so a held-out group may be among "
            "them: name the files so that corpus.pattern finds {group} in them, and its clips are left out"
        )


def write_unlabelled(unlabelled: Sequence[Clips], folder: Path) -> None:
    """List the clips in the folder of a finished run; a run without any has no list."""
    _write_list(folder / UNLABELLED, [clip for each in unlabelled for clip in each.clips])


def write_started(settings: RunSettings, root: Path, folder: Path) -> None:
    """List in the folder of a finished run the clips that the models it began with were trained on.

    ``root`` is the folder of the corpus. A run that began with nothing, or with models of unknown recordings, has no
    list.
    """
    heard = dict[tuple[object, ...], Clip]()
    for owner in dict.fromkeys(owner for _, _, owner, _ in _starts(settings) if _is_run(owner)):
        for clip in (*read_manifest(owner / MANIFEST, root).of("train"), *unlabelled_of_run(owner, root)):
            heard[clip.path, clip.sha256, clip.part] = clip
    _write_list(folder / STARTED, [*heard.values()])


def _write_list(file: Path, clips: Sequence[Clip]) -> None:
    file.unlink(missing_ok=True)  # of an earlier run
    if clips:
        write_manifest(Clips.from_rows(file.parent, clips), file)


def unlabelled_of_run(folder: Path, root: Path) -> tuple[Clip, ...]:
    """Return the clips that `write_unlabelled` and `write_started` listed.

    They are known by their hashes: their paths lie in other folders.
    """
    lists = (folder / name for name in (UNLABELLED, STARTED))
    return tuple(clip for listed in lists if listed.is_file() for clip in read_manifest(listed, root).clips)


def notices_of_starts(manifest: Clips, settings: RunSettings, folder: Path) -> Iterator[str]:
    """Give notices for the report about the models that the run began with, and what they know.

    Raises:
        InputError: they lie in the ``folder`` of this run, which would replace them.
    """
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
            yield (
                f"no {MANIFEST} beside {option}={start} lists the recordings that it was trained on: figures on test "
                "clips mean nothing if these are among them"
            )
    yield from voice_notices(settings)


def _starts(settings: RunSettings) -> Iterator[tuple[str, str, Path, str]]:
    """Give each model of another run that this one begins with.

    These are its option and value, the folder of the run that made it, and its name in the plural for `_overlaps`.
    """
    for option, kind in ((TOKENS, TOKENIZER), (LM, LANGUAGE_MODEL), (VOICE, VOCODER)):
        start = attrgetter(option)(settings)
        if start is not None and not is_shipped(start):
            yield option, start, run_of_start(start, kind, option=option), f"its {kind.name}'s weights"


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


def notices_of_weights(manifest: Clips, settings: RunSettings) -> Iterator[str]:
    """Give notices for the report about what the weights of a speech model have learned.

    A classifier or a CTC model was trained with labels, so its layers are not self-supervised. A run may have made the
    weights from test clips.
    """
    if settings.wav2vec2.weights is None:
        return
    folder = Path(settings.wav2vec2.weights).expanduser()
    if learned_labels(folder):
        yield f"the weights of wav2vec2.weights={folder} learned labels, so their layers are not self-supervised"
    if _is_run(folder.parent):
        yield from _overlaps(manifest, settings, folder.parent, "the weights of wav2vec 2.0")


def _is_run(owner: Path) -> bool:
    return (owner / RESULTS).is_file() and (owner / MANIFEST).is_file()


def _overlaps(manifest: Clips, settings: RunSettings, owner: Path, readers: str) -> Iterator[str]:
    """Give notices about clips of the run in the folder ``owner`` among the test clips, of all folds if there are any.

    ``readers`` names, in the plural, the models of that run that are used.
    """
    trained, unlabelled = read_manifest(owner / MANIFEST, manifest.root), unlabelled_of_run(owner, manifest.root)
    tested = manifest.with_columns(split="test") if settings.compare.folds else manifest
    found = overlap_notices(tested, trained, owner=owner, readers=readers, unlabelled=unlabelled)
    yield from (named(each, "corpus") for each in found)


def shared_paths(settings: RunSettings, unlabelled: Sequence[Clips]) -> tuple[Path, ...]:
    """Return the paths outside corpus and store that all workers must see: unlabelled recordings, and weights."""
    weights = [folder for folder in (settings.wav2vec2.weights, settings.ast.model.weights) if folder is not None]
    recordings = [path for each in unlabelled for path in seen_of(each)]
    return *recordings, *(Path(folder).expanduser() for folder in weights)
