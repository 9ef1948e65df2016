"""The folder of a run or of a sweep, claimed before Hydra writes into it."""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write

from pipelines.commandline.claims import RUN_LOCK, SWEEP_LOCK, claim, is_held
from pipelines.commandline.command import mendable
from pipelines.commandline.overrides import quote
from pipelines.commandline.run_names import Mode, require_name, require_same_run, sweep_words
from wordless.base.errors import InputError

CLOCK = "${now:"


class ClaimedFolder(Callback):
    """Gives each run and each sweep a folder that no other one writes at the same time.

    A folder that is named after the time, which is the default, is always a new one. ``name=`` replaces the time; the
    folder is then new, or one that the same command began, or that of a sweep that grows. Any other folder is used as
    it is, so that the same command continues in the folder of its first call.
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


def _claim(config: DictConfig, mode: Mode, lock: str) -> str:
    """Claim the folder of the run or the sweep, and return the option's new value if the folder got another name."""
    written = str(OmegaConf.to_container(config.hydra[mode], resolve=False)["dir"])  # type: ignore[index,call-overload]  # a mapping
    wanted, name = Path(config.hydra[mode].dir), OmegaConf.select(config, "name")
    if name is not None and os.environ.get("RANK", "0") == "0":
        claimed = _claim_named(config, mode, lock, str(name), timed=CLOCK in written)
        renamed = str(claimed)
    else:
        claimed = claim(wanted, option=f"hydra.{mode}.dir", lock=lock, new=CLOCK in written)
        if claimed == wanted:
            return ""
        renamed = written + claimed.name.removeprefix(wanted.name)
    with read_write(config):
        config.hydra[mode].dir = renamed
    return renamed


def _claim_named(config: DictConfig, mode: Mode, lock: str, name: str, *, timed: bool) -> Path:
    """Claim the folder that ``name=`` names, beside folders that are named after the time."""
    require_name(name, option="name")
    if not timed:
        both = f"name={name} and hydra.{mode}.dir={config.hydra[mode].dir}"
        raise InputError(f"{both} both name the folder; leave one of them out")
    wanted = Path(config.hydra[mode].dir).with_name(name)
    if is_held(wanted):
        raise InputError(f"name={name}: another run is writing {wanted}; wait for it, or choose another name")
    words = sweep_words(config) if mode == "sweep" else list(config.hydra.overrides.task)
    require_same_run(wanted, words, mode)
    return claim(wanted, option="name", lock=lock, new=False)
