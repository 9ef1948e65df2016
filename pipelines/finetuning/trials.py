"""The trials of a fine-tuning: each opponent with each share of the labels and each seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from lm.batches import IndexArray
from lm.bodies.body import Source
from lm.bodies.finetuning import FrozenLayers
from lm.heads.head import Figure, PooledTask, Task
from lm.probing.probe import label_order
from lm.probing.vectors import FloatArray
from pipelines.finetuning.clips import LabelledClips
from pipelines.finetuning.options import FinetuneConfig
from pipelines.finetuning.stages import (
    Training,
    body_features,
    chosen_candidate,
    finetuned,
    least_loss,
    probed,
    read_outputs,
)
from pipelines.store.session import Session
from pipelines.store.store import Entry
from wordless.base.configuration import move_seeds
from wordless.base.text import counted

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
    task: Task  # of all labels
    clips: LabelledClips
    inputs: Entry


@dataclass(frozen=True, kw_only=True, eq=False)
class Draw:
    """The training clips that have a label in some trials, and the task that their labels give."""

    share: float
    number: int  # of the seed, from 0
    rows: IndexArray
    task: Task


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """The result of one trial."""

    arm: Arm
    share: float
    clips: int  # training clips with a label
    seed: int
    task: Task
    entry: Entry
    outputs: Sequence[FloatArray]  # of the test clips
    figures: tuple[Figure, ...]
    chosen: str  # on validation: a learning rate, or a layer and pooling

    @property
    def title(self) -> str:
        """The name of the opponent in tables."""
        return title_of(self.arm, self.task)

    @property
    def record(self) -> dict[str, object]:
        """The trial as plain values."""
        values = {name: getattr(self, name) for name in ("arm", "share", "clips", "seed", "chosen")}
        return {
            **values,
            "key": self.entry.key,
            "figures": [each.plain | {"percent": each.percent} for each in self.figures],
        }


def trials(session: Session, study: Study) -> Iterator[Trial]:
    """Make every trial, seed by seed and share by share."""
    settings = study.settings
    arms = [arm for arm in get_args(Arm) if arm == "finetuned" or arm in settings.beside]
    for number in range(settings.seeds):
        for share in settings.shares:
            draw = _draw(study, share, number)
            for arm in arms:
                yield _trial(session, study, draw, arm)


def _draw(study: Study, share: float, number: int) -> Draw:
    """Draw the training clips that have a label; smaller shares lie in larger ones.

    The task is made from their labels alone, so that nothing else is known of the others.
    """
    clips = study.clips
    train, validation, test = clips.rows.values()
    rows = train
    if share < 1:
        seed = study.settings.seed + number
        order = label_order(study.task.strata(clips.labels_of(train)), seed=seed)
        rows = train[np.sort(order.first(share))]
    held_out = [*clips.labels_of(validation), *clips.labels_of(test)]
    task = study.settings.head.task(clips.labels_of(rows), held_out)
    return Draw(share=share, number=number, rows=rows, task=task)


def _trial(session: Session, study: Study, draw: Draw, arm: Arm) -> Trial:
    settings = study.settings
    seed = settings.seed + draw.number
    own = replace(session, place=f"{title_of(arm, draw.task)}, {counted(len(draw.rows), 'label')}, seed {seed}")
    if arm == "probe" and isinstance(draw.task, PooledTask):
        features = body_features(own, study.source, study.inputs, seed=seed)
        entry = probed(own, study.clips, features, draw.rows, draw.task, settings.probe)
        chosen = chosen_candidate(entry)
    else:
        entry, chosen = _best_training(own, study, draw, arm)
    test = study.clips.rows["test"]
    outputs = read_outputs(entry.folder)[-len(test) :]
    return Trial(
        arm=arm,
        share=draw.share,
        clips=len(draw.rows),
        seed=seed,
        task=draw.task,
        entry=entry,
        outputs=outputs,
        figures=draw.task.figures(outputs, study.clips.labels_of(test), settings.figures, study.clips.test_groups),
        chosen=chosen,
    )


def _best_training(session: Session, study: Study, draw: Draw, arm: Arm) -> tuple[Entry, str]:
    """Train with each learning rate; return what is best on validation."""
    rates = study.settings.body.rates
    made = []
    for rate in rates:
        own = replace(session, place=f"{session.place}, lr {rate:g}") if len(rates) > 1 else session
        made.append(finetuned(own, study.clips, study.inputs, draw.rows, _training(study, draw, arm, rate)))
    best = int(np.argmin([least_loss(entry) for entry in made]))
    return made[best], f"learning rate {rates[best]:g}"


def _training(study: Study, draw: Draw, arm: Arm, rate: float) -> Training:
    settings = study.settings
    body = move_seeds(settings.body, draw.number, name="body")
    frozen: dict[Arm, FrozenLayers] = {"finetuned": body.frozen_layers, "scratch": 0, "probe": "all"}
    return Training(
        source=study.source.untrained if arm == "scratch" else study.source,
        head=settings.head.name,
        task=draw.task,
        frozen_layers=frozen[arm],
        body_options=body.own,
        batches=body.batches,
        fit=replace(body.fit, lr=rate),
    )
