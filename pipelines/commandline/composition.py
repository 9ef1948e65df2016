"""The config of a command for Hydra: defaults of options, presets of ``conf/``, and errors in one line."""

import re
from collections.abc import Sequence
from typing import cast

import hydra
from hydra.core.config_store import ConfigStore
from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pipelines.commandline.commands import COMMANDS
from pipelines.commandline.option_index import HYDRA, TIME, Index, index, nested, unknown_option
from wordless.base.errors import InputError
from wordless.base.text import first_line, suggestion

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
        "folder": {"_target_": "pipelines.commandline.run_folders.ClaimedFolder"},
        # writes sweep.html and sweep.csv, which compare the jobs of a sweep
        "sweep": {"_target_": "pipelines.jobs.sweep_runs.SweepPage", "folders": []},
    },
}


def register(command: str) -> None:
    """Make the config of a command known to Hydra, and the choices of each group."""
    if command not in COMMANDS:
        return
    store, known = ConfigStore.instance(), index(command)
    values = nested([each for name, each in known.options.items() if not name.startswith(f"{HYDRA}.")])
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


AMBIGUOUS = re.compile(r"Ambiguous value for argument '(.*)'$", re.MULTILINE)  # several values without a sweep
REJECTED = re.compile(r"Could not \w+ .*?'([^']*)'")  # an option that a config does not have, in an error of Hydra


def resolved(config: DictConfig) -> dict[str, object]:
    """Return the config as plain dictionaries, lists and values, with interpolations resolved."""
    try:
        if missing := sorted(OmegaConf.missing_keys(config)):
            raise InputError(f"{', '.join(missing)} must be given: {' '.join(f'{key}=...' for key in missing)}")
        return plain(config)
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key}: {first_line(error)}; check what stands between ${{ and }}") from error


def explain(error: Exception, known: Index) -> InputError:
    """Turn an error of Hydra or OmegaConf about the words of a command into an `InputError`."""
    match error:
        case OverrideParseException():
            option = error.override.partition("=")[0] or "OPTION"
            remedy = f"in quotes, a value may hold anything: \"{option}='VALUE'\""
            return InputError(f"{error.override!r} does not parse: {first_line(error)}; {remedy}")
        case MissingConfigException():
            group, _, choice = str(error.missing_cfg_file).rpartition("/")
            if not group:
                return InputError(f"there is no configuration {choice!r}; see --help")
            if group.startswith("corpus/"):
                path = f"{group}/{choice}".removeprefix("corpus/")
                return InputError(f"corpus={path} is a path; name the folder of your recordings: corpus.root={path}")
            own = f"--config-dir FOLDER finds a preset of yours, FOLDER/{group}/{choice}.yaml"
            return InputError(f"{group}={choice} does not exist ({own}); {suggestion(choice, error.options or [])}")
        case ConfigCompositionException() if found := REJECTED.match(str(error)):
            key = found[1]
            if key in known.names:  # of another choice of its group
                return InputError(f"{key} is not an option with this choice of {key.partition('.')[0]}; see --help")
            return unknown_option(key, known)
        case ConfigCompositionException() if found := AMBIGUOUS.match(str(error)):
            name, _, value = found[1].partition("=")
            takes_list = name in known.options and known.options[name].takes_list
            remedy = f"write {name}=[{value}]" if takes_list else "name one"
            return InputError(f"{found[1]} has several values; {remedy}, or add -m for a sweep over them")
    cause = first_line(error.__cause__) if error.__cause__ is not None else ""
    return InputError(f"{first_line(error)}: {cause}" if cause else first_line(error))


def plain(config: DictConfig) -> dict[str, object]:
    return cast(dict[str, object], OmegaConf.to_container(config, resolve=True))
