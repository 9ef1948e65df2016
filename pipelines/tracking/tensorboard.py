"""TensorBoard: event files in the folder ``tensorboard`` of a run.

Each training has a folder: one log of training losses, one of validation losses, and one of everything else. The
folder ``run`` has the options, figures and pictures.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from pipelines.tracking.tracker import CurvePoint, Outcome, State, TrackedRun, Tracker
from wordless.base.files import remove

FOLDER = "tensorboard"  # in a run folder
RUN = "run"  # in `FOLDER`
LOSSES = {"train_loss": "train", "validation_loss": "validation"}  # both in one chart


class TensorBoard(Tracker):
    """The event files of a run."""

    name, title, everywhere, modules = "tensorboard", "TensorBoard", True, ("tensorboard",)

    def __init__(self, run: TrackedRun) -> None:
        self._run = run
        self._root = run.folder / FOLDER
        self._writers: dict[str, Any] = {}  # SummaryWriter, untyped; of one training at a time: each has threads

    def held(self, curve: str) -> Sequence[tuple[int, float]]:
        folder = self._root / curve / "loss_train"
        if not folder.is_dir():
            return []
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # slow to import

        log = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False).Reload()
        return [(event.step, event.value) for event in log.Scalars("loss")] if "loss" in log.Tags()["scalars"] else []

    def add(self, curve: str, points: Sequence[CurvePoint]) -> None:
        writer = self._writer(curve)
        for point in points:
            values = point.values
            losses = {log: values.pop(name) for name, log in LOSSES.items() if name in values}
            writer.add_scalars("loss", losses, point.step)
            for name, value in values.items():
                writer.add_scalar(name, value, point.step)
        writer.flush()

    def conclude(self, outcome: Outcome) -> None:
        remove(self._root / RUN)
        writer, run = self._writer(RUN), self._run
        commit = f", commit {run.commit}" if run.commit else ""
        about = (f"`{run.command}`", f"Wordless {run.version}{commit}", f"folder {run.folder.absolute()}")
        writer.add_text("run", "\n\n".join(about))
        writer.add_text("config", f"```\n{json.dumps(run.config, indent=1, sort_keys=True)}\n```")
        rows = "\n".join(f"| {name} | {value:.6g} |" for name, value in outcome.figures.items())
        writer.add_text("figures", f"| figure | value |\n|---|---|\n{rows}")
        writer.add_text("files", "\n".join(f"- {file.absolute()}" for file in outcome.files))
        for title, png in outcome.pictures.items():
            writer.add_image(title, np.asarray(Image.open(io.BytesIO(png)).convert("RGB")), dataformats="HWC")

    def close(self, state: State) -> None:
        if RUN not in self._writers:
            remove(self._root / RUN)
        self._writer(RUN).add_text("state", state)
        self._writers.pop(RUN).close()

    def _writer(self, folder: str) -> Any:
        """Return the writer of a folder, and close the one before."""
        if folder not in self._writers:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            while self._writers:
                self._writers.popitem()[1].close()
            self._writers[folder] = SummaryWriter(str(self._root / folder))  # type: ignore[no-untyped-call]  # torch's own
        return self._writers[folder]
