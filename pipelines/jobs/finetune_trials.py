"""The clips of a fine-tuning, and its trials, one for each opponent.

Clips are those that body and head can read. Weights know the training clips of the run that made them, which its
``manifest.tsv`` lists. Some bodies have learned the labels of these clips, too; the others also know the clips of the
run's ``unlabelled.tsv``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from lm.batches import IndexArray
from lm.bodies.body import Body, BodyNetwork, Frames, FrontEnd, Source, read_states
from lm.bodies.clips import StoredClips
from lm.finetuned import FineTunedModel
from lm.finetuning import FrozenLayers, HeadOptions
from lm.heads import Figure, Groups, PooledTask, Task
from lm.options import POOLINGS, VECTORS
from lm.probing.linear import VERSION, tolerance_options
from lm.probing.vectors import FloatArray, pool
from pipelines.chain.corpus import MANIFEST
from pipelines.chain.unlabelled import unlabelled_of_run
from pipelines.finetune import FinetuneConfig
from pipelines.stages.networks import LabelledInputs, LabelTraining, train_on_labels
from pipelines.stages.stored_arrays import read_clips, write_clips
from pipelines.store.session import Session
from pipelines.store.store import CURVE, Entry, Recipe, text_hash, write_json
from pipelines.store.stored_features import FEATURES, features_by_method, stacked_rows, write_features
from tokenizer.tokenizer import Tokenizer
from wordless.audio.decoding import Channel
from wordless.audio.reading import read_blocks, resampled_length
from wordless.audio.recordings.manifest import (
    SPLITS,
    Clip,
    Clips,
    Rejected,
    Split,
    overlap_notices,
    read_manifest,
    recordings_hash,
    trained_on,
)
from wordless.base.arrays import Array, write_array
from wordless.base.errors import InputError, named
from wordless.base.saved_models import CONFIG
from wordless.base.text import counted


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledClips:
    """Clips with labels; a row is the number of a clip."""

    manifest: Clips  # of these clips alone
    set_aside: tuple[Rejected, ...]

    @cached_property
    def labels(self) -> list[str]:
        return [clip.label or "" for clip in self.manifest.clips]

    @cached_property
    def rows(self) -> Mapping[Split, IndexArray]:
        splits = np.array([clip.split for clip in self.manifest.clips])
        return {split: np.flatnonzero(splits == split) for split in SPLITS}

    @cached_property
    def test_groups(self) -> Groups:
        return [self.manifest.clips[row].group for row in self.rows["test"]]

    def labels_of(self, rows: IndexArray) -> list[str]:
        return [self.labels[row] for row in rows]

    def task(self, head: HeadOptions) -> Task:
        """Return what the labels of the training clips ask a head to predict."""
        train, validation, test = (self.labels_of(rows) for rows in self.rows.values())
        return head.task(train, [*validation, *test])

    def inputs_of(self, rows: IndexArray, stored: StoredClips) -> LabelledInputs:
        """Return the inputs of some clips with their labels."""
        return LabelledInputs(clips=stored.of_rows(rows), names=self.names_of(rows), labels=self.labels_of(rows))

    def names_of(self, rows: IndexArray) -> list[str]:
        return [self.manifest.clips[row].name for row in rows]

    @property
    def notices(self) -> list[str]:
        """How many clips were set aside, and why."""
        reasons = Counter(each.reason for each in self.set_aside)
        return [f"{counted(count, 'clip')} set aside: {reason}" for reason, count in reasons.items()]

    def without(self, reasons: Mapping[str, str]) -> "LabelledClips":
        """Set aside the clips that ``reasons`` names."""
        kept = self.manifest.where(clip.name not in reasons for clip in self.manifest.clips)
        more = tuple(Rejected(path=name, reason=reason) for name, reason in reasons.items())
        return LabelledClips(manifest=kept, set_aside=(*self.set_aside, *more))


def labelled_clips(
    manifest: Clips, body: Body, options: HeadOptions, *, max_seconds: float, upsample: bool
) -> LabelledClips:
    """Return the clips that have a label and that the body can read; of the others, return the reasons.

    Raises:
        InputError: recordings have a lower rate than the body, or a split has no clip.
    """
    if not upsample:
        _require_rate(manifest, body.reading.sample_rate)
    clips = LabelledClips(manifest=manifest, set_aside=())
    checked = {clip.name: _fault(clip, body, options, max_seconds) for clip in manifest.clips}
    fit = clips.without({name: reason for name, reason in checked.items() if reason})
    _require_filled(fit)
    return fit


def with_room(clips: LabelledClips, body: Body, task: Task) -> tuple[LabelledClips, list[str]]:
    """Set aside training and validation clips that are too short for their label; say how many test clips are."""
    reading = body.reading
    rate = reading.states_per_second
    short = [
        clip
        for clip in clips.manifest.clips
        if not task.fits(clip.label or "", reading.num_states(num_inputs(clip, body)), states_per_second=rate)
    ]
    reason = f"too short for its label at {rate:g} states per second"
    fit = clips.without({clip.name: reason for clip in short if clip.split != "test"})
    _require_filled(fit)
    tested = sum(clip.split == "test" for clip in short)
    return fit, [f"{counted(tested, 'test clip')} too short for the label, which counts as errors"] if tested else []


def num_inputs(clip: Clip, body: Body) -> int:
    """Count the inputs that the body makes of a clip."""
    return body.num_inputs(resampled_length(clip.num_samples, clip.sample_rate, body.reading.sample_rate))


def _fault(clip: Clip, body: Body, options: HeadOptions, max_seconds: float) -> str:
    """Return why a clip cannot be used; empty if it can."""
    if clip.label is None:
        return "it has no label"
    samples = resampled_length(clip.num_samples, clip.sample_rate, body.reading.sample_rate)
    if samples < body.reading.least_samples:
        milliseconds = 1000 * body.reading.least_samples / body.reading.sample_rate
        return f"shorter than the {milliseconds:g} ms of a state"
    if options.reads_whole_clips and clip.split == "train" and clip.seconds > max_seconds:
        return f"longer than body.batches.max_seconds={max_seconds:g}, and a part of it would not fit its label"
    return ""


def _require_rate(manifest: Clips, rate: int) -> None:
    low = [clip for clip in manifest.clips if clip.sample_rate < rate]
    if low:
        raise InputError(
            f"{counted(len(low), 'clip')} of {len(manifest.clips)} have a lower sample rate than the body's {rate} Hz "
            f"({low[0].path}: {low[0].sample_rate} Hz); choose a body of that rate (a run with audio.sample_rate="
            f"{low[0].sample_rate}), or allow it with upsample=true"
        )


def _require_filled(clips: LabelledClips) -> None:
    empty = [split for split in SPLITS if not len(clips.rows[split])]
    if empty:
        why = f" ({'; '.join(clips.notices)})" if clips.set_aside else ""
        raise InputError(
            f"no {' and no '.join(empty)} clip can be used{why}; fine-tuning needs some of each split: label more "
            "recordings, or change corpus.split"
        )


def require_unseen_labels(settings: FinetuneConfig, source: Source, manifest: Clips) -> tuple[str, ...]:
    """Refuse what labels that the weights have learned would make untrue; return notices, a sentence each.

    Raises:
        InputError: weights that learned labels have learned those of test clips.
    """
    # The folder of the run that made what the body uses, if it lists its recordings.
    owner = settings.model if settings.body.needs else source.weights and source.weights.parent
    if owner is None or not (owner / MANIFEST).is_file():
        unknown = (
            f"the weights of body={settings.body.name} learned labels, and no {MANIFEST} beside them lists the "
            "recordings: test clips mean nothing if these recordings are among them"
        )
        return (unknown,) if source.learned_labels else ()
    trained = read_manifest(owner / MANIFEST, manifest.root)
    if source.learned_labels:
        _require_unseen(settings, manifest, trained, owner)
    readers = f"the pre-trained weights of body={settings.body.name}"
    unlabelled = () if source.learned_labels else unlabelled_of_run(owner, manifest.root)
    found = overlap_notices(manifest, trained, owner=owner, readers=readers, unlabelled=unlabelled)
    return tuple(named(each, "corpus") for each in found)


def _require_unseen(settings: FinetuneConfig, manifest: Clips, trained: Clips, owner: Path) -> None:
    """Refuse test clips whose labels the weights have learned."""
    test = manifest.of("test")
    if known := trained_on(test, trained.of("train")):
        raise InputError(
            f"the weights of body={settings.body.name}, which {owner} trained, learned the labels of {known} of "
            f"{len(test)} test clips: divide the recordings as that run did (corpus.split), name other recordings, or "
            "choose body.weights=none"
        )


def channel_of(settings: FinetuneConfig, source: Source) -> Channel:
    """Return the channel of recordings that is read: the chosen one, or that of the run's tokenizer."""
    if settings.audio.channel is not None:
        return settings.audio.channel
    run = settings.model
    folders = [source.folder / "tokenizer", *([run / "tokenizer"] if run is not None else [])]
    tokenizer = next((folder for folder in folders if (folder / CONFIG).is_file()), None)
    return "mean" if tokenizer is None else Tokenizer.from_pretrained(tokenizer).front_end.channel


