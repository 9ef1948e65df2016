"""Linear probes of the body before its training, with the same labels as the trainings."""

from dataclasses import asdict
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from lm.batches import IndexArray
from lm.heads.head import PooledTask
from lm.probing.logistic import tolerance_options
from lm.probing.ridge import RIDGE_VERSION
from lm.probing.task import ProbeConfig
from pipelines.finetuning.clips import LabelledClips, labels_key
from pipelines.finetuning.stages import OUTPUTS, STEPS, write_outputs
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from pipelines.store.stored_features import FEATURES, features_by_method

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
