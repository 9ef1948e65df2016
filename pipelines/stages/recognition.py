"""Labels that a judge, a classifier of recordings, recognises in decoded sound.

The judge was trained on the training clips. Validation clips or cross-validation chose it, and no test clip did. It
classifies decoded test clips and their originals. Of a continuation it gets only the new part, because the prompt is a
recording.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile
from threadpoolctl import threadpool_limits

from lm.layers import ConvReader, head_scores
from lm.options import ONE_HEARING, ProbeConfig
from lm.probing.probe import fitted_penalties, scores_of_others
from lm.probing.task import ProbeTask
from lm.probing.vectors import FloatArray
from pipelines.stages.features import BAG_OF_CODES, audio_features, bag_features
from pipelines.stages.listening import LISTENING
from pipelines.stages.networks import Network
from pipelines.stages.options import JudgeName
from pipelines.stages.playback import JUDGES, decoded_paths, wav_name
from pipelines.stages.probe import probe_task
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from pipelines.store.stored_features import FEATURES, PROBE, features_by_method, stacked_rows
from tokenizer.encoder import Encoder
from vocoder.kinds import JUDGED_KINDS
from wordless.audio.recordings.manifest import Clip, Manifest
from wordless.base.errors import InputError

RECOGNISED = "recognised.json"
LOG_MEL = "log_mel"
Describe = Callable[[Clip], dict[str, FloatArray]]
# judges that are linear probes -> the method whose features they read, and the function that computes them
PROBED: dict[JudgeName, tuple[str, Callable[[Encoder, Clip], dict[str, FloatArray]]]] = {
    "probe": (LOG_MEL, audio_features),
    "codes": (BAG_OF_CODES, bag_features),
}


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A classifier of sounds."""

    name: JudgeName
    inputs: Mapping[str, Entry]  # that decide its answers
    # folder of sounds, device -> function that pools the features (dim,) of a sound, in any process
    describe: Callable[[Path, str], Describe]
    scores: Callable[[Mapping[str, FloatArray]], FloatArray]  # pooled features (sounds, dim) -> (sounds, classes)


def create_probe_judge(
    name: JudgeName, tokenizer: Entry, features: Entry, probe: Entry, task: ProbeTask, config: ProbeConfig
) -> Judge:
    """Return the linear probe that is best on validation, with mean and thirds of one hearing as candidates.

    It reads log-mel, or codes of the sound. The probe's key also depends on the features and the labels. It is fitted
    again, since the store keeps its figures and not its weights.
    """
    of, read = PROBED[name]

    def describe(root: Path, device: str) -> Describe:
        return partial(read, Encoder(folder=tokenizer.folder, root=root, device=device))

    def scores(pooled: Mapping[str, FloatArray]) -> FloatArray:
        found = probe.read_json(PROBE)
        chosen, penalty = str(found["chosen"]), float(str(found["penalty"]))
        candidates = features_by_method([features.folder / FEATURES])[of]
        penalties = fitted_penalties(penalty, task, config)
        return scores_of_others(candidates[chosen], pooled[chosen], task, config, penalties=penalties)

    return Judge(name=name, inputs={"probe": probe}, describe=describe, scores=scores)


def create_network_judge(network: Network, classifier: Entry, sample: Entry) -> Judge:
    """Return the supervised encoder with its own head; the sample's statistics normalise its inputs."""
    reader = cast(ConvReader, network.reader_of(classifier, ONE_HEARING))

    def describe(root: Path, device: str) -> Describe:
        return partial(_features_of_clip, replace(reader, frames=replace(reader.frames, root=root), device=device))

    return Judge(
        name="supervised",
        inputs={"classifier": classifier, "sample": sample},
        describe=describe,
        scores=partial(head_scores, classifier.folder, last=reader.names(network.layers)[-1]),
    )


def _features_of_clip(reader: ConvReader, clip: Clip) -> dict[str, FloatArray]:
    [features] = reader([clip])
    return features


def label_task(session: Session, manifest: Manifest, config: ProbeConfig) -> ProbeTask | None:
    """Return the task of recognising labels; None, after a printed reason, if there are no labels."""
    try:
        task = probe_task(manifest, config)
    except InputError as error:
        session.terminal.say(f"judge     no label accuracy: {error}")
        return None
    if task.multi_label:
        session.terminal.say("judge     no label accuracy: clips have several labels each")
        return None
    return task


def recognise_labels(session: Session, judge: Judge, decoded: Entry, listening: Entry, classes: Sequence[str]) -> Entry:
    """Classify each decoded clip, its original, and each sound of the language model."""
    inputs = {**judge.inputs, "decoded": decoded, "listening": listening}
    recipe = Recipe("recognised", 3, config={"listening": {"judge": judge.name}}, inputs=inputs)

    def make(folder: Path) -> None:
        paths = decoded_paths(decoded)
        sounds = [
            whole(decoded.folder, wav_name(number, kind)) for number in range(len(paths)) for kind in JUDGED_KINDS
        ]
        parts = [(row, new_part(listening.folder, row)) for row in listening.read_rows(LISTENING, "said")]
        parts = [(row, part) for row, part in parts if part.num_samples]
        places = {decoded.folder: sounds, listening.folder: [part for _, part in parts]}
        found = iter(name_labels(session, judge, places, classes))
        clips = [{"path": path, "heard": {kind: next(found) for kind in JUDGED_KINDS}} for path in paths]
        counts = _histograms([row for row, _ in parts], list(found))
        write_json(folder / RECOGNISED, {"judge": judge.name, "clips": clips, "said": counts})

    return session.obtain(recipe, f"labels of sounds, by {JUDGES[judge.name]}", make, files=[RECOGNISED])


def name_labels(
    session: Session, judge: Judge, sounds: Mapping[Path, Sequence[Clip]], classes: Sequence[str]
) -> list[str]:
    """Return the most probable class of each sound below each folder."""
    rows: list[dict[str, FloatArray]] = []
    for root, clips in sounds.items():
        rows += session.each("recognising", judge.describe(root, str(session.gang.device)), clips)
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


def _histograms(sounds: Iterable[Mapping[str, object]], labels: Sequence[str]) -> list[dict[str, object]]:
    """Count the recognised labels for each kind and temperature of generated sounds."""
    counts: dict[tuple[object, object], Counter[str]] = {}
    for row, label in zip(sounds, labels, strict=True):
        counts.setdefault((row["kind"], row["temperature"]), Counter())[label] += 1
    return [{"of": kind, "temperature": value, "classes": dict(each)} for (kind, value), each in counts.items()]
