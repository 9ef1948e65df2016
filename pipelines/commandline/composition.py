"""The config of a command for Hydra: the defaults of its options, beside the presets of ``conf/``."""

from hydra.core.config_store import ConfigStore

from pipelines.commandline.commands import OPTIONS
from pipelines.commandline.options import defaults, index_of, options_class

QUIET = [{"override hydra/job_logging": "none"}, {"override hydra/hydra_logging": "none"}]
NO_FOLDER = {"output_subdir": None, "run": {"dir": "."}}


def register(command: str) -> None:
    """Make the config of a command known to Hydra under the command's name."""
    if command in OPTIONS:
        cls = options_class(command)
        ConfigStore.instance().store(command, {"defaults": ["_self_", *QUIET], **defaults(cls), "hydra": NO_FOLDER})


def verbatim_options(command: str) -> frozenset[str]:
    """Return the options whose value is one text or path, in which no character has a meaning for Hydra."""
    options = index_of(options_class(command)).options.values() if command in OPTIONS else ()
    return frozenset(option.name for option in options if option.verbatim)