INPUTS, OFFSETS = "inputs.npy", "offsets.npy"
OUTPUTS, STEPS = "outputs.npy", "steps.npy"  # of validation and test clips: (sum of steps, width), steps of each
CHOSEN = "chosen.json"  # the layer and pooling that validation chose
Arm = Literal["finetuned", "scratch", "probe"]
TITLES: dict[Arm, str] = {"finetuned": "fine-tuned", "scratch": "from scratch", "probe": "linear probe"}


def title_of(arm: Arm, task: Task) -> str:
    """Return the name of an opponent. For texts, the probe is trained by CTC on the last layer alone."""
    if arm == "probe" and not isinstance(task, PooledTask):
        return "CTC on the frozen last layer"
    return TITLES[arm]


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """What all trials share."""

    settings: FinetuneConfig
    source: Source
    task: Task
    clips: LabelledClips
    inputs: Entry

    @property
    def stored(self) -> StoredClips:
        """The inputs of the clips, read in place."""
        return StoredClips.of(*read_clips(self.inputs.folder / INPUTS))


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """The result of one trial."""

    entry: Entry
    outputs: Sequence[FloatArray]  # of the test clips
    figures: tuple[Figure, ...]
    chosen: str  # on validation: a learning rate, or a layer and pooling

    @property
    def record(self) -> dict[str, object]:
        return {"chosen": self.chosen, "key": self.entry.key, "figures": [each.plain for each in self.figures]}


