"""Stages of fine-tuning: inputs of clips, pooled states of a body, linear probes of them, and one training."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from lm.batches import IndexArray
from lm.bodies.body import Body, BodyNetwork, FrontEnd, Source, freeze, read_states
from lm.bodies.clips import ClipViews, LabelledBatches, StoredClips, validation_batches
from lm.bodies.finetuning import FrozenLayers
from lm.bodies.options import ClipBatchConfig, WaveformBatchConfig
from lm.finetuned import FineTunedModel, TaskLoss, create_network
from lm.heads.head import PooledTask, Task
from lm.options import ONE_HEARING, POOLINGS, ProbeConfig
from lm.probing.logistic import tolerance_options
from lm.probing.ridge import RIDGE_VERSION
from lm.probing.vectors import FloatArray, pool
from pipelines.finetuning.clips import LabelledClips, labels_key, num_inputs
from pipelines.stages.stored_arrays import read_clips, write_clips
from pipelines.store.session import Session
from pipelines.store.store import CURVE, Entry, Recipe, text_hash, write_json
from pipelines.store.stored_features import FEATURES, features_by_method, stacked_rows, write_features
from wordless.audio.reading import read_blocks
from wordless.audio.recordings.manifest import Clip, Manifest, recordings_hash
from wordless.base.arrays import Array, write_array
from wordless.base.errors import InputError
from wordless.base.saved_models import CARD, CONFIG, WEIGHTS
from wordless.training.options import FitConfig

INPUTS, OFFSETS = "inputs.npy", "offsets.npy"
OUTPUTS, STEPS = "outputs.npy", "steps.npy"  # of validation and test clips: (sum of steps, width), steps of each


def body_inputs(session: Session, manifest: Manifest, source: Source) -> Entry:
    """Write the inputs of every clip into one array, in the order of the manifest."""
    body = source.body
    inputs = {"front_end": body.reading.key, "recordings": recordings_hash(manifest)}
    recipe = Recipe("body_inputs", 1, config={"body": body.name}, inputs=inputs)

    def make(folder: Path) -> None:
        lengths = [num_inputs(clip, body) for clip in manifest.clips]
        front_end = body.front_end(source.folder, device=str(session.gang.device))
        write, title = partial(_write_inputs, manifest.root, front_end, body), f"inputs of {body.name}"
        kind, width = body.reading.input_type, body.reading.input_width
        write_clips(session, title, folder / INPUTS, manifest.clips, lengths, write, dtype=kind, width=width)

    return session.obtain(recipe, f"inputs of {len(manifest.clips)} clips", make, files=[INPUTS, OFFSETS])


def _write_inputs(root: Path, front_end: FrontEnd, body: Body, place: Array, clip: Clip) -> None:
    place[:] = front_end(read_blocks(root / clip.path, body.reading.sample_rate, part=clip.part))


def stored_inputs(entry: Entry) -> StoredClips:
    """Return the inputs of the clips, read in place."""
    return StoredClips.of(*read_clips(entry.folder / INPUTS))


@dataclass(frozen=True, kw_only=True)
class StateReader:
    """A body that any process can create, and the inputs that it reads."""

    body: Body
    weights: Path | None
    seed: int
    device: str
    inputs: Path


def body_features(session: Session, source: Source, inputs: Entry, *, seed: int) -> Entry:
    """Pool the states of each layer of the body before its training, for linear probes: ``layer_1:mean`` and so on."""
    weights = source.fingerprint or f"random {seed}"
    options = {"body": asdict(source.body), "name": source.body.name, **ONE_HEARING.key}
    recipe = Recipe("body_features", 2, config=options, inputs={"inputs": inputs.key, "weights": weights})
    device, file = str(session.gang.device), inputs.folder / INPUTS
    reader = StateReader(body=source.body, weights=source.weights, seed=seed, device=device, inputs=file)

    def make(folder: Path) -> None:
        rows = range(len(stored_inputs(inputs)))
        found = stacked_rows(session.each("states", partial(_pooled_layers, reader), rows))
        write_features(folder, found, of=source.body.name)

    return session.obtain(recipe, f"states of {source.body.name}", make, files=[FEATURES])


@lru_cache(maxsize=1)
def _load(reader: StateReader) -> tuple[BodyNetwork, StoredClips]:
    network = reader.body.create(seed=reader.seed, weights=reader.weights)
    return network.eval().to(reader.device), StoredClips.of(*read_clips(reader.inputs))


@torch.no_grad()
def _pooled_layers(reader: StateReader, row: int) -> dict[str, FloatArray]:
    """Pool the states of each layer of a clip over time, and those of all layers side by side."""
    network, clips = _load(reader)

    def layers(inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Lay the states of all layers side by side ``(batch, states, layers * dim)``."""
        return network.layer_states(inputs, lengths).permute(1, 2, 0, 3).flatten(2)

    inputs, lengths = clips.read(np.array([row]), at_most=int(clips.lengths[row]))
    states, _ = read_states(layers, reader.body.reading, inputs.to(reader.device), lengths.to(reader.device))
    frames = states[0].cpu().numpy()  # (states, layers * dim)
    each = np.split(frames, frames.shape[1] // reader.body.dim, axis=1)
    own = {
        f"layer_{number}:{pooling}": pool(layer, pooling)
        for number, layer in enumerate(each, 1)
        for pooling in POOLINGS
    }
    return {**own, **{f"all_layers:{pooling}": pool(frames, pooling) for pooling in POOLINGS}}


@dataclass(frozen=True, kw_only=True)
class Training:
    """What one training is made of, beside the clips."""

    source: Source
    head: str  # its name in the table
    task: Task
    frozen_layers: FrozenLayers
    body_options: Mapping[str, object]
    batches: WaveformBatchConfig
    fit: FitConfig

    @property
    def input_batches(self) -> ClipBatchConfig:
        """The options of batches, counted in inputs."""
        return self.batches.at_rate(self.source.body.reading.inputs_per_second)

    @property
    def recipe(self) -> dict[str, object]:
        """The options that decide the weights."""
        body = self.source.body
        return {
            "body": asdict(body),
            "name": body.name,
            "body_options": dict(self.body_options),
            "frozen_layers": self.frozen_layers,
            "head": self.head,
            "task": asdict(self.task),
            "batches": asdict(self.batches),
            "fit": self.fit,
        }


def finetuned(session: Session, clips: LabelledClips, inputs: Entry, train: IndexArray, training: Training) -> Entry:
    """Train body and head on the clips ``train``; the entry is the model and its outputs for the other splits."""
    source, task, fit = training.source, training.task, training.fit
    held_out, test = clips.rows["validation"], clips.rows["test"]
    recipe = Recipe(
        "finetuned",
        5,
        config=training.recipe,
        inputs={
            "inputs": inputs.key,
            "train": labels_key(clips, train),
            "validation": labels_key(clips, held_out),
            "test": text_hash("\n".join(clips.names_of(test))),
            "weights": source.fingerprint,
        },
    )

    def make(folder: Path) -> None:
        stored = stored_inputs(inputs)
        network = create_network(source.body, source.create(seed=fit.seed), task, seed=fit.seed)
        freeze(network.body, training.frozen_layers)
        views = ClipViews(stored.of_rows(train), training.input_batches, source.change)
        batches = LabelledBatches(views=views, targets=task.targets(clips.labels_of(train)))
        targets, size = task.targets(clips.labels_of(held_out)), training.batches.batch_size
        most = size // fit.accumulation * training.input_batches.max_frames  # no more than a part of a training batch
        validation = validation_batches(stored.of_rows(held_out), targets, batch_size=size, most_inputs=most)
        session.train("finetuned", "body.fit", network, batches, validation, TaskLoss(task=task), fit, folder)
        if session.gang.rank == 0:
            model = FineTunedModel(network, source.body, training.head, task)
            model.write(folder)
            write_outputs(folder, model.outputs(stored.of_rows(np.concatenate([held_out, test]))))

    files = [CONFIG, WEIGHTS, CARD, CURVE, OUTPUTS, STEPS]
    return session.obtain(recipe, f"{training.head}, {fit.summary}", make, files=files, together=True)


def write_outputs(folder: Path, outputs: Sequence[FloatArray]) -> None:
    """Write the outputs of several clips."""
    write_array(folder / STEPS, np.array([len(each) for each in outputs]))
    write_array(folder / OUTPUTS, np.concatenate(outputs))


def read_outputs(folder: Path) -> list[FloatArray]:
    """Read what `write_outputs` wrote."""
    ends = np.cumsum(np.load(folder / STEPS))[:-1]
    return np.split(np.load(folder / OUTPUTS), ends)


def least_loss(entry: Entry) -> float:
    """Return the validation loss of the kept weights."""
    curve = entry.read_rows(CURVE, "curve")
    kept = [point["validation_loss"] for point in curve if point["step"] == entry.read_json(CURVE)["kept_step"]]
    if not kept:
        raise InputError(f"{entry.folder / CURVE} has no point of the kept step; delete {entry.folder}, and run again")
    return float(kept[0])


CHOSEN = "chosen.json"


def chosen_candidate(entry: Entry) -> str:
    """Return the layer and pooling that validation chose."""
    return str(entry.read_json(CHOSEN)["chosen"])


def probed(
    session: Session, clips: LabelledClips, features: Entry, train: IndexArray, task: PooledTask, config: ProbeConfig
) -> Entry:
    """Probe the pooled states of the body; the entry is the outputs of the chosen probe for the test clips."""
    rows: dict[str, IndexArray] = {str(split): own for split, own in clips.rows.items()} | {"train": train}
    inputs = {"features": features.key, **{split: labels_key(clips, own) for split, own in rows.items()}}
    solver = tolerance_options(len(train), logistic=config.classifier == "logistic")
    solver |= {"ridge": RIDGE_VERSION}  # regression heads have ridge regression with either classifier
    recipe = Recipe("body_probed", 3, config={"task": asdict(task), **asdict(config), **solver}, inputs=inputs)

    def make(folder: Path) -> None:
        (candidates,) = features_by_method([features.folder / FEATURES]).values()
        with threadpool_limits(1):
            found = task.probe(candidates, clips.labels, rows, config, threads=torch.get_num_threads())
        write_outputs(folder, found.outputs)
        write_json(folder / CHOSEN, {"chosen": found.chosen})

    return session.obtain(recipe, "linear probe", make, files=[OUTPUTS, STEPS, CHOSEN])
