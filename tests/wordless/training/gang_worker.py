"""What each process of `test_gangs` does: python gang_worker.py FOLDER, alone or under torchrun."""

import json
import sys
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.store.session import Session
from pipelines.store.store import CURVE, Recipe, Store
from pipelines.tracking.tracking import TrackedRun, Tracking
from wordless.base.machine import Batch
from wordless.base.progress import Terminal
from wordless.training.gangs import open_gang
from wordless.training.options import FitConfig

CONFIG = FitConfig(steps=10, lr=0.02, warmup_steps=2, validate_every=1, ema_decay=0.5, keep="last")
CONFIGS = {"plain": CONFIG, "accumulated": replace(CONFIG, accumulation=3, clip_norm=0.1)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows(Batch):
    """Rows of which some are not counted."""

    x: Tensor  # (batch, 4)
    counted: Tensor  # (batch,) 1 or 0


class Noise:
    """Batches of 12 rows, drawn anew for each step; shares hold unequal numbers of counted rows."""

    def batch(self, step: int, part: int = 0, parts: int = 1) -> Rows:
        rng = np.random.default_rng([3, step])
        x, counted = rng.normal(size=(12, 4)).astype(np.float32), (rng.random(12) < 0.7).astype(np.float32)
        return Rows(x=torch.from_numpy(x[part::parts]), counted=torch.from_numpy(counted[part::parts]))


def squared_error(model: nn.Module, batch: Rows) -> tuple[Tensor, int]:
    errors = ((model(batch.x) - batch.x.flip(1)) ** 2).mean(1)
    return (errors * batch.counted).sum(), int(batch.counted.sum())


def main(folder: Path) -> None:
    with open_gang(torch.device("cpu")) as gang:
        terminal = Terminal(silent=gang.rank != 0)
        run = TrackedRun(name="", folder=folder / "run", command="", config={}, version="", commit=None)
        session = Session(
            store=Store(folder / "store"),
            gang=gang,
            terminal=terminal,
            folder=folder / "run",
            workers=1,
            tracking=Tracking(["tensorboard"], run, terminal.say),
        )
        for name, config in CONFIGS.items():
            recipe = Recipe(stage=name, version=1, config=asdict(config), inputs={})
            session.obtain(recipe, name, partial(train, session, config, network()), files=[CURVE], together=True)
        recipe = Recipe(stage="normalised", version=1, config=asdict(CONFIG), inputs={})
        normalised = nn.Sequential(nn.BatchNorm1d(4), network())
        session.obtain(recipe, "normalised", partial(train, session, CONFIG, normalised), files=[CURVE], together=True)
        recipe = Recipe(stage="alone", version=1, config={}, inputs={})
        entry = session.obtain(recipe, "alone", partial(sign, gang.rank), files=["made_by.txt"])
        print(f"rank {gang.rank} sees what rank {(entry.folder / 'made_by.txt').read_text()} made")


def network() -> nn.Module:
    """A small one, the same on every rank."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4))


def train(session: Session, config: FitConfig, model: nn.Module, folder: Path) -> None:
    """Train on every rank; each leaves its weights and running statistics beside the store."""
    validation = [Noise().batch(step) for step in range(50, 55)]
    session.train("rows", "rows.fit", model, Noise(), validation, squared_error, config, folder)
    weights = {name: values.tolist() for name, values in model.state_dict().items()}
    (session.store.root.parent / f"{folder.parent.name}-{session.gang.rank}.json").write_text(json.dumps(weights))


def sign(rank: int, folder: Path) -> None:
    """Say who made an entry that one process makes."""
    (folder / "made_by.txt").write_text(str(rank))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