def body_inputs(session: Session, manifest: Clips, source: Source) -> Entry:
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


def trials(session: Session, study: Study) -> dict[Arm, Trial]:
    """Make the trial of each opponent, the fine-tuned body first."""
    return {
        arm: _trial(session, study, arm) for arm in get_args(Arm) if arm == "finetuned" or arm in study.settings.beside
    }


def _trial(session: Session, study: Study, arm: Arm) -> Trial:
    settings, test = study.settings, study.clips.rows["test"]
    own = replace(session, place=title_of(arm, study.task))
    if arm == "probe" and isinstance(study.task, PooledTask):
        entry = _probed(own, study, study.task)
        chosen = str(entry.read_json(CHOSEN)["chosen"])
    else:
        entry, rate = _best_training(own, study, arm)
        chosen = f"learning rate {rate:g}"
    ends = np.cumsum(np.load(entry.folder / STEPS))[:-1]
    outputs = np.split(np.load(entry.folder / OUTPUTS), ends)[-len(test) :]
    figures = study.task.figures(outputs, study.clips.labels_of(test), settings.figures, study.clips.test_groups)
    return Trial(entry=entry, outputs=outputs, figures=figures, chosen=chosen)


def _best_training(session: Session, study: Study, arm: Arm) -> tuple[Entry, float]:
    """Train with each learning rate; return what is best on validation, with its rate."""
    rates = study.settings.body.rates
    made = []
    for rate in rates:
        own = replace(session, place=f"{session.place}, lr {rate:g}") if len(rates) > 1 else session
        made.append(_finetuned(own, study, arm, rate))
    best = int(np.argmin([_least_loss(entry) for entry in made]))
    return made[best], rates[best]


def _least_loss(entry: Entry) -> float:
    """Return the validation loss of the kept weights."""
    curve = entry.read_rows(CURVE, "curve")
    kept = [point["validation_loss"] for point in curve if point["step"] == entry.read_json(CURVE)["kept_step"]]
    if not kept:
        raise InputError(f"{entry.folder / CURVE} has no point of the kept step; delete {entry.folder}, and run again")
    return float(kept[0])


def _finetuned(session: Session, study: Study, arm: Arm, rate: float) -> Entry:
    """Train body and head; the entry is the model and its outputs for the other splits."""
    clips, stored = study.clips, study.stored
    options = study.settings.body
    fit = replace(options.fit, lr=rate)
    frozen: dict[Arm, FrozenLayers] = {"finetuned": options.frozen_layers, "scratch": 0, "probe": "all"}
    source = study.source.untrained if arm == "scratch" else study.source
    held_out, test = clips.rows["validation"], clips.rows["test"]
    config = {
        "body": asdict(source.body),
        "name": source.body.name,
        "body_options": options.own,
        "frozen_layers": frozen[arm],
        "batches": asdict(options.batches),
        "fit": fit,
    }
    inputs = {"inputs": study.inputs.key, "test": text_hash("\n".join(clips.names_of(test)))}

    def write(model: FineTunedModel, folder: Path) -> None:
        _write_outputs(folder, model.outputs(stored.of_rows(np.concatenate([held_out, test]))))

    return train_on_labels(
        session,
        Recipe("finetuned", 6, config=config, inputs=inputs),
        source,
        study.task,
        clips.inputs_of(clips.rows["train"], stored),
        clips.inputs_of(held_out, stored),
        LabelTraining(
            option="body.fit",
            batches=options.batches.at_rate(source.body.reading.inputs_per_second),
            fit=fit,
            frozen=frozen[arm],
        ),
        title=study.settings.head.name,
        head=study.settings.head.name,
        write=write,
        files=[OUTPUTS, STEPS],
    )


