"""Weights & Biases: a run of a project, on its server or offline in the run folder.

The library's own variables say where: WANDB_PROJECT, else ``wordless``; WANDB_ENTITY; WANDB_DIR, else the folder
``tracking`` of the run; WANDB_MODE, else online for a user who is logged in, and offline for all others.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pipelines.tracking.tracker import FOLDER, CurvePoint, Outcome, State, TrackedRun, Tracker

EXIT_CODES: dict[State, int] = {"finished": 0, "failed": 1, "killed": 130}


class Wandb(Tracker):
    """A run in Weights & Biases, new or continued. An offline run is written anew by each call."""

    name, title, extra, modules = "wandb", "Weights & Biases", "wandb", ("wandb",)

    def __init__(self, run: TrackedRun) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # of crashes of the library, to its makers
        import wandb
        from requests.utils import get_netrc_auth  # what `wandb login` writes is a line of netrc

        own = wandb.setup().settings
        mode: Literal["online", "offline"] | None = None
        if "WANDB_MODE" not in os.environ:  # offline unless there are credentials for the server
            known = own.api_key or own.identity_token_file or get_netrc_auth(own.base_url)
            mode = "online" if known and own.mode == "online" else "offline"
        folder, key = Path(os.environ.get("WANDB_DIR") or run.folder / FOLDER), run.find_id()
        folder.mkdir(parents=True, exist_ok=True)
        if (mode or own.mode) == "offline":
            before = [path for path in folder.glob(f"wandb/offline-run-*-{key}*") if path.is_dir()]
            uploaded = [path for path in before if any(path.glob("*.wandb.synced"))]
            for path in {*before} - {*uploaded}:  # nobody has its points, and this call logs them again
                shutil.rmtree(path, ignore_errors=True)
            key += f"-{len(uploaded)}" if uploaded else ""  # a server would show the points of both
        about = {"version": run.version, "commit": run.commit, "command": run.command}
        self._wandb = wandb.init(
            id=key,
            name=run.name,
            project=own.project or "wordless",
            group=os.environ.get("WANDB_RUN_GROUP") or run.group,
            notes=run.command,
            dir=folder,
            mode=mode,
            resume="allow",
            config={**run.config, "wordless": {**about, "folder": str(run.folder.absolute())}},
            allow_val_change=True,
            reinit="create_new",
            # Neither code nor printed lines nor changes of a checkout are uploaded.
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_code=True,
                disable_git=True,
                x_save_requirements=False,
                init_timeout=30.0,  # seconds that the library waits for its server
                finish_timeout=50.0,
            ),
        )
        self._named: set[str] = set()

    def held(self, curve: str) -> Sequence[tuple[int, float]]:
        """Return the last step and loss of a curve: a run that is continued has them in its summary."""
        step, loss = (self._wandb.summary.get(f"{curve}/{name}") for name in ("step", "train_loss"))
        return [] if step is None or loss is None else [(int(step), float(loss))]

    def add(self, curve: str, points: Sequence[CurvePoint]) -> None:
        """Log points, with the steps of the training as their horizontal axis."""
        if curve not in self._named:
            self._wandb.define_metric(f"{curve}/*", step_metric=f"{curve}/step")
            self._named.add(curve)
        for point in points:
            self._wandb.log({f"{curve}/{key}": value for key, value in {"step": point.step, **point.values}.items()})

    def conclude(self, outcome: Outcome) -> None:
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
