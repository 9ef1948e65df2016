"""The folder of a run or of a sweep, claimed before Hydra writes into it; ``conf/run.yaml`` names the callback."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write

from pipelines.commandline.claims import RUN_LOCK, SWEEP_LOCK, claim
from pipelines.commandline.command import mendable
from pipelines.commandline.overrides import quote

CLOCK = "${now:"


class ClaimedFolder(Callback):
    """Gives each run and each sweep a folder that no other one writes at the same time.

    A folder that is named after the time, which is the default, is always a new one. Any other folder is used as it is,
    so that the same command continues in the folder of its first call.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Claim ``hydra.run.dir``."""
        with ending_the_command(config):
            _claim(config, "run", RUN_LOCK)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Claim ``hydra.sweep.dir``, and pass its name to the jobs of the sweep."""
        with ending_the_command(config):
            if renamed := _claim(config, "sweep", SWEEP_LOCK):
                with read_write(config):
                    config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quote(renamed)}")


@contextmanager
def ending_the_command(config: DictConfig) -> Iterator[None]:
    """End the command on an error: Hydra turns all errors of a callback but ``SystemExit`` into warnings."""
    try:
        with mendable("run", frozenset(), config, full=False):
            yield
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None


def _claim(config: DictConfig, mode: Literal["run", "sweep"], lock: str) -> str:
    """Claim the folder of the run or the sweep, and return the option's new value if the folder got another name."""
    written = str(OmegaConf.to_container(config.hydra[mode], resolve=False)["dir"])  # type: ignore[index,call-overload]  # a mapping
    wanted = Path(config.hydra[mode].dir)
    claimed = claim(wanted, option=f"hydra.{mode}.dir", lock=lock, new=CLOCK in written)
    if claimed == wanted:
        return ""
    renamed = written + claimed.name.removeprefix(wanted.name)
    with read_write(config):
        config.hydra[mode].dir = renamed
    return renamed
