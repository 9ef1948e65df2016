"""Encoding of recordings and of their views; what each code stands for."""

from collections.abc import Sequence
from functools import partial
from itertools import chain, groupby, islice
from operator import attrgetter
from pathlib import Path

import numpy as np
import torch

from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, is_finished, note_finished, write_json
from tokenizer.encoder import Encoder, encode
from tokenizer.health import CodeTable, chance, information, label_counts
from tokenizer.options import ViewsConfig
from tokenizer.parquet import COMPLETE, mark_complete, shard_path, write_shard
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read_beginning
from wordless.audio.recordings.manifest import Clip, Clips, audio_hash, choose_evenly
from wordless.audio.views import View, compared_views, views_hash
from wordless.audio.waveform import FloatArray, Waveform
from wordless.base.machine import one_thread
from wordless.base.pools import in_order

VIEWS_PER_SHARD = 500
VIEWS_TOGETHER = 50  # that a GPU encodes at once; a CPU encodes the views of one clip


def codes(session: Session, manifest: Clips, tokenizer_entry: Entry) -> Entry:
    """Encode every clip."""
    inputs = {"tokenizer": tokenizer_entry, "recordings": audio_hash(manifest)}
    recipe, title = Recipe("codes", 2, config={}, inputs=inputs), f"encoding {len(manifest.clips)} clips"
    return _encoded(session, manifest, tokenizer_entry, recipe, compared_views(manifest), title)


def codes_of_views(session: Session, manifest: Clips, tokenizer_entry: Entry, views: Sequence[View]) -> Entry:
    """Encode views of the clips; they have a stream of pitch if all of them are encoded from samples."""
    inputs = {"tokenizer": tokenizer_entry, "views": views_hash(views), "recordings": audio_hash(manifest)}
    recipe, title = Recipe("codes_of_views", 1, config={}, inputs=inputs), f"encoding {len(views)} views of the clips"
    pitched = not any(view.change.of_log_mel for view in views)
    return _encoded(session, manifest, tokenizer_entry, recipe, views, title, pitched=pitched)


def training_views(
    session: Session,
    manifest: Clips,
    tokenizer_entry: Entry,
    config: ViewsConfig,
    *,
    patch_frames: int,
    pitched: bool = False,
) -> Entry | None:
    """Encode the augmented views of the training clips; None if there are no views.

    The views are those of a tokenizer with ``patch_frames`` frames per patch: the coarsest of several rates, so that
    codes at all rates are of the same sound. Only with ``pitched`` do they have a stream of pitch.
    """
    clips = manifest.of("train")
    views = [view for clip in clips for view in config.of(clip, patch_frames)]
    if not views:
        return None
    options = {"lm": {"views": config}, "coarsest": patch_frames, **({"pitched": True} if pitched else {})}
    inputs = {"tokenizer": tokenizer_entry, "recordings": audio_hash(manifest, ["train"])}
    recipe = Recipe("views", 2, config=options, inputs=inputs)
    title = f"encoding {len(clips)} training clips in {len(views) // len(clips)} other view(s)"
    return _encoded(session, manifest, tokenizer_entry, recipe, views, title, pitched=pitched)


def _encoded(
    session: Session,
    manifest: Clips,
    tokenizer_entry: Entry,
    recipe: Recipe,
    views: Sequence[View],
    title: str,
    *,
    pitched: bool = True,
) -> Entry:
    """Encode views of clips; a killed run continues after the last complete shard."""
    shards = [views[start : start + VIEWS_PER_SHARD] for start in range(0, len(views), VIEWS_PER_SHARD)]
    names = [shard_path(Path(), number).name for number in range(len(shards))]

    def make(folder: Path) -> None:
        device = session.gang.device
        encoder = Encoder(folder=tokenizer_entry.folder, root=manifest.root, device=str(device), pitched=pitched)
        missing = [(folder / name, shard) for name, shard in zip(names, shards, strict=True)]
        missing = [(file, shard) for file, shard in missing if not is_finished(file)]
        jobs = [job for _, shard in missing for job in _together(shard, device)]
        done = len(views) - sum(len(shard) for _, shard in missing)
        with session.terminal.working("encoding", len(views), "clips") as progress, session.pool() as pool:
            coded = chain.from_iterable(in_order(partial(encode, encoder), jobs, pool))
            for file, shard in missing:
                write_shard(file, [*islice(coded, len(shard))], encoder.format, segments=manifest.has_segments)
                note_finished(file)
                progress.advance_to(done := done + len(shard))
        mark_complete(folder, shards=len(shards), clips=len(views))

    return session.obtain(recipe, title, make, files=[*names, COMPLETE])


def _together(views: Sequence[View], device: torch.device) -> list[Sequence[View]]:
    """Divide views into those that one call encodes."""
    if device.type == "cpu":
        return [[*group] for _, group in groupby(views, attrgetter("clip.name"))]
    return [views[first : first + VIEWS_TOGETHER] for first in range(0, len(views), VIEWS_TOGETHER)]


CODE_TABLE = "code_table.json"
MAX_CLIPS, MAX_SECONDS = 400, 30.0  # clips, and of each its beginning
SHOWN, EXAMPLES = 12, 3  # codes with sounds, and sounds of each
SOUND_SECONDS = 0.3  # around the middle of a patch
MAX_CLASSES = 100  # more labels are names of clips rather than classes


def code_table(session: Session, manifest: Clips, tokenizer_entry: Entry, *, separator: str | None) -> Entry:
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
            table.add(beginning(manifest, tokenizer.format.sample_rate, clip))
        shown = np.argsort(-table.counts, kind="stable")[:SHOWN].tolist()
        for code in shown:
            for number, found in enumerate(table.nearest.get(code, [])):
                samples = beginning(manifest, tokenizer.format.sample_rate, clips[found.clip])
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


def beginning(manifest: Clips, sample_rate: int, clip: Clip) -> FloatArray:
    """Read the first `MAX_SECONDS` of a clip."""
    return read_beginning(manifest.root / clip.path, sample_rate, MAX_SECONDS, part=clip.part).samples


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
    found = {"": information(by_label), "chance_": chance(table.histograms, indices, len(classes), seed=0)}
    known = {f"{of}{name}": value for of, each in found.items() for name, value in each.items()}
    return {"clips": len(clips), "codes": rows, "labels": {"classes": len(classes), **known}}
