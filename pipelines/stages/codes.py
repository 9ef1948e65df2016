"""Encoding of recordings: every clip, its other hearings, and views of the training clips for pre-training."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import accumulate, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, is_finished, note_finished
from tokenizer.encoder import Encoder, Job, encode_clip, encode_hearings, encode_views
from tokenizer.options import View, ViewsConfig
from tokenizer.parquet import COMPLETE, CodedClip, mark_complete, shard_path, write_shard
from wordless.audio.recordings.hearings import HeardFrames
from wordless.audio.recordings.manifest import SPLITS, Clip, Manifest, audio_hash
from wordless.base.pools import in_order

CLIPS_PER_SHARD = 500
J = TypeVar("J")


def codes(session: Session, manifest: Manifest, tokenizer_entry: Entry) -> Entry:
    """Encode every clip."""
    inputs = {"tokenizer": tokenizer_entry.key, "manifest": audio_hash(manifest, SPLITS)}
    recipe = Recipe("codes", 2, config={}, inputs=inputs)
    jobs = [(clip, 0) for clip in manifest.clips]
    title = f"encoding {len(jobs)} clips"
    return _encoded(session, manifest, tokenizer_entry, recipe, _shards(jobs), _alone, title, len(jobs))


def heard_codes(session: Session, manifest: Manifest, tokenizer_entry: Entry, heard: HeardFrames) -> Entry:
    """Encode every clip in each of its stored hearings; those of a clip follow one after the other."""
    others = heard.hearings - 1
    manifest_hash = audio_hash(manifest, SPLITS)
    inputs = {"tokenizer": tokenizer_entry.key, "frames": heard.key, "manifest": manifest_hash}
    recipe = Recipe("heard_codes", 1, config={}, inputs=inputs)
    title = f"encoding {len(manifest.clips)} clips in {others} other hearings"
    shards = _shards(manifest.clips)
    total = others * len(manifest.clips)
    return _encoded(session, manifest, tokenizer_entry, recipe, shards, partial(encode_hearings, heard), title, total)


def views(
    session: Session,
    manifest: Manifest,
    tokenizer_entry: Entry,
    config: ViewsConfig,
    *,
    patch_frames: int,
    coarsest: int | None = None,
) -> Entry | None:
    """Encode the augmented views of the training clips; None if there are no views.

    ``patch_frames`` are those of the tokenizer. With ``coarsest``, the views are those of a tokenizer with so many
    frames per patch, so that codes at several rates are of the same sound.
    """
    clips = manifest.of("train")
    jobs = [(clip, view) for clip in clips for view in config.of(clip.name, coarsest or patch_frames)]
    if not jobs:
        return None
    options = {name: value for name, value in asdict(config).items() if (name, value) != ("dynamic_ranges", None)}
    if coarsest not in (None, patch_frames):  # entries of a single rate keep their key
        options["coarsest"] = coarsest
    inputs = {"tokenizer": tokenizer_entry.key, "manifest": audio_hash(manifest, ["train"])}
    recipe = Recipe("views", 2, config=options, inputs=inputs)
    title = f"encoding {len(clips)} training clips in {len(jobs) // len(clips)} other view(s)"
    shards = [_by_clip(shard) for shard in _shards(jobs)]
    return _encoded(session, manifest, tokenizer_entry, recipe, shards, encode_views, title, len(jobs))


def _alone(encoder: Encoder, job: Job) -> list[CodedClip]:
    return [encode_clip(encoder, job)]


def _by_clip(jobs: Sequence[tuple[Clip, View]]) -> list[tuple[Clip, list[View]]]:
    """Join the neighbouring views of each clip."""
    return [(clip, [view for _, view in own]) for clip, own in groupby(jobs, itemgetter(0))]


def _shards(jobs: Sequence[J]) -> list[Sequence[J]]:
    return [jobs[start : start + CLIPS_PER_SHARD] for start in range(0, len(jobs), CLIPS_PER_SHARD)]


def _encoded(
    session: Session,
    manifest: Manifest,
    tokenizer_entry: Entry,
    recipe: Recipe,
    shards: Sequence[Sequence[J]],
    encode: Callable[[Encoder, J], Sequence[CodedClip]],
    title: str,
    total: int,
) -> Entry:
    """Encode the jobs of each shard, to ``total`` coded clips; a killed run continues after the last complete shard."""

    def make(folder: Path) -> None:
        encoder = Encoder(folder=tokenizer_entry.folder, root=manifest.root, device=str(session.gang.device))
        finished = [is_finished(shard_path(folder, number)) for number in range(len(shards))]
        missing = [job for shard, there in zip(shards, finished, strict=True) if not there for job in shard]
        ends = [*accumulate(map(len, shards))]  # the jobs up to the end of each shard
        working = session.terminal.working("encoding", total, "clips")
        with working as progress, session.pool() as pool:
            results = in_order(partial(encode, encoder), missing, pool)
            for number, shard in enumerate(shards):
                if not finished[number]:
                    path = shard_path(folder, number)
                    clips = [clip for made in islice(results, len(shard)) for clip in made]
                    write_shard(path, clips, encoder.format, segments=manifest.has_segments)
                    note_finished(path)
                progress.advance_to(total * ends[number] // ends[-1])
        mark_complete(folder, shards=len(shards), clips=total)

    names = [shard_path(Path(), number).name for number in range(len(shards))]
    return session.obtain(recipe, title, make, files=[*names, COMPLETE])
