"""The work of ``wordless finetune``: from recordings and labels to a fine-tuned model and its figures.

Weights know the training clips of the run that made them, which its ``manifest.tsv`` lists. Some backbones have learned
the labels of these clips, too; the others also know the clips of the run's ``unlabelled.tsv``.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from lm.backbones.backbone import Backbone, BackboneNetwork, BackboneSource, FrontEnd
from lm.backbones.clips import StoredClips
from lm.finetuned import FineTunedModel, create_task, freeze, read_states
from lm.finetuning import FrozenLayers
from lm.heads import NamedEstimate, PooledTask, Task
from lm.probing.probe_options import ProbeConfig
from lm.probing.vectors import POOLINGS, VECTORS, Frames, VectorConfig, pool
from pipelines.backbones.network_options import RANDOM
from pipelines.backbones.networks import LabelledInputs, LabelTraining, learn_labels, stored_clips
from pipelines.commandline.command_words import command_line
from pipelines.jobs.clips_of_run import (
    MANIFEST,
    REJECTED,
    find_corpus,
    overlap_notices,
    read_corpus,
    seen_of,
    trained_on,
    unlabelled_of_run,
)
from pipelines.jobs.run_chain import provenance
from pipelines.plugins.finetune import FinetuneConfig, finetune_settings
from pipelines.settings.run_settings import choose_workers
from pipelines.stages.stored_arrays import VALUES, read_clips, write_clips
from pipelines.store.claims import hold
from pipelines.store.outputs import REMEDY
from pipelines.store.run_parts import FINETUNED, JOB, TABLE, part_of
from pipelines.store.stage import Session, StageRun, labels_of, stage
from pipelines.store.store import CURVE, CachedArtifact, Store, write_json
from pipelines.store.stored_features import FEATURES, StoredFeatures, stacked_rows, write_features
from pipelines.store.tensorboard import TensorBoard
from tokenizer.tokenizer import Tokenizer
from wordless.audio.audio_options import Channel
from wordless.audio.reading import read_blocks, resampled_length
from wordless.audio.recordings.manifest import (
    SPLITS,
    Clip,
    Clips,
    Rejected,
    Split,
    read_manifest,
    write_manifest,
    write_rejected,
)
from wordless.base.arrays import Array, FloatArray, write_array, write_table
from wordless.base.devices import choose_device
from wordless.base.files import find_object, list_hash, write_aside
from wordless.base.messages import InputError, counted, named
from wordless.base.progress import Terminal, print_table
from wordless.base.saved_models import CONFIG, local_weights
from wordless.base.threads import limit_pools, use_threads
from wordless.training.fit import open_gang, with_precision

Arm = Literal["finetuned", "scratch", "probe"]
_TITLES: dict[Arm, str] = {"finetuned": "fine-tuned", "scratch": "from scratch", "probe": "linear probe"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Finetuning:
    """What all arms share."""

    settings: FinetuneConfig
    source: BackboneSource
    channel: Channel  # of the recordings
    task: Task
    manifest: Clips  # clips with a label that backbone and head can read
    inputs: CachedArtifact  # of the backbone, for each clip

    @cached_property
    def labelled(self) -> Mapping[Split, LabelledInputs]:
        """The inputs of the clips of each split with their labels."""
        found = dict[Split, LabelledInputs]()
        for split in SPLITS:
            clips = self.manifest.of(split)
            names, known = [clip.name for clip in clips], [clip.label or "" for clip in clips]
            found[split] = LabelledInputs(clips=stored_clips(self.inputs, split), names=names, labels=known)
        return found

    def figures(self, outputs: Sequence[FloatArray]) -> tuple[NamedEstimate, ...]:
        """Measure outputs for the test clips."""
        groups = [clip.group for clip in self.manifest.of("test")]
        return self.task.figures(outputs, self.labelled["test"].labels, self.settings.figures, groups)

    def title(self, arm: Arm) -> str:
        """Name an opponent. For texts, the probe is trained by CTC on the last layer alone."""
        of_texts = arm == "probe" and not isinstance(self.task, PooledTask)
        return "CTC on the frozen last layer" if of_texts else _TITLES[arm]


@dataclass(frozen=True, kw_only=True, eq=False)
class ArmResult:
    """The result of one arm."""

    artifact: CachedArtifact
    outputs: Sequence[FloatArray]  # of the test clips
    figures: tuple[NamedEstimate, ...]
    chosen: str  # on validation: a learning rate, or a layer and pooling


def finetune_backbone(config: Mapping[str, object]) -> None:
    """Train every arm, save the fine-tuned model with its figures and this config, and print a table."""
    settings = finetune_settings(config)
    terminal = Terminal()
    source = _open(settings)
    freeze(source.create(seed=0), settings.backbone.frozen_layers)  # refuses damaged weights, and too many layers
    use_threads(settings.threads)
    with open_gang(choose_device(settings.device)) as gang:
        settings = with_precision(settings, gang)
        channel = channel_of(settings, source)
        # labels that the head cannot learn are refused before any recording is decoded
        require = lambda labels: settings.head.require([label for label in labels if label is not None])  # noqa: E731
        of_head = replace(settings.corpus, label_type=settings.head.label_type)
        found = find_corpus(of_head, settings, require=require, terminal=terminal)
        corpus = read_corpus(found, settings, gang=gang, terminal=terminal, audio=channel)
        clips, set_aside = usable_clips(settings, source.backbone, corpus)
        reasons = Counter(each.reason for each in set_aside)
        notices = [f"{counted(count, 'clip')} set aside: {reason}" for reason, count in reasons.items()]
        train, *others = ([clip.label or "" for clip in clips.of(split)] for split in SPLITS)
        if not train or not all(others):
            why = f" ({'; '.join(notices)})" if notices else ""
            empty = " and no ".join(split for split in SPLITS if not clips.of(split))
            raise InputError(
                f"no {empty} clip can be used{why}; fine-tuning needs some of each split: label more recordings, or "
                "change corpus.split"
            )
        task = create_task(settings.head, train, [label for labels in others for label in labels])
        notices += require_unseen_labels(settings, source, clips)
        for notice in notices:
            terminal.say(f"finetune  {notice}")
        made_of = hash_of_job(settings, source, task, clips)
        name = re.sub(r"[^\w.-]+", "_", corpus.name).strip("_.") or "corpus"
        # by default a folder in that of the run for each corpus, head and set of options; `_open` demands one of both
        own = f"{FINETUNED}/{name}_{settings.head.name}_{made_of[:8]}"
        folder = settings.output or (settings.model or Path()) / own
        models = [source.folder / part for part in source.backbone.parts]
        session = Session(
            store=Store(settings.store.root),
            gang=gang,
            terminal=terminal,
            folder=folder,
            workers=choose_workers(settings.workers, settings.engine, seconds=corpus.seconds),
            engine=settings.engine,
            shared=(*seen_of(corpus), *models, *([source.weights] if source.weights else [])),
            tensorboard=TensorBoard(folder, terminal.say) if settings.tensorboard and gang.rank == 0 else None,
            training="fine-tuning",
        )
        with nullcontext() if gang.rank else _claimed(folder, made_of):
            inputs = backbone_inputs(session, clips, source)
            tuning = Finetuning(
                settings=settings, source=source, channel=channel, task=task, manifest=clips, inputs=inputs
            )
            arms = [arm for arm in _TITLES if arm == "finetuned" or arm in settings.beside]
            results = {arm: _arm_result(session, tuning, arm) for arm in arms}
            if not gang.rank:
                write_rejected([*corpus.rejected, *set_aside], folder / REJECTED)
                write_manifest(clips, folder / MANIFEST)
                _write_results(session, tuning, results, corpus=corpus, notices=notices, config=config)


def hash_of_job(settings: FinetuneConfig, source: BackboneSource, task: Task, clips: Clips) -> str:
    """Hash all that decides the results, so that a repeated command finds its folder and a changed one does not."""
    parts = [settings.head.name, settings.backbone, settings.probe, settings.figures, source.backbone, task]
    options = [*map(str, parts), settings.seed, settings.beside, source.fingerprint, clips.key, labels_of(clips)]
    return list_hash(options)


def _open(settings: FinetuneConfig) -> BackboneSource:
    """Describe the backbone with its weights."""
    backbone, model = settings.backbone, settings.model
    otherwise = (
        "" if replace(backbone, weights=RANDOM).needs else ", or choose backbone.weights=none or a folder of weights"
    )
    rule = (
        f"backbone={backbone.name} takes {' and '.join(backbone.needs)} of a run: name its folder, model=RUN{otherwise}"
    )
    settings.refuse_if(backbone.needs and model is None, "model", rule)
    rule = "no model=RUN has a folder that could hold the results: add output=FOLDER"
    settings.refuse_if(model is None and settings.output is None, "output", rule)
    parts = {str(part): part_of(model, part) for part in backbone.needs} if model is not None else {}
    return replace(backbone, weights=local_weights(backbone.weights)).open(parts)


def channel_of(settings: FinetuneConfig, source: BackboneSource) -> Channel:
    """Return the channel of recordings that is read: the chosen one, or that of the run's tokenizer."""
    if settings.audio.channel is not None:
        return settings.audio.channel
    runs = (source.folder, settings.model)
    folders = [run / "tokenizer" for run in runs if run is not None and (run / "tokenizer" / CONFIG).is_file()]
    return Tokenizer.from_pretrained(folders[0]).front_end.channel if folders else "mean"


