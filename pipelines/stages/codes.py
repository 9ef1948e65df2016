"""Encoding of recordings: every clip, its other hearings, and views of training clips; what each code stands for."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, is_finished, note_finished, write_json
from tokenizer.encoder import Encoder, Job, encode_clips, encode_hearings, encode_views
from tokenizer.health import CodeTable, Information, chance, information, label_counts
from tokenizer.options import View, ViewsConfig
from tokenizer.parquet import COMPLETE, CodedClip, mark_complete, shard_path, write_shard
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read_beginning
from wordless.audio.recordings.hearings import HeardFrames
from wordless.audio.recordings.manifest import Clip, Manifest, audio_hash, choose_evenly
from wordless.audio.waveform import FloatArray, Waveform
from wordless.base.machine import one_thread
from wordless.base.pools import in_order

CLIPS_PER_SHARD = 500
CLIPS_TOGETHER = 50  # that a GPU encodes at once
J = TypeVar("J")


def codes(session: Session, manifest: Manifest, tokenizer_entry: Entry) -> Entry:
    """Encode every clip."""
    inputs = {"tokenizer": tokenizer_entry, "recordings": audio_hash(manifest)}
    recipe = Recipe("codes", 2, config={}, inputs=inputs)
    jobs: list[Job] = [(clip, 0) for clip in manifest.clips]
    together = 1 if session.gang.device.type == "cpu" else CLIPS_TOGETHER
    shards = [[shard[first : first + together] for first in range(0, len(shard), together)] for shard in _shards(jobs)]
    title = f"encoding {len(jobs)} clips"
    return _encoded(session, manifest, tokenizer_entry, recipe, shards, encode_clips, title, len(jobs))


def heard_codes(session: Session, manifest: Manifest, tokenizer_entry: Entry, heard: HeardFrames) -> Entry:
    """Encode every clip in each of its stored hearings; those of a clip follow one after the other."""
    others = heard.hearings - 1
    inputs = {"tokenizer": tokenizer_entry, "frames": heard.key, "recordings": audio_hash(manifest)}
    recipe = Recipe("heard_codes", 1, config={}, inputs=inputs)
    title = f"encoding {len(manifest.clips)} clips in {others} other hearings"
    shards = _shards(manifest.clips)
    total = others * len(manifest.clips)
    encode = partial(encode_hearings, heard)
    return _encoded(session, manifest, tokenizer_entry, recipe, shards, encode, title, total, pitched=False)


def views(
    session: Session,
    manifest: Manifest,
    tokenizer_entry: Entry,
    config: ViewsConfig,
    *,
    patch_frames: int,
    coarsest: int | None = None,
    pitched: bool = False,
) -> Entry | None:
    """Encode the augmented views of the training clips; None if there are no views.

    ``patch_frames`` are those of the tokenizer. With ``coarsest``, the views are those of a tokenizer with so many
    frames per patch, so that codes at several rates are of the same sound. Only with ``pitched`` do they have a stream
    of pitch.
    """
    clips = manifest.of("train")
    jobs = [(clip, view) for clip in clips for view in config.of(clip.name, coarsest or patch_frames)]
    if not jobs:
        return None
    options = {"lm": {"views": config}, "coarsest": coarsest or patch_frames, **({"pitched": True} if pitched else {})}
    inputs = {"tokenizer": tokenizer_entry, "recordings": audio_hash(manifest, ["train"])}
    recipe = Recipe("views", 2, config=options, inputs=inputs)
    title = f"encoding {len(clips)} training clips in {len(jobs) // len(clips)} other view(s)"
    shards = [_by_clip(shard) for shard in _shards(jobs)]
    return _encoded(session, manifest, tokenizer_entry, recipe, shards, encode_views, title, len(jobs), pitched=pitched)


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
    *,
    pitched: bool = True,
) -> Entry:
    """Encode the jobs of each shard, to ``total`` coded clips; a killed run continues after the last complete shard."""

    def make(folder: Path) -> None:
        device = str(session.gang.device)
        encoder = Encoder(folder=tokenizer_entry.folder, root=manifest.root, device=device, pitched=pitched)
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


CODE_TABLE = "code_table.json"
MAX_CLIPS, MAX_SECONDS = 400, 30.0  # clips, and of each its beginning
SHOWN, EXAMPLES = 12, 3  # codes with sounds, and sounds of each
SOUND_SECONDS = 0.3  # around the middle of a patch
MAX_CLASSES = 100  # more labels are names of clips rather than classes


def code_table(session: Session, manifest: Manifest, tokenizer_entry: Entry, *, separator: str | None) -> Entry:
    """Describe the codes of test clips; WAV files hold the sounds nearest to the most frequent codes.

    ``separator`` separates several labels of one clip. Such labels are left out, because a patch has one label here.
    """
    clips = choose_evenly(manifest.of("test"), MAX_CLIPS)
    config = {"clips": [[clip.name, clip.label] for clip in clips], "probe": {"label_separator": separator}}
    inputs = {"tokenizer": tokenizer_entry, "recordings": audio_hash(manifest, ["test"])}
    recipe = Recipe("code_table", 2, config=config, inputs=inputs)

    @one_thread()
    def make(folder: Path) -> None:
        tokenizer = Tokenizer.from_pretrained(tokenizer_entry.folder)
        table = CodeTable(tokenizer=tokenizer, examples=EXAMPLES)
        for clip in clips:
            table.add(_beginning(manifest, clip, tokenizer))
        shown = np.argsort(-table.counts, kind="stable")[:SHOWN].tolist()
        for code in shown:
            for number, found in enumerate(table.nearest.get(code, [])):
                samples = _beginning(manifest, clips[found.clip], tokenizer)
                around(samples, found.step, tokenizer).write(folder / sound_name(code, number))
        labels = None if separator else [clip.label for clip in clips]
        described = _describe(table, clips, labels)
        write_json(folder / CODE_TABLE, {**described, "shown": shown, "sound_seconds": SOUND_SECONDS})

    return session.obtain(recipe, "sounds and labels of the codes", make, files=[CODE_TABLE, "*.wav"])


def sound_name(code: int, number: int) -> str:
    """Name the WAV file of a code's nearest sound, counted from 0."""
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


