"""TensorBoard: event files in the folder ``tensorboard`` of a run.

Each training has a folder: one log of training losses, one of validation losses, and one of everything else. The
folder ``run`` has the options, figures and pictures.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from pipelines.tracking.event_files import append_picture, append_scalars, append_text, event_file, steps_in
from pipelines.tracking.tracker import CurvePoint, Outcome, State, TrackedRun, TrackedTraining, TrackerKind
from wordless.base.files import remove

FOLDER = "tensorboard"  # in a run folder
RUN = "run"  # in `FOLDER`
LOSSES = {"loss_train": "train_loss", "loss_validation": "validation_loss"}  # log -> value of a point


class EventFiles:
    """The event files of a run."""

    def __init__(self, run: TrackedRun) -> None:
        """Write below the folder of ``run``."""
        self._run = run
        self._root = run.folder / FOLDER
        self._files: dict[str, Path] = {}  # of this process, by training
        self._steps: dict[str, list[int]] = {}  # that are in them
        self._outcome: Path | None = None  # the file of options and figures

    def begin(self, training: TrackedTraining) -> None:
        """Remove what an earlier run logged of the training: all points follow."""
        remove(self._root / training.name)
        self._files[training.name], self._steps[training.name] = event_file(self._root / training.name), []

    def add(self, training: TrackedTraining, points: Sequence[CurvePoint]) -> None:
        """Append points to the three logs of a training."""
        if training.name not in self._files:
            self.begin(training)
        path = self._files[training.name]
        for point in points:
            values = point.values
            for log, name in LOSSES.items():
                loss = {"loss": values.pop(name)} if name in values else {}
                append_scalars(path.parent / log / path.name, loss, step=point.step)
            append_scalars(path, values, step=point.step)
            self._steps[training.name].append(point.step)

    def complete(self, training: TrackedTraining, points: Sequence[CurvePoint]) -> None:
        """Write the curve anew, unless the log has each of its steps once."""
        logged = self._steps.get(training.name)
        if logged is None:  # this process did not train it, but an earlier run in this folder may have
            logged = list(steps_in(self._root / training.name / next(iter(LOSSES))))
        if logged != [point.step for point in points]:
            self.begin(training)
            self.add(training, points)

    def conclude(self, outcome: Outcome) -> None:
        """Write options, figures, the place of the report and pictures."""
        remove(self._root / RUN)
        path, run = event_file(self._root / RUN), self._run
        commit = f", commit {run.commit}" if run.commit else ""
        about = (f"`{run.command}`", f"Wordless {run.version}{commit}", f"folder {run.folder.absolute()}")
        append_text(path, "run", "\n\n".join(about))
        append_text(path, "config", f"```\n{json.dumps(run.config, indent=1, sort_keys=True)}\n```")
        rows = "\n".join(f"| {name} | {value:.6g} |" for name, value in outcome.figures.items())
        append_text(path, "figures", f"| figure | value |\n|---|---|\n{rows}")
        append_text(path, "files", "\n".join(f"- {file.absolute()}" for file in outcome.files))
        for title, png in outcome.pictures.items():
            append_picture(path, title, png)
        self._outcome = path

    def close(self, state: State) -> None:
        """Write how the run ended, if it had come to any training or figure."""
        if self._outcome is None and self._files:
            remove(self._root / RUN)
            self._outcome = event_file(self._root / RUN)
        if self._outcome is not None:
            append_text(self._outcome, "state", state)


TENSORBOARD = TrackerKind(
    "tensorboard", title="TensorBoard", modules=lambda: ("tensorboard",), extra=None, everywhere=True, open=EventFiles
)