def usable_clips(settings: FinetuneConfig, backbone: Backbone, corpus: Clips) -> tuple[Clips, tuple[Rejected, ...]]:
    """Select the clips that have a label and that the backbone can read; say why the others are set aside."""
    rate, longest = backbone.reading.sample_rate, settings.backbone.batches.max_seconds
    low = [clip for clip in corpus.clips if clip.sample_rate < rate]
    if low and not settings.upsample:
        raise InputError(
            f"{counted(len(low), 'clip')} of {len(corpus.clips)} have a lower sample rate than the backbone's {rate} "
            f"Hz ({low[0].path}: {low[0].sample_rate} Hz); choose a backbone of that rate (a run with "
            f"audio.sample_rate={low[0].sample_rate}), or allow it with upsample=true"
        )
    reasons: dict[str, str] = {}
    for clip in corpus.clips:
        samples = resampled_length(clip.num_samples, clip.sample_rate, rate)
        if clip.label is None:
            reasons[clip.name] = "it has no label"
        elif samples < backbone.reading.least_samples:
            reasons[clip.name] = f"shorter than the {1000 * backbone.reading.least_samples / rate:g} ms of a state"
        elif settings.head.reads_whole_clips and clip.split == "train" and clip.seconds > longest:
            limit = f"longer than backbone.batches.max_seconds={longest:g}"
            reasons[clip.name] = f"{limit}, and a part of it would not fit its label"
        elif clip.split != "test":  # of a test clip, every character that is not found is an error
            least = settings.head.least_states(clip.label, backbone.reading.states_per_second)
            if backbone.reading.num_states(backbone.num_inputs(samples)) < least:
                reasons[clip.name] = "too short for its text: its characters need more steps than the sound has"
    kept = corpus.where(clip.name not in reasons for clip in corpus.clips)
    return kept, tuple(Rejected(path=name, reason=reason) for name, reason in reasons.items())


