"""Sounds -> labels, by a classifier that has heard recordings alone: what remains recognisable of what is decoded.

The classifier is the supervised encoder with its own head: trained on the training clips, chosen on the validation
clips, and asked here of sounds that it never learned from, the originals of the same test clips beside them. Of a
continuation it hears what is new: its prompt is a recording.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audio.recordings.manifest import Clip, Manifest
from audio.spectrogram import SpectrogramConfig
from foundation.errors import InputError
from lm.baselines.block_features import EncoderLoader, block_features, head_scores
from lm.baselines.encoder import ConvEncoderConfig
from lm.baselines.spectrogram_reader import SpectrogramReader
from lm.pooling import POOLINGS
from lm.probe_task import ProbeTask
from pipelines.stages.baselines import BaselineSettings
from pipelines.stages.decoded import KINDS, decoded_paths, wav_name
from pipelines.stages.listening import LISTENING
from pipelines.stages.probe import probe_task
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from pipelines.store.stored_features import stacked_rows

RECOGNISED = "recognised.json"


def label_task(session: Session, manifest: Manifest, label_separator: str | None) -> ProbeTask | None:
    """The labels that can be recognised; None, and a line that says why, where there are none."""
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
    session: Session,
    classifier: Entry,
    sample: Entry,
    decoded_entry: Entry,
    listening_entry: Entry,
    classes: Sequence[str],
    audio: SpectrogramConfig,
    settings: BaselineSettings,
) -> Entry:
    """The class that is heard in each decoded clip and its original, and in each sound of the language model."""
    recipe = Recipe(
        stage="recognised",
        version=2,
        config={},
        inputs={
            "classifier": classifier.key,
            "sample": sample.key,
            "decoded": decoded_entry.key,
            "listening": listening_entry.key,
        },
    )

    def make(folder: Path) -> None:
        paths = decoded_paths(decoded_entry)
        hear = partial(_classes, session, classifier, sample, audio, settings.encoder, classes)
        root, said_in = decoded_entry.folder, listening_entry.folder
        sounds = [whole(root, wav_name(number, kind)) for number in range(len(paths)) for kind in KINDS]
        found = iter(hear("recognising", root, sounds))
        clips = [{"path": path, "heard": {kind: next(found) for kind in KINDS}} for path in paths]
        said = listening_entry.read_json(LISTENING).get("said", [])
        rows = [row for row in said if new_part(said_in, row).num_samples] if isinstance(said, list) else []
        heard = hear("recognising", said_in, [new_part(said_in, row) for row in rows])
        write_json(folder / RECOGNISED, {"clips": clips, "said": _histograms(rows, heard)})

    return session.obtain(recipe, "labels of decoded clips and of continuations", make, files=[RECOGNISED])


def _classes(
    session: Session,
    classifier: Entry,
    sample: Entry,
    audio: SpectrogramConfig,
    encoder: ConvEncoderConfig,
    classes: Sequence[str],
    title: str,
    root: Path,
    clips: Sequence[Clip],
) -> list[str]:
    """The most probable class of each sound below ``root``."""
    if not clips:
        return []
    reader = SpectrogramReader(root=root, audio=audio, sample=sample.folder)
    loader = EncoderLoader(folder=classifier.folder, config=encoder, seed=0, device=str(session.gang.device))
    rows = stacked_rows(session.each(title, partial(block_features, loader, reader), clips))
    last = f"block_{len(encoder.channels)}"
    scores = head_scores(classifier.folder, {pooling: rows[f"{last}:{pooling}"] for pooling in POOLINGS})
    return [classes[number] for number in np.argmax(scores, axis=1)]


def whole(root: Path, name: str) -> Clip:
    """A WAV file below ``root`` as a clip."""
    about = soundfile.info(root / name)
    return Clip(path=name, num_samples=about.frames, sample_rate=about.samplerate, size=0, sha256="")


def new_part(root: Path, row: Mapping[str, Any]) -> Clip:
    """What is new in a sound of the language model: what follows its prompt, or all where it has none."""
    sound = whole(root, row["file"])
    start = round(row["figures"].get("prompt_seconds", 0.0) * sound.sample_rate)
    return replace(sound, start=start, num_samples=max(sound.num_samples - start, 0))


def _histograms(said: Iterable[dict[str, object]], heard: Sequence[str]) -> list[dict[str, object]]:
    """How often each class is heard, for each kind and temperature of what is said."""
    counts: dict[tuple[object, object], Counter[str]] = {}
    for row, name in zip(said, heard, strict=True):
        counts.setdefault((row["kind"], row["temperature"]), Counter())[name] += 1
    return [{"of": kind, "temperature": value, "classes": dict(each)} for (kind, value), each in counts.items()]
