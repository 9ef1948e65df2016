"""Labels that a classifier of recordings recognises in decoded sound.

The judge (`pipelines.stages.judges`) was trained on the training clips and chosen on the validation clips. It
classifies decoded test clips and their originals. Of a continuation it gets only the new part, because the prompt is a
recording.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from threadpoolctl import threadpool_limits

from audio.recordings.manifest import Clip, Manifest
from foundation.errors import InputError
from lm.probe_task import ProbeTask
from pipelines.stages.decoded import decoded_paths, wav_name
from pipelines.stages.judges import JUDGES, Judge
from pipelines.stages.listening import LISTENING
from pipelines.stages.probe import probe_task
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from pipelines.store.stored_features import stacked_rows
from vocoder.kinds.table import JUDGED_KINDS

RECOGNISED = "recognised.json"


def label_task(session: Session, manifest: Manifest, label_separator: str | None) -> ProbeTask | None:
    """Return the task of recognising labels; None, after a printed reason, if there are no labels."""
    try:
        task = probe_task(manifest, label_separator)
    except InputError as error:
        session.terminal.say(f"vocoder   no label accuracy: {error}")
        return None
    if task.multi_label:
        session.terminal.say("vocoder   no label accuracy: clips have several labels each")
        return None
    return task


def recognised(
    session: Session, judge: Judge, decoded_entry: Entry, listening_entry: Entry, classes: Sequence[str]
) -> Entry:
    """Classify each decoded clip, its original, and each sound of the language model."""
    recipe = Recipe(
        stage="recognised",
        version=3,
        config={"judge": judge.name},
        inputs={**judge.inputs, "decoded": decoded_entry.key, "listening": listening_entry.key},
    )

    def make(folder: Path) -> None:
        paths = decoded_paths(decoded_entry)
        root, said_in = decoded_entry.folder, listening_entry.folder
        sounds = [whole(root, wav_name(number, kind)) for number in range(len(paths)) for kind in JUDGED_KINDS]
        said = listening_entry.read_rows(LISTENING, "said")
        rows = [row for row in said if new_part(said_in, row).num_samples]
        parts = [new_part(said_in, row) for row in rows]
        found = iter(_classes(session, judge, {root: sounds, said_in: parts}, classes))
        clips = [{"path": path, "heard": {kind: next(found) for kind in JUDGED_KINDS}} for path in paths]
        write_json(folder / RECOGNISED, {"judge": judge.name, "clips": clips, "said": _histograms(rows, list(found))})

    return session.obtain(recipe, f"labels of sounds, by {JUDGES[judge.name]}", make, files=[RECOGNISED])


def _classes(
    session: Session, judge: Judge, sounds: Mapping[Path, Sequence[Clip]], classes: Sequence[str]
) -> list[str]:
    """Return the most probable class of each sound below each folder."""
    device = str(session.gang.device)
    rows = [
        row
        for root, clips in sounds.items()
        for row in session.each("recognising", judge.describe(root, device), clips)
    ]
    with threadpool_limits(1):
        scores = judge.scores(stacked_rows(rows))
    return [classes[number] for number in np.argmax(scores, axis=1)]


def whole(root: Path, name: str) -> Clip:
    """Describe a WAV file below ``root`` as a clip."""
    about = soundfile.info(root / name)
    return Clip(path=name, num_samples=about.frames, sample_rate=about.samplerate, size=0, sha256="")


def new_part(root: Path, row: Mapping[str, Any]) -> Clip:
    """Return the new part of a language model's sound: everything after its prompt, if it has one."""
    sound = whole(root, row["file"])
    start = round(row["figures"].get("prompt_seconds", 0.0) * sound.sample_rate)
    return replace(sound, start=start, num_samples=max(sound.num_samples - start, 0))


def _histograms(said: Iterable[dict[str, object]], heard: Sequence[str]) -> list[dict[str, object]]:
    """Count the recognised classes for each kind and temperature of generated sounds."""
    counts: dict[tuple[object, object], Counter[str]] = {}
    for row, name in zip(said, heard, strict=True):
        counts.setdefault((row["kind"], row["temperature"]), Counter())[name] += 1
    return [{"of": kind, "temperature": value, "classes": dict(each)} for (kind, value), each in counts.items()]
