"""The table of all trackers."""

from collections.abc import Sequence
from importlib.util import find_spec

from pipelines.tracking.mlflow import MLFLOW
from pipelines.tracking.tensorboard import TENSORBOARD
from pipelines.tracking.tracker import TrackerKind
from pipelines.tracking.wandb import WANDB
from wordless.base.errors import InputError
from wordless.base.text import suggestion

TRACKERS: dict[str, TrackerKind] = {kind.name: kind for kind in (TENSORBOARD, MLFLOW, WANDB)}


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that do not exist, are named twice, or need a library that is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise InputError(f"tracking={name} is not a tracker; {suggestion(name, TRACKERS)}")
        if names.count(name) > 1:
            raise InputError(f"tracking names {name} twice; name each tracker once")
        kind = TRACKERS[name]
        if missing := [module for module in kind.modules() if find_spec(module) is None]:
            install = f"pip install 'wordless[{kind.extra}]'" if kind.extra else "make install"
            raise InputError(f"tracking={name} needs {' and '.join(missing)}, not installed here: {install}")
