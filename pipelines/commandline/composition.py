"""The config of a command for Hydra: the defaults of its options, beside the presets of ``conf/``."""

from collections.abc import Sequence

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from pipelines.commandline.commands import COMMANDS
from pipelines.commandline.options import HYDRA, TIME, index, nested

QUIET = [{"override hydra/job_logging": "none"}, {"override hydra/hydra_logging": "none"}]
NO_FOLDER = {"output_subdir": None, "run": {"dir": "."}}
FOLDERS = {
    "run": {"dir": f"runs/{TIME}"},
    "sweep": {
        "dir": f"multirun/{TIME}",
        # The folder of a job has the name of its values, such as seed=1. OmegaConf takes no number for a key.
        "subdir": "${oc.select:'hydra.callbacks.sweep.folders[${hydra.job.num}]'}",
    },
    "job": {"chdir": False},
    "callbacks": {
        # keeps other runs from writing into this run's folder
        "folder": {"_target_": "pipelines.commandline.folder_callback.ClaimedFolder"},
        # writes sweep.html and sweep.csv, which compare the jobs of a sweep
        "sweep": {"_target_": "pipelines.chain.sweep.SweepPage", "folders": []},
    },
}


def register(command: str) -> None:
    """Make the config of a command known to Hydra under the command's name, and the choices of each group."""
    if command not in COMMANDS:
        return
    store, known = ConfigStore.instance(), index(command)
    values = nested(each for name, each in known.options.items() if not name.startswith(f"{HYDRA}."))
    for name, group in known.groups.items():
        own = values.pop(name, None)
        choices = {choice: nested(each.options.values())[name] for choice, each in group.variants.items()}
        for choice, node in choices.items() or ([(group.chosen, own)] if own is not None else []):
            store.store(choice, node, group=name)
    chosen = [{name: group.chosen} for name, group in known.groups.items()]
    folders = FOLDERS if command == "run" else NO_FOLDER
    store.store(command, {"defaults": ["_self_", *chosen, *QUIET], **values, "hydra": folders})


def compose(command: str, overrides: Sequence[str] = (), *, return_hydra_config: bool = False) -> DictConfig:
    """Compose the config of a command; Hydra must be initialised with the package ``conf``."""
    register(command)
    return hydra.compose(command, overrides=list(overrides), return_hydra_config=return_hydra_config)


def verbatim_options(command: str) -> frozenset[str]:
    """Return the options whose value is one text or path, in which no character has a meaning for Hydra."""
    return frozenset(option.name for option in index(command).options.values() if option.verbatim)