def require_unseen_labels(settings: FinetuneConfig, source: BackboneSource, clips: Clips) -> tuple[str, ...]:
    """Say what the weights know of the clips; refuse weights that have learned the labels of test clips."""
    # The folder of the run that made what the backbone uses, if it lists its recordings.
    owner = settings.model if settings.backbone.needs else source.weights and source.weights.parent
    if owner is None or not (owner / MANIFEST).is_file():
        unknown = (
            f"the weights of backbone={settings.backbone.name} learned labels, and no {MANIFEST} beside them lists the "
            "recordings: test clips mean nothing if these recordings are among them"
        )
        return (unknown,) if source.learned_labels else ()
    trained, test = read_manifest(owner / MANIFEST, clips.root), clips.of("test")
    if source.learned_labels and (known := trained_on(test, trained.of("train"))):
        raise InputError(
            f"the weights of backbone={settings.backbone.name}, which {owner} trained, learned labels of {known} of "
            f"{len(test)} test clips: divide the recordings as that run did (corpus.split), name other recordings, or "
            "choose backbone.weights=none"
        )
    readers = f"the pre-trained weights of backbone={settings.backbone.name}"
    unlabelled = () if source.learned_labels else unlabelled_of_run(owner, clips.root)
    found = overlap_notices(clips, trained, owner=owner, readers=readers, unlabelled=unlabelled)
    return tuple(named(each, "corpus") for each in found)


