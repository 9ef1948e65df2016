"""The recordings of a command: they are found by their source, inspected and divided."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pipelines.settings.run_settings import CorpusCommand
from pipelines.store.store import MADE, Store
from wordless.audio.audio_options import Channel, SpectrogramConfig
from wordless.audio.recordings.corpus import (
    CONFLICTING,
    CorpusConfig,
    Making,
    band_notices,
    build_manifest,
    find_recordings,
    length_notices,
    outside_notices,
    resolved,
    upsampling_notices,
)
from wordless.audio.recordings.inspection import inspect
from wordless.audio.recordings.manifest import Clips, Rejected, write_rejected
from wordless.audio.recordings.splits import division_notices
from wordless.base.messages import InputError, counted, named, within
from wordless.base.progress import Terminal
from wordless.training.fit import Gang

MANIFEST, REJECTED = "manifest.tsv", "rejected.tsv"  # in the folder of a run


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

    def folder() -> Path:
        Store(settings.store.root).use()  # before recordings are written there
        return settings.store.root / MADE[config.source]

    with within("corpus", root=option):
        found = find_recordings(config, Making(folder=folder, terminal=terminal)).named("corpus", root=option)
    for notice in found.notices:
        terminal.say(f"corpus    {notice}")
    if require is not None:
        require(found.frame.label.tolist())
    option = "corpus.dataset" if config.dataset else option
    return Found(config=resolved(config, found.split_by), clips=found, option=option)


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
    make no corpus, the file ``rejected`` lists those that were set aside.
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
    bands = () if own is None else (*upsampling_notices(manifest.clips, own), *band_notices(manifest.clips, own))
    divided = (named(each, "corpus", folds="compare.folds") for each in division_notices(manifest, found.config.split))
    notices = (*divided, *(named(each, "audio") for each in (*bands, *manifest.notices)))
    lines = [_summary(name, manifest, others, listed)]
    if same := [each.path for each in others if each.kind == CONFLICTING]:
        files = f"{counted(len(same), 'file')} set aside with the sound of another file"
        lines.append(f"{files} and another label, group or split, such as {same[0]}: see {listed}")
    lengths = length_notices(manifest.clips, found.config.segment_seconds)
    places = (named(each, "corpus") for each in (*outside_notices(manifest.clips, others), *lengths))
    for line in (*lines, *notices, *places):
        terminal.say(f"corpus    {line}")
    return replace(manifest, name=name, rejected=others, notices=notices)


def _summary(name: str, manifest: Clips, rejected: Sequence[Rejected], listed: str) -> str:
    clips, segments = len(manifest.clips), [clip.path for clip in manifest.clips if clip.segment is not None]
    left_out = sum(each.segments for each in rejected)
    files = f"{len(segments)} of them segments of {counted(len(set(segments)), 'recording')}, " if segments else ""
    dropped = f", {counted(left_out, 'segment')} left out (reasons: {listed})" if left_out else ""
    trimmed = f", {manifest.trimmed_seconds:,.1f} s of silent ends cut off" if manifest.trimmed_seconds else ""
    return (
        f"{name}: {counted(clips, 'clip')}, {files}{manifest.seconds / 60:.1f} minutes, "
        f"{sum(not each.segments for each in rejected)} set aside{dropped}{trimmed}"
    )
