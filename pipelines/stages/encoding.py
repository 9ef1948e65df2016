"""Encoding of recordings and of their views; what each code stands for."""

from collections.abc import Sequence
from functools import partial
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path

import numpy as np
import torch

from pipelines.store.session import Run
from pipelines.store.stage import stage
from pipelines.store.store import Entry, note_finished, write_json
from tokenizer.encoder import Encoder, encode
from tokenizer.health import CodeTable, chance, information, label_counts
from tokenizer.parquet import mark_complete, shard_path, write_shard
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read_beginning
from wordless.audio.recordings.manifest import Clip, Clips, choose_evenly
from wordless.audio.views import View, Views, compared_views
from wordless.audio.waveform import Waveform
from wordless.base.array_types import FloatArray
from wordless.base.machine import one_thread

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


CODE_TABLE = "code_table.json"
MAX_CLIPS, MAX_SECONDS = 400, 30.0  # test clips, and of each its beginning
SHOWN, EXAMPLES = 12, 3  # codes with sounds, and sounds of each
SOUND_SECONDS = 0.3  # around the middle of a patch
MAX_CLASSES = 100  # more labels are names of clips rather than classes


@stage("code_table", version=3, title="sounds and labels of the codes", splits=("test",))
@one_thread()
def code_table(run: Run, clips: Clips, labels: Sequence[str | None] | None, tokenizer: Entry) -> None:
    """Describe the codes of test clips and their only ``labels``; WAV files hold sounds of the most frequent codes."""
    coder, chosen = Tokenizer.from_pretrained(tokenizer.folder), choose_evenly(clips.clips, MAX_CLIPS)
    table = CodeTable(tokenizer=coder, examples=EXAMPLES)
    for clip in chosen:
        table.add(beginning(clips.root, coder.format.sample_rate, clip))
    shown = np.argsort(-table.counts, kind="stable")[:SHOWN].tolist()
    for code in shown:
        for number, found in enumerate(table.nearest.get(code, [])):
            samples = beginning(clips.root, coder.format.sample_rate, chosen[found.clip])
            around(samples, found.step, coder).write(run.folder / sound_name(code, number))
    described = _describe(table, chosen, labels and choose_evenly(labels, MAX_CLIPS))
    write_json(run.folder / CODE_TABLE, {**described, "shown": shown, "sound_seconds": SOUND_SECONDS})


def sound_name(code: int, number: int) -> str:
    return f"{code}_{number}.wav"


def around(samples: FloatArray, step: int, tokenizer: Tokenizer) -> Waveform:
    """Cut `SOUND_SECONDS` of a clip whose middle is the middle of time step ``step``; silence stands beyond the clip.

    ::

        codes    [   ][   ][step][   ][   ]
        sound        [      ^^      ]
    """
    rate, size = tokenizer.format.sample_rate, tokenizer.format.samples_per_code
    length = round(SOUND_SECONDS * rate)
    start = step * size + size // 2 - length // 2
    padded = np.pad(samples, (length, length))  # sample i of the clip is sample i + length
    return Waveform(samples=padded[start + length : start + 2 * length], sample_rate=rate)


def beginning(root: Path, sample_rate: int, clip: Clip) -> FloatArray:
    """Read the first `MAX_SECONDS` of a clip below ``root``."""
    return read_beginning(root / clip.path, sample_rate, MAX_SECONDS, part=clip.part).samples


def _describe(table: CodeTable, clips: Sequence[Clip], labels: Sequence[str | None] | None) -> dict[str, object]:
    counts, spectra = table.counts, table.spectra
    rows = list[dict[str, object]]()
    for code, count in enumerate(counts):
        nearest = [
            {"clip": clips[each.clip].name, "step": each.step, "file": sound_name(code, number)}
            for number, each in enumerate(table.nearest.get(code, []))
        ]
        shown = {"share": float(count / max(counts.sum(), 1)), "spectrum": spectra[code].round(3).tolist()}
        rows.append({"code": code, **shown, "nearest": nearest, "label": None, "purity": None})
    classes = sorted({label for label in labels or () if label is not None})
    if labels is None or None in labels or not 2 <= len(classes) <= MAX_CLASSES or not counts.any():
        return {"clips": len(clips), "codes": rows, "labels": None}
    indices = [classes.index(label) for label in labels if label is not None]
    by_label = label_counts(table.histograms, indices, len(classes))
    for row, of_code in zip(rows, by_label, strict=True):
        if of_code.any():
            row |= {"label": classes[int(of_code.argmax())], "purity": float(of_code.max() / of_code.sum())}
    found = {"": information(by_label), "chance_": chance(table.histograms, indices, len(classes), seed=0)}
    known = {f"{of}{name}": value for of, each in found.items() for name, value in each.items()}
    return {"clips": len(clips), "codes": rows, "labels": {"classes": len(classes), **known}}