@contextmanager
def _claimed(folder: Path, made_of: str) -> Iterator[None]:
    """Lock the folder of the results, which must be new, empty, or of the same command."""
    job = {"made of": made_of}
    left = {f"{JOB}.aside"}  # by a command that was killed at its first file
    others = not folder.is_dir() or {each.name for each in folder.iterdir()} - left
    refused = InputError(f"output={folder} was begun with other values, or holds other things; {REMEDY}")
    if folder.exists() and others and find_object(folder / JOB) != job:
        raise refused
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / JOB).exists():  # another file in its place would have no lock
        write_json(folder / JOB, job)
    with hold(folder, option="output", lock=JOB):
        if find_object(folder / JOB) != job:  # another command began at the same moment
            raise refused
        yield


OUTPUTS, _STEPS = "outputs.npy", "steps.npy"  # of validation and test clips: (sum of steps, width), steps of each
CHOSEN = "chosen.json"  # the layer and pooling that validation chose


@stage(
    "backbone_inputs",
    title="inputs of {clips} clips",
    keys={"source": lambda source: [source.backbone.name, source.backbone.reading.key]},
)
def backbone_inputs(run: StageRun, clips: Clips, source: BackboneSource) -> None:
    """Write the inputs of every clip into one array, in the order of the clips."""
    backbone, rate = source.backbone, source.backbone.reading.sample_rate
    samples = (resampled_length(clip.num_samples, clip.sample_rate, rate) for clip in clips.clips)
    lengths = [*map(backbone.num_inputs, samples)]
    front_end = backbone.front_end(source.folder, device=str(run.gang.device))
    kind, width, title = backbone.reading.input_type, backbone.reading.input_width, f"inputs of {backbone.name}"
    write = partial(_write_inputs, clips.root, front_end, rate)
    write_clips(run, title, run.folder / VALUES, clips.clips, lengths, write, dtype=kind, width=width)


def _write_inputs(root: Path, front_end: FrontEnd, rate: int, place: Array, clip: Clip) -> None:
    place[:] = front_end(read_blocks(root / clip.path, rate, part=clip.part))


def _arm_result(session: Session, tuning: Finetuning, arm: Arm) -> ArmResult:
    """Train with each learning rate, of which validation chooses the best; or probe the frozen backbone."""
    session = replace(session, place=tuning.title(arm))
    if arm == "probe" and isinstance(tuning.task, PooledTask):
        features = _backbone_features(session, tuning.inputs, tuning.source, tuning.settings.seed)
        artifact = _probed(session, features, tuning.task, tuning.manifest, tuning.settings.probe)
        chosen = str(artifact.read_json(CHOSEN)["chosen"])
    else:
        options, losses, made = tuning.settings.backbone, list[float](), list[CachedArtifact]()
        frozen: dict[Arm, FrozenLayers] = {"finetuned": options.frozen_layers, "scratch": 0, "probe": "all"}
        source = tuning.source.untrained if arm == "scratch" else tuning.source
        batches = options.batches.at_rate(source.backbone.reading.inputs_per_second)
        clips = [tuning.labelled[split] for split in SPLITS]
        for rate in options.rates:
            own = replace(session, place=f"{session.place}, lr {rate:g}") if len(options.rates) > 1 else session
            fit = replace(options.fit, lr=rate)
            training = LabelTraining(option="backbone.fit", batches=batches, fit=fit, frozen=frozen[arm])
            made.append(_trained_backbone(own, tuning.inputs, source, tuning.task, clips, training, options.own))
            curve, kept = made[-1].read_rows(CURVE, "curve"), made[-1].read_json(CURVE)["kept_step"]
            losses += [point["validation_loss"] for point in curve if point["step"] == kept]
        best = int(np.argmin(losses))
        artifact, chosen = made[best], f"learning rate {options.rates[best]:g}"
    ends = np.cumsum(np.load(artifact.folder / _STEPS))[:-1]
    outputs = np.split(np.load(artifact.folder / OUTPUTS), ends)[-len(tuning.labelled["test"].labels) :]
    return ArmResult(artifact=artifact, outputs=outputs, figures=tuning.figures(outputs), chosen=chosen)