def _beginning(manifest: Manifest, clip: Clip, tokenizer: Tokenizer) -> FloatArray:
    rate = tokenizer.format.sample_rate
    return read_beginning(manifest.root / clip.path, rate, MAX_SECONDS, part=clip.part).samples


def _describe(table: CodeTable, clips: Sequence[Clip], labels: Sequence[str | None] | None) -> dict[str, object]:
    counts, spectra = table.counts, table.spectra
    rows = [
        {
            "code": code,
            "share": float(counts[code] / max(counts.sum(), 1)),
            "spectrum": spectra[code].round(3).tolist(),
            "nearest": [
                {"clip": clips[each.clip].name, "step": each.step, "file": sound_name(code, number)}
                for number, each in enumerate(table.nearest.get(code, []))
            ],
            "label": None,
            "purity": None,
        }
        for code in range(len(counts))
    ]
    classes = sorted({label for label in labels or () if label is not None})
    if labels is None or None in labels or not 2 <= len(classes) <= MAX_CLASSES or not counts.any():
        return {"clips": len(clips), "codes": rows, "labels": None}
    indices = [classes.index(label) for label in labels if label is not None]
    by_label = label_counts(table.histograms, indices, len(classes))
    for row, of_code in zip(rows, by_label, strict=True):
        if of_code.any():
            row |= {"label": classes[int(of_code.argmax())], "purity": float(of_code.max() / of_code.sum())}
    by_chance = chance(table.histograms, indices, len(classes), seed=0)
    known = {**_values(information(by_label)), **{f"chance_{key}": value for key, value in _values(by_chance).items()}}
    return {"clips": len(clips), "codes": rows, "labels": {"classes": len(classes), **known}}


def _values(found: Information) -> dict[str, float]:
    return {"purity": found.purity, "mutual_information": found.mutual_information}
