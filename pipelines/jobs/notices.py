"""Notices of the report about sound beside the corpus that models of a run have heard, and lists of these clips.

Test clips may be among them.
"""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path

from pipelines.chain.clips_of_run import MANIFEST
from pipelines.jobs.unlabelled import held_out_groups
from pipelines.methods.methods_table import METHODS
from pipelines.settings.choices import EMBEDDED
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.language_model import gpt_hash
from pipelines.stages.voices import UNIVERSAL, is_shipped, saved_vocoder
from pipelines.store.run_folder import LM, RESULTS, TOKENS, VOICE, start_folder
from pipelines.store.store import SYNTHESISED
from pipelines.store.stored_features import GPT
from wordless.audio.recordings.description import groups_in_names
from wordless.audio.recordings.manifest import (
    SECONDS_PER_HOUR,
    Clip,
    Clips,
    overlap_notices,
    read_manifest,
    write_manifest,
)
from wordless.base.messages import InputError, counted, listed, named
from wordless.base.saved_models import LANGUAGE_MODEL, TOKENIZER, VOCODER, learned_labels

UNLABELLED = "unlabelled.tsv"  # in the folder of a run


def notices(manifest: Clips, unlabelled: Sequence[Clips], settings: RunSettings, folder: Path) -> Iterator[str]:
    yield from notices_of_unlabelled(manifest, unlabelled, settings)
    yield from notices_of_weights(manifest, settings)
    yield from notices_of_starts(manifest, settings, folder)


def notices_of_unlabelled(manifest: Clips, unlabelled: Sequence[Clips], settings: RunSettings) -> Iterator[str]:
    """Say for the report how much sound pre-training has beside the corpus, and which groups may be in it."""
    networks = dict.fromkeys(settings.body(method).pretrained(method) for method in settings.probed_methods)
    gpts = {METHODS[GPT].title: settings.trains_lm, "GPT of each rate": settings.trains_rates}
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
    for body in settings.bodies:
        of, self_supervised = body.methods[0].title, any(each.kind == "self_supervised" for each in body.methods)
        for folder in body.folders:
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