def _backbone_key(source: BackboneSource) -> list[object]:
    return [source.backbone.name, asdict(source.backbone), source.fingerprint]


@stage(
    "finetuned",
    title="{task.name}, {training.fit.summary}",
    keys={
        "source": _backbone_key,
        "task": lambda task: [task.name, asdict(task)],
        "clips": lambda clips: [clips[0].key, clips[1].key, clips[2].names],
    },
    together=True,
)
def _trained_backbone(
    run: StageRun,
    inputs: CachedArtifact,
    source: BackboneSource,
    task: Task,
    clips: Sequence[LabelledInputs],
    training: LabelTraining,
    backbone_options: object,
) -> None:
    """Train on the first of the ``clips``, and write the outputs for those of validation and test."""
    # `inputs`, which the clips read, and `backbone_options`, by which `source` changes training clips, are for the key.
    train, validation, test = clips
    model = learn_labels(run, source, task, train, validation, training)
    if run.gang.rank == 0:
        _write_outputs(run.folder, model.outputs(validation.clips.followed_by(test.clips)))


@stage(
    "backbone_probed",
    title="linear probe",
    keys={"task": lambda task: [task.name, asdict(task)], "clips": labels_of},
)
def _probed(run: StageRun, features: CachedArtifact, task: PooledTask, clips: Clips, config: ProbeConfig) -> None:
    """Probe the pooled states of the backbone; the artifact is the outputs of the chosen probe for the test clips."""
    candidates = StoredFeatures.of(features.folder / FEATURES)
    known = [clip.label or "" for clip in clips.clips]
    rows = {str(split): np.flatnonzero(clips.frame.split == split) for split in SPLITS}
    with limit_pools(1):
        outputs, chosen = task.probe(candidates, known, rows, config, threads=torch.get_num_threads())
    _write_outputs(run.folder, outputs)
    write_json(run.folder / CHOSEN, {"chosen": chosen})


def _write_outputs(folder: Path, outputs: Sequence[FloatArray]) -> None:
    write_array(folder / _STEPS, np.array([len(each) for each in outputs]))
    write_array(folder / OUTPUTS, np.concatenate(outputs))


@stage(
    "backbone_features",
    title="states of {source.backbone.name}",
    keys={"source": _backbone_key},
)
def _backbone_features(
    run: StageRun, inputs: CachedArtifact, source: BackboneSource, seed: int, vectors: VectorConfig = VECTORS
) -> None:
    """Pool the states of each layer of the backbone before its training, for probes: ``layer_1:mean`` and so on."""
    device, file = str(run.gang.device), inputs.folder / VALUES
    pool_clip = partial(_pooled_layers, source.backbone, source.weights, seed, device, file)
    found = stacked_rows(run.each("states", pool_clip, range(len(read_clips(file)[1]) - 1)))
    write_features(run.folder, found, of=source.backbone.name)


@lru_cache(maxsize=1)  # once in each process
def _load(
    backbone: Backbone, weights: Path | None, seed: int, device: str, inputs: Path
) -> tuple[BackboneNetwork, StoredClips]:
    return backbone.create(seed=seed, weights=weights).eval().to(device), StoredClips.of(*read_clips(inputs))


