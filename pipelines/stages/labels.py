"""Training on labels: the stage that trains a body and a head, for the comparison and for ``wordless finetune``."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lm.bodies.body import Source, freeze
from lm.bodies.clips import CPU, ClipViews, LabelledBatch, LabelledBatches, StoredClips, validation_batches
from lm.bodies.options import ClipBatchConfig
from lm.finetuned import FineTunedModel, TaskLoss, create_network
from lm.finetuning import FrozenLayers
from lm.heads import Task
from pipelines.store.session import Session
from pipelines.store.store import TRAINED, Entry, Recipe, text_hash
from wordless.training.options import FitConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledInputs:
    """The inputs of clips that have a label."""

    clips: StoredClips
    names: Sequence[str]
    labels: Sequence[str]

    @property
    def key(self) -> str:
        """Hash of the names and labels."""
        return text_hash(json.dumps([*zip(self.names, self.labels, strict=True)]))


@dataclass(frozen=True, kw_only=True)
class LabelTraining:
    """How a body and a head learn labels."""

    option: str  # the group of the fit's options
    batches: ClipBatchConfig  # counted in inputs
    fit: FitConfig
    frozen: FrozenLayers = 0
    at_most: int | None = None  # inputs of a validation clip, from its beginning; None: all

    def batches_of(
        self, session: Session, source: Source, task: Task, train: LabelledInputs, validation: LabelledInputs
    ) -> tuple[LabelledBatches, list[LabelledBatch]]:
        """Return batches of changed training clips, and all validation clips, whose ends alone may be cut off."""
        device = session.gang.device if source.changes_on_device else CPU
        views = ClipViews(train.clips, self.batches, source.change, device=device)
        batches, size = LabelledBatches(views=views, targets=task.targets(train.labels)), self.batches.batch_size
        most = size // self.fit.accumulation * self.batches.max_frames  # no more than a part of a training batch
        targets = task.targets(validation.labels)
        held_out = validation_batches(
            validation.clips, targets, batch_size=size, at_most=self.at_most, most_inputs=most
        )
        return batches, held_out


def train_on_labels(
    session: Session,
    recipe: Recipe,
    source: Source,
    task: Task,
    train: LabelledInputs,
    validation: LabelledInputs,
    training: LabelTraining,
    *,
    title: str,
    head: str = "classification",
    method: str | None = None,
    write: Callable[[FineTunedModel, Path], None] = lambda model, folder: None,
    files: Sequence[str] = (),
) -> Entry:
    """Train a body with a head; the entry is a folder of `FineTunedModel`.

    ``recipe`` gets the task, the labels and the weights that the training begins with. ``method`` names the training on
    the terminal, if it is not the recipe's stage. ``write`` writes other ``files`` into the entry.
    """
    fit = training.fit
    recipe = replace(
        recipe,
        config={**recipe.config, "head": head, "task": asdict(task)},
        inputs={**recipe.inputs, "train": train.key, "validation": validation.key, "weights": source.fingerprint},
    )

    def make(folder: Path) -> None:
        batches, held_out = training.batches_of(session, source, task, train, validation)
        network = create_network(source.body, source.create(seed=fit.seed), task, seed=fit.seed)
        freeze(network.body, training.frozen)
        stage = method or recipe.stage
        session.train(stage, training.option, network, batches, held_out, TaskLoss(task=task), fit, folder)
        if session.gang.rank == 0:
            model = FineTunedModel(network, source.body, head, task)
            model.write(folder)
            write(model, folder)

    files = [*TRAINED, *files]
    return session.obtain(recipe, f"{title}, {fit.summary}", make, files=files, together=True, training=method)