def _probed(session: Session, study: Study, task: PooledTask) -> Entry:
    """Probe the pooled states of the body; the entry is the outputs of the chosen probe for the test clips."""
    clips, config, features = study.clips, study.settings.probe, _body_features(session, study)
    rows: dict[str, IndexArray] = {str(split): own for split, own in clips.rows.items()}
    labels = {split: clips.inputs_of(own, study.stored).key for split, own in rows.items()}
    inputs = {"features": features.key, **labels}
    solver = tolerance_options(len(rows["train"]), logistic=config.classifier == "logistic")
    solver |= {"version": VERSION}
    recipe = Recipe("body_probed", 4, config={"task": asdict(task), **asdict(config), **solver}, inputs=inputs)

    def make(folder: Path) -> None:
        (candidates,) = features_by_method([features.folder / FEATURES]).values()
        with threadpool_limits(1):
            found = task.probe(candidates, clips.labels, rows, config, threads=torch.get_num_threads())
        _write_outputs(folder, found.outputs)
        write_json(folder / CHOSEN, {"chosen": found.chosen})

    return session.obtain(recipe, "linear probe", make, files=[OUTPUTS, STEPS, CHOSEN])


def _write_outputs(folder: Path, outputs: Sequence[FloatArray]) -> None:
    write_array(folder / STEPS, np.array([len(each) for each in outputs]))
    write_array(folder / OUTPUTS, np.concatenate(outputs))


def _body_features(session: Session, study: Study) -> Entry:
    """Pool the states of each layer of the body before its training, for linear probes: ``layer_1:mean`` and so on."""
    source, inputs, seed = study.source, study.inputs, study.settings.seed
    weights = source.fingerprint or f"random {seed}"
    options = {"body": asdict(source.body), "name": source.body.name, **VECTORS.key}
    recipe = Recipe("body_features", 2, config=options, inputs={"inputs": inputs.key, "weights": weights})
    device, file = str(session.gang.device), inputs.folder / INPUTS
    pool_clip = partial(_pooled_layers, source.body, source.weights, seed, device, file)

    def make(folder: Path) -> None:
        found = stacked_rows(session.each("states", pool_clip, range(len(study.stored))))
        write_features(folder, found, of=source.body.name)

    return session.obtain(recipe, f"states of {source.body.name}", make, files=[FEATURES])


@lru_cache(maxsize=1)
def _load(body: Body, weights: Path | None, seed: int, device: str, inputs: Path) -> tuple[BodyNetwork, StoredClips]:
    """Create the body, and open the inputs that it reads; once in each process."""
    return body.create(seed=seed, weights=weights).eval().to(device), StoredClips.of(*read_clips(inputs))


@torch.no_grad()
def _pooled_layers(
    body: Body, weights: Path | None, seed: int, device: str, inputs: Path, row: int
) -> dict[str, FloatArray]:
    """Pool the states of each layer of a clip over time, and those of all layers side by side."""
    network, clips = _load(body, weights, seed, device, inputs)

    def layers(values: torch.Tensor, lengths: torch.Tensor) -> Frames:
        """Lay the states of all layers side by side ``(batch, states, layers * dim)``."""
        return network.layer_states(values, lengths).permute(1, 2, 0, 3).flatten(2), body.reading.states_of(lengths)

    values, lengths = clips.read(np.array([row]), at_most=int(clips.lengths[row]))
    states, _ = read_states(layers, body.reading, values.to(device), lengths)
    frames = states[0].cpu().numpy()  # (states, layers * dim)
    each = dict(enumerate(np.split(frames, frames.shape[1] // body.reading.dim, axis=1), 1))
    named = {**{f"layer_{number}": layer for number, layer in each.items()}, "all_layers": frames}
    return {f"{name}:{pooling}": pool(own, pooling) for name, own in named.items() for pooling in POOLINGS}