@torch.no_grad()
def _pooled_layers(
    backbone: Backbone, weights: Path | None, seed: int, device: str, inputs: Path, row: int
) -> dict[str, FloatArray]:
    """Pool the states of each layer of a clip over time, and those of all layers side by side."""
    network, clips = _load(backbone, weights, seed, device, inputs)

    def layers(values: torch.Tensor, lengths: torch.Tensor) -> Frames:  # (batch, states, layers * dim)
        return network.layer_states(values, lengths).permute(1, 2, 0, 3).flatten(2), backbone.reading.states_of(lengths)

    values, lengths = clips.read(np.array([row]), at_most=int(clips.lengths[row]))
    frames = read_states(layers, backbone.reading, values.to(device), lengths)[0][0].cpu().numpy()
    each = np.split(frames, frames.shape[1] // backbone.reading.dim, axis=1)  # (states, dim) of each layer
    named = {**{f"layer_{number}": layer for number, layer in enumerate(each, 1)}, "all_layers": frames}
    return {f"{name}:{pooling}": pool(own, pooling) for name, own in named.items() for pooling in POOLINGS}


BASELINE = "the same answer for every clip"
_FIGURES, _PREDICTIONS = "figures.json", "predictions.tsv"


def _write_results(
    session: Session,
    tuning: Finetuning,
    results: Mapping[Arm, ArmResult],
    *,
    corpus: Clips,
    notices: Sequence[str],
    config: Mapping[str, object],
) -> None:
    """Write the folder of the session, the model last, and print the table."""
    folder, settings, saved = session.folder, tuning.settings, results["finetuned"]
    constant = tuning.task.constant(tuning.labelled["train"].labels)
    figures = {tuning.title(arm): own.figures for arm, own in results.items()}
    figures[BASELINE] = tuning.figures([constant] * len(tuning.labelled["test"].labels))
    table: list[dict[str, Any]] = [{"of": of, "figures": [each.plain for each in own]} for of, own in figures.items()]
    for row, own in zip(table, results.values(), strict=False):  # the baseline is no arm
        row |= {"chosen": own.chosen, "key": own.artifact.key}
    source = provenance(command_line("finetune"), config, session.gang, {saved.artifact.stage: saved.artifact})
    facts = {
        "corpus": corpus.name,
        "clips": {split: len(tuning.labelled[split].labels) for split in SPLITS},
        "notices": [*corpus.notices, *notices],
        "over": " and ".join(dict.fromkeys(each.over for each in saved.figures)),  # of the intervals
        "head": settings.head.name,
        "backbone": settings.backbone.name,
        "summary": tuning.task.summary,
    }
    write_json(folder / _FIGURES, {**facts, "table": table, "provenance": source})
    head = ["", *(each.name for each in saved.figures)]
    cells = [[row["of"], *(figure["text"] for figure in row["figures"])] for row in table]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *cells]
    write_aside(folder / TABLE, "".join(f"| {' | '.join(line)} |\n" for line in lines))
    test, predicted = tuning.labelled["test"], tuning.task.rows(saved.outputs)
    described = zip(test.names, test.labels, predicted, strict=True)
    write_table(folder / _PREDICTIONS, [{"path": name, "truth": label, **row} for name, label, row in described])
    model = FineTunedModel.from_pretrained(saved.artifact.folder)
    model.trim_db = tuning.manifest.effective_trim_db(settings.corpus.inspection.trim_db)
    model.channel = tuning.channel
    model.save_pretrained(folder, front_end=tuning.source.folder)
    named = {f"{row['of']}/{each['name']}": each["value"] for row in table for each in row["figures"]}
    known = {name: value for name, value in named.items() if value is not None}
    if session.tensorboard is not None:
        session.tensorboard.conclude(
            source, known, [folder / name for name in (_FIGURES, TABLE, _PREDICTIONS)], pictures={}
        )
    print_table(head, cells)
    session.terminal.say(f"model     {folder}; the figures are in {_FIGURES} and {TABLE}")
