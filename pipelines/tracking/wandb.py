"""Weights & Biases: a run of a project, on its server or offline in the run folder.

The library's own variables say where: WANDB_PROJECT, else ``wordless``; WANDB_ENTITY; WANDB_DIR, else the folder
``tracking`` of the run; WANDB_MODE, else online for a user who is logged in, and offline for all others.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipelines.tracking.ledger import FOLDER, Ledger
from pipelines.tracking.tracker import CurvePoint, Outcome, State, TrackedRun, TrackedTraining, TrackerKind

if TYPE_CHECKING:
    import wandb

NAME = "wandb"
PROJECT = "wordless"
EXIT_CODES: dict[State, int] = {"finished": 0, "failed": 1, "killed": 130}
SECONDS_TO_BEGIN, SECONDS_TO_END = 30.0, 50.0  # that the library waits for its server


class WandbRun:
    """A run in Weights & Biases, new or continued."""

    def __init__(self, run: TrackedRun) -> None:
        """Begin the run, or continue it by the ledger in the folder of ``run``."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # of crashes of the library, to its makers
        import wandb

        own = wandb.setup().settings
        mode: Literal["online", "offline"] | None = None if "WANDB_MODE" in os.environ else _mode(own)
        project, folder = own.project or PROJECT, Path(os.environ.get("WANDB_DIR") or run.folder / FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        place = " ".join((own.base_url, own.entity or "", project, mode or own.mode))
        self._ledger = Ledger.read(run, NAME, place=place)
        superseded = self._superseded()
        self._wandb = wandb.init(
            id=self._ledger.id,
            name=run.name,
            project=project,
            group=os.environ.get("WANDB_RUN_GROUP") or run.group,
            notes=run.command,
            dir=folder,
            mode=mode,
            resume="allow" if self._ledger.id else None,
            config={**run.config, "wordless": _about(run)},
            allow_val_change=True,
            reinit="create_new",
            settings=_settings(),
        )
        if superseded or self._ledger.id is None:
            self._ledger.begin(self._wandb.id, folder=str(self._wandb.settings.sync_dir))
        if superseded:
            shutil.rmtree(superseded, ignore_errors=True)
        self._named: set[str] = set()
        self._run = run

    def begin(self, training: TrackedTraining) -> None:
        """Do nothing: the first points begin a curve."""

    def add(self, training: TrackedTraining, points: Sequence[CurvePoint]) -> None:
        """Log the points that the run does not hold, with the steps of the training as their horizontal axis."""
        name, new = self._ledger.new(training, points)
        if not new:
            return
        if name not in self._named:
            self._wandb.define_metric(f"{name}/*", step_metric=f"{name}/step")
            self._named.add(name)
        for point in new:
            self._wandb.log({f"{name}/{key}": value for key, value in {"step": point.step, **point.values}.items()})
        self._ledger.note(training, new)

    def complete(self, training: TrackedTraining, points: Sequence[CurvePoint]) -> None:
        """Log the points that the run does not hold."""
        self.add(training, points)

    def conclude(self, outcome: Outcome) -> None:
        """Set the figures of the summary, and save copies of files and pictures."""
        self._wandb.summary.update(dict(outcome.figures))
        for path in outcome.files:
            self._save(path.name, path.read_bytes())
        for title, png in outcome.pictures.items():
            self._save(f"pictures/{title.replace('/', '_')}.png", png)

    def close(self, state: State) -> None:
        """Set the state of the run, and wait until the library has written everything."""
        self._wandb.summary["state"] = state
        self._wandb.finish(exit_code=EXIT_CODES[state])

    def _save(self, name: str, content: bytes) -> None:
        path = Path(self._wandb.dir) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)  # a copy: the library would only link a file of another folder
        self._wandb.save(path, base_path=self._wandb.dir, policy="now")

    def _superseded(self) -> Path | None:
        """Return the folder of an earlier offline attempt that nobody has uploaded: this run logs everything anew."""
        folder, run_id = Path(self._ledger.folder), self._ledger.id
        if run_id is None or not re.fullmatch(rf"offline-run-[\d_]+-{re.escape(run_id)}(-\d+)?", folder.name):
            return None
        return None if (folder / f"run-{run_id}.wandb.synced").exists() else folder


def _mode(settings: wandb.Settings) -> Literal["online", "offline"]:
    """Choose offline unless there are credentials for the server."""
    from requests.utils import get_netrc_auth  # what `wandb login` writes is a line of netrc

    known = settings.api_key or settings.identity_token_file or get_netrc_auth(settings.base_url)
    return "online" if known and settings.mode == "online" else "offline"


def _settings() -> wandb.Settings:
    """Return the settings of the library: neither code nor printed lines nor changes of a checkout are uploaded."""
    import wandb

    return wandb.Settings(
        console="off",
        silent=True,
        disable_code=True,
        disable_git=True,
        x_save_requirements=False,
        init_timeout=SECONDS_TO_BEGIN,
        finish_timeout=SECONDS_TO_END,
    )


def _about(run: TrackedRun) -> dict[str, str | None]:
    return {"version": run.version, "commit": run.commit, "command": run.command, "folder": str(run.folder.absolute())}


def _modules() -> tuple[str, ...]:
    return ("wandb",)


WANDB = TrackerKind(NAME, title="Weights & Biases", modules=_modules, extra="wandb", everywhere=False, open=WandbRun)
