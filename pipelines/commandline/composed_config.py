"""The config that Hydra composes of a command's options, checked and completed."""

import re
from collections.abc import Mapping
from operator import methodcaller
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pipelines.commandline.command_words import unknown_option
from pipelines.commandline.option_index import HYDRA, Index, index, nested, option_value
from pipelines.settings.run_settings import with_choices
from wordless.base.messages import InputError, first_line, suggestion
from wordless.base.options import (
    convert,
    require_in_range,
)

COMMANDS_OWN = {  # options that all trainings of a command share -> what to do instead
    "fit.seed": "all trainings of a command follow its seed",
    "fit.checkpoint_minutes": "all trainings of a command have its checkpoint_minutes",
}


def refuse_overwritten(config: Mapping[str, Any], place: str = "") -> None:
    """Refuse options of single trainings that a preset sets, and that those of the command would write over."""
    for name, value in config.items():
        whole = f"{place}{name}"
        for option, rule in COMMANDS_OWN.items():
            if f".{whole}".endswith(f".{option}"):
                raise InputError(option=whole, value=value, rule=rule)
        if isinstance(value, Mapping):
            refuse_overwritten(value, f"{whole}.")


def require_values(config: Mapping[str, object], known: Index) -> None:
    """Refuse options of a composed config that are missing, of another type or out of range."""
    left_out = tuple(f"{each}." for each in known.omissible if option_value(config, each) is None)
    left_out += known.varied
    for name in sorted(known.options, key=methodcaller("count", ".")):  # others follow the seed
        option = known.options[name]
        if option.meaning is None or name.startswith(left_out):
            continue
        value: object = config
        for place in name.split("."):
            if not isinstance(value, Mapping):
                raise InputError(f"{name} is missing; leave its group as it is, and set single options")
            given, value = place in value, value.get(place)
        # a value that follows from others, such as the words of a corpus of sentences, is null until it is known
        if type(value) is type(option.default) and value == option.default and not isinstance(value, list | dict):
            continue  # most options have their default
        if value is not None or (given and option.default is not None):
            single = isinstance(value, str) and option.takes_list  # needs no brackets
            built = convert(option.kind, [value] if single else value, option=name)
            require_in_range(name, built, option.meaning, option.choices)


def completed(cls: type, config: Mapping[str, object]) -> dict[str, Any]:
    """Check the values of the composed config of a command, once, and return a copy with those that follow from others.

    ``cls`` is the dataclass of the command's options.
    """
    refuse_overwritten(config)
    require_values(config, index(cls))
    return with_choices(config)


# Groups whose presets choose for other groups. Hydra reads its list from the end, so they stand behind the others.
CHOOSING = ("baselines", "experiment")
QUIET = [{"override hydra/job_logging": "none"}, {"override hydra/hydra_logging": "none"}]
NO_FOLDER = {"output_subdir": None, "run": {"dir": "."}}


def register(name: str, cls: type, folders: Mapping[str, object] = NO_FOLDER) -> None:
    """Make the config of a command known to Hydra, the choices of each group, and the folders that Hydra makes."""
    store, known = ConfigStore.instance(), index(cls)
    values = nested([each for key, each in known.options.items() if not key.startswith(f"{HYDRA}.")])
    empty = dict[str, object]()  # keeps the order of the groups in the config
    for key, group in known.groups.items():
        if (own := values.pop(key, None)) is not None:
            empty[key] = {}
        choices = {choice: nested(each.options.values())[key] for choice, each in group.variants.items()}
        for choice, node in choices.items() or ([(group.chosen, own)] if own is not None else []):
            store.store(choice, node, group=key)
    order = sorted(known.groups, key=lambda key: CHOOSING.index(key) if key in CHOOSING else -1)
    chosen = [{key: known.groups[key].chosen} for key in order]
    store.store(name, {"defaults": ["_self_", *chosen, *QUIET], **values, **empty, "hydra": folders})


AMBIGUOUS = re.compile(r"Ambiguous value for argument '(.*)'$", re.MULTILINE)  # several values without a sweep
_REJECTED = re.compile(r"Could not \w+ .*?'([^']*)'")  # an option that a config does not have, in an error of Hydra


def resolved(config: DictConfig) -> dict[str, object]:
    """Return the config as plain dictionaries, lists and values, with interpolations resolved."""
    try:
        if missing := sorted(OmegaConf.missing_keys(config)):
            raise InputError(f"{', '.join(missing)} must be given: {' '.join(f'{key}=...' for key in missing)}")
        return plain_config(config)
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
        case ConfigCompositionException() if found := _REJECTED.match(str(error)):
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


def plain_config(config: DictConfig) -> dict[str, object]:
    return cast(dict[str, object], OmegaConf.to_container(config, resolve=True))
