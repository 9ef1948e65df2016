"""The labels that a classifier names in decoded sound.

The classifier was trained and chosen without test clips. Of a continuation it gets only the new part: the prompt is a
recording.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from threadpoolctl import threadpool_limits

from lm.lm_options import ProbeConfig
from lm.probing.probe import FittedProbe
from lm.probing.task import ProbeTask
from pipelines.stages.features import BAG_OF_CODES, bag_features, log_mel_vectors
from pipelines.stages.listening import LISTENING, decoded_paths, wav_name
from pipelines.stages.probing import probe_task
from pipelines.stages.stage_options import JudgeName
from pipelines.store.stage import Run, Session, stage
from pipelines.store.store import Entry, write_json
from pipelines.store.stored_features import stacked_rows
from tokenizer.encoder import Encoder
from vocoder.kinds import JUDGED_KINDS
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.audio.views import View
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError

RECOGNISED = "recognised.json"
JUDGES: dict[JudgeName, str] = {
    "probe": "a linear probe of log-mel",
    "codes": "a linear probe of the codes of the sound",
    "supervised": "a supervised network",
}
# judges that are linear probes -> the method whose features they read, and the function that computes them; others are
# networks of the table of bodies
PROBED: dict[JudgeName, tuple[str, Callable[[Encoder, View], dict[str, FloatArray]]]] = {
    "probe": ("log_mel", log_mel_vectors),
    "codes": (BAG_OF_CODES, bag_features),
}


@dataclass(frozen=True, kw_only=True)
class Judge:
    name: JudgeName
    inputs: tuple[Entry, ...]  # that decide its answers
    describe: Callable[[View], dict[str, FloatArray]]  # pools the features (dim,) of a sound, in any process
    scores: Callable[[Mapping[str, FloatArray]], FloatArray]  # pooled features (sounds, dim) -> (sounds, classes)

    @property
    def key(self) -> list[object]:
        return [self.name, *self.inputs]

    @property
    def title(self) -> str:
        return JUDGES[self.name]


def create_probe_judge(name: JudgeName, tokenizer: Encoder, probe: Entry) -> Judge:
    """Return the linear probe that is best on validation, with mean and thirds of the clip as it is as candidates."""

    def scores(pooled: Mapping[str, FloatArray]) -> FloatArray:
        fitted = FittedProbe.from_pretrained(probe.folder)
        return fitted.scores(pooled[fitted.description.of])

    return Judge(name=name, inputs=(probe,), describe=partial(PROBED[name][1], tokenizer), scores=scores)


def label_task(session: Session, manifest: Clips, config: ProbeConfig) -> ProbeTask | None:
    """Return the task of recognising labels; None, after a printed reason, if clips have none, or several each."""
    try:
        task = probe_task(manifest, config)
        if not task.multi_label:
            return task
        why = "clips have several labels each"
    except InputError as error:
        why = str(error)
    session.terminal.say(f"judge     no label accuracy: {why}")
    return None


@stage("recognised", version=4, title="labels of sounds, by {judge.title}")
def recognise_labels(run: Run, judge: Judge, decoded: Entry, listening: Entry, classes: Sequence[str]) -> None:
    """Classify each decoded clip, its original, and each sound of the language model."""
    paths = decoded_paths(decoded)
    sounds = [whole(decoded.folder, wav_name(number, kind)) for number in range(len(paths)) for kind in JUDGED_KINDS]
    parts = [(row, new_part(listening.folder, row)) for row in listening.read_rows(LISTENING, "said")]
    parts = [(row, part) for row, part in parts if part.num_samples]
    found = iter(name_labels(run, judge, [*sounds, *(part for _, part in parts)], classes))
    clips = [{"path": path, "heard": {kind: next(found) for kind in JUDGED_KINDS}} for path in paths]
    counts: dict[tuple[str, float], Counter[str]] = {}
    for (row, _), label in zip(parts, found, strict=True):
        counts.setdefault((row["kind"], row["temperature"]), Counter())[label] += 1
    said = [{"of": kind, "temperature": value, "classes": dict(each)} for (kind, value), each in counts.items()]
    write_json(run.folder / RECOGNISED, {"judge": judge.name, "clips": clips, "said": said})


def name_labels(session: Session, judge: Judge, sounds: Sequence[Clip], classes: Sequence[str]) -> list[str]:
    """Return the most probable class of each sound."""
    rows = [*session.each("recognising", judge.describe, [*map(View, sounds)])]
    with threadpool_limits(1):
        scores = judge.scores(stacked_rows(rows))
    return [classes[number] for number in np.argmax(scores, axis=1)]


def whole(root: Path, name: str) -> Clip:
    """Describe a WAV file as a clip, whose absolute path needs no root."""
    path = (root / name).absolute()
    about = soundfile.info(path)
    return Clip(path=str(path), num_samples=about.frames, sample_rate=about.samplerate, size=0, sha256="")


def new_part(root: Path, row: Mapping[str, Any]) -> Clip:
    """Return the new part of a language model's sound: everything after its prompt, if it has one."""
    sound = whole(root, row["file"])
    start = round(row["figures"].get("prompt_seconds", 0.0) * sound.sample_rate)
    return replace(sound, start=start, num_samples=max(sound.num_samples - start, 0))
