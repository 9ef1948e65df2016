"""What a run writes for TensorBoard: each point of a curve as soon as it is measured, and figures at its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wordless.base.files import remove
from wordless.base.messages import first_line
from wordless.training import Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Say = Callable[[str], None]
EVENTS: Final = "tensorboard"  # in a run folder: a folder for each training, and `_RUN`
_RUN = "run"


class TensorBoard:
    """The folder ``tensorboard`` of a run. After its first error nothing more is written, and the run goes on."""

    def __init__(self, folder: Path, say: Say = print) -> None:
        self._folder, self._say, self._failed = folder, say, False
        self._curves: dict[str, list[Point]] = {}  # by training
        self._writer: Any = None  # SummaryWriter, untyped; of the last training alone: each has threads

    def add(self, training: str, *points: Point) -> None:
        """Add points to the curve of a training."""
        curve = self._curves.setdefault(training, [])
        self._try(partial(self._write, training, points, anew=not curve))
        curve += points

    def complete(self, training: str, points: Sequence[Point]) -> None:
        """Have the whole curve of a training, which ended in this process, in another one, or in an earlier call."""
        if self._curves.get(training) != points:
            self._curves.pop(training, None)
            self.add(training, *points)

    def conclude(
        self,
        source: Mapping[str, Any],
        figures: Mapping[str, float],
        files: Sequence[Path],
        pictures: Mapping[str, Figure],
    ) -> None:
        """Write what the run came to into the folder ``run`` beside the curves; ``source`` is its provenance."""
        commit = f", commit {source['commit']}" if source["commit"] else ""
        rows = "\n".join([f"| {name} | {value:.6g} |" for name, value in figures.items()])
        texts = {
            "run": f"`{source['command']}`\n\nWordless {source['version']}{commit}\n\nfolder {self._folder.absolute()}",
            "config": f"```\n{json.dumps(source['config'], indent=1, sort_keys=True)}\n```",
            "figures": f"| figure | value |\n|---|---|\n{rows}",
            "files": "\n".join(f"- {file.absolute()}" for file in files),
        }

        def write() -> None:
            self._open(_RUN)
            for name, text in texts.items():
                self._writer.add_text(name, text)
            for title, picture in pictures.items():
                self._writer.add_figure(title, picture)
            self._writer.flush()

        self._try(write)

    @property
    def elsewhere(self) -> Callable[[Say], TensorBoard]:
        """A function that opens the same folder in another process, which trains parts of the run."""
        return partial(TensorBoard, self._folder)

    def _open(self, name: str) -> None:
        """Open a folder of events in the place of an earlier one."""
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        if self._writer is not None:
            self._writer.close()
        remove(self._folder / EVENTS / name)
        self._writer = SummaryWriter(str(self._folder / EVENTS / name))  # type: ignore[no-untyped-call]  # torch's

    def _write(self, training: str, points: Sequence[Point], *, anew: bool) -> None:
        if anew:
            self._open(training)
        for point in points:
            losses = {"train": point["train_loss"], "validation": point["validation_loss"]}  # both in one chart
            finite = {name: loss for name, loss in losses.items() if isfinite(loss)}
            self._writer.add_scalars("loss", finite, point["step"])
            self._writer.add_scalar("learning_rate", point["learning_rate"], point["step"])
        self._writer.flush()

    def _try(self, work: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            work()
        except Exception as error:  # of a library: it may not cost a run
            self._failed = True
            reason = f"{type(error).__name__}: {first_line(error)}"
            rest = "the run goes on, and the same command records it whole"
            self._say(f"WARNING   TensorBoard records no more ({reason}); {rest}")
