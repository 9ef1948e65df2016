"""Encoding of recordings and of their views."""

from collections.abc import Sequence
from functools import partial
from itertools import groupby, islice
from operator import attrgetter

import torch

from pipelines.store.stage import Run, stage
from pipelines.store.store import Entry, note_finished
from tokenizer.encoder import Encoder, encode
from tokenizer.parquet import mark_complete, shard_path, write_shard
from wordless.audio.recordings.manifest import Clips
from wordless.audio.views import View, Views, compared_views

VIEWS_PER_SHARD = 500
VIEWS_TOGETHER = 50  # that a GPU encodes at once; a CPU encodes the views of one clip


@stage("codes", version=3, title="encoding {clips} clips")
def codes(run: Run, clips: Clips, tokenizer: Entry) -> None:
    """Encode every clip."""
    _encode(run, Views(root=clips.root, views=compared_views(clips)), tokenizer)


@stage("codes_of_views", version=3, title="encoding {views} views of the clips")
def codes_of_views(run: Run, views: Views, tokenizer: Entry) -> None:
    """Encode views of the clips; they have streams beside the codes if all of them are encoded from samples."""
    _encode(run, views, tokenizer, beside=not any(view.change.of_log_mel for view in views.views))


@stage("views", version=4, title="encoding {views} changed copies of training clips")
def training_views(run: Run, views: Views, tokenizer: Entry, *, pitched: bool = False) -> None:
    """Encode changed copies of training clips, without the streams beside the codes, which no GPT reads.

    ``pitched`` was an option, and keeps the keys of stored copies.
    """
    _encode(run, views, tokenizer, beside=pitched)


def _encode(run: Run, of: Views, tokenizer: Entry, *, beside: bool = True) -> None:
    views, has_segments = of.views, any(view.clip.segment is not None for view in of.views)
    device = run.gang.device
    encoder = Encoder(folder=tokenizer.folder, root=of.root, device=str(device), beside=beside)
    shards = [views[start : start + VIEWS_PER_SHARD] for start in range(0, len(views), VIEWS_PER_SHARD)]
    files = {shard_path(run.folder, number): shard for number, shard in enumerate(shards)}
    missing = {file: shard for file, shard in files.items() if not file.exists()}
    jobs = [job for shard in missing.values() for job in _together(shard, device)]
    coded = run.each_together("encoding", partial(encode, encoder), jobs)
    for file, shard in missing.items():
        write_shard(file, islice(coded, len(shard)), encoder.format, segments=has_segments)
        note_finished(file)
    next(coded, None)  # ends the workers
    mark_complete(run.folder, shards=len(shards), clips=len(views))


def _together(views: Sequence[View], device: torch.device) -> list[Sequence[View]]:
    if device.type == "cpu":
        return [[*group] for _, group in groupby(views, attrgetter("clip.name"))]
    return [views[first : first + VIEWS_TOGETHER] for first in range(0, len(views), VIEWS_TOGETHER)]
