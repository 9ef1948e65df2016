"""Saving a training's checkpoints, and continuing from them, with one process or several.

A training has one checkpoint, which rank 0 writes. If weights are sharded, each process writes a file of its own shares
for each checkpoint. The other ranks write first, and name the step. Then rank 0 replaces its file, which also names the
step, and so decides which files of the others count. The others remove their older files last. So the files of one step
are whole, whenever a process is killed.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from wordless.base.files import remove
from wordless.training.gangs import Gang, agreed
from wordless.training.state import CheckpointError, Saved, Training


@dataclass(kw_only=True)
class Checkpoints:
    """Where the processes of a gang save a training, and when."""

    path: Path  # of rank 0, or of all together
    gang: Gang
    sharded: bool
    minutes: float  # between checkpoints
    say: Callable[[str], None]
    _saved: float = field(default_factory=time.monotonic)

    def due(self, training: Training) -> bool:
        """Return whether this process shall save now; with sharded weights, all processes get the same answer."""
        late = time.monotonic() - self._saved > 60 * self.minutes
        if not self.sharded:
            return self.gang.rank == 0 and late
        return not self.minutes or agreed(late, self.gang, training.step)

    def save(self, training: Training) -> None:
        """Save the training. With sharded weights, all processes call this at the same step; else rank 0 saves."""
        if self.sharded and self.gang.rank:
            training.save(self._own(training.step))
        self._wait()
        if self.gang.rank == 0:
            training.save(self.path)
        self._wait()
        for path in self.path.parent.glob(f"{self.path.stem}-{self.gang.rank}-*"):
            if path != self._own(training.step):
                remove(path)
        self._saved = time.monotonic()

    def resume(self, training: Training) -> None:
        """Continue from the last checkpoint, if there is a whole one; a damaged file is renamed to ``*.damaged``."""
        self.gang.barrier()
        first = self._read(training, self.path) if self.gang.rank == 0 else None
        step = round(self.gang.sum([first.step if first else 0.0])[0])
        if not step:
            return
        own = first or self._read(training, self._own(step))
        missing = self.gang.size - round(self.gang.sum([float(own is not None)])[0])
        if own and not missing:
            training.restore(own)
        elif self.gang.rank == 0:
            self.say(f"WARNING   {missing} of {self.gang.size} processes have no checkpoint: training begins anew")

    def _read(self, training: Training, path: Path) -> Saved | None:
        if not os.path.lexists(path):
            return None
        try:
            return training.read(path)
        except CheckpointError as damage:
            damaged = path.with_suffix(".damaged")
            remove(damaged)  # left by an earlier run
            path.rename(damaged)
            self.say(f"WARNING   {path} is damaged ({damage}): it is now {damaged.name}, and training begins anew")
            return None

    def _own(self, step: int) -> Path:
        """Return the file that this process reads: its own, or without sharding the file of all."""
        return self.path.with_stem(f"{self.path.stem}-{self.gang.rank}-{step}") if self.sharded else self.path

    def _wait(self) -> None:
        if self.sharded:
            self.gang.barrier()
