"""The engine that computes functions of single clips: processes of this machine, or a Ray cluster."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from wordless.base.devices import cores
from wordless.base.errors import InputError
from wordless.base.options import Options, option

ADDRESS = re.compile(r"auto|[\w.-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")


@dataclass(frozen=True, kw_only=True)
class EngineConfig(Options):
    """Options of the engine."""

    name: Literal["local", "ray"] = option(
        "local", "processes of this machine, or tasks of a Ray cluster (docs/scale.md)"
    )
    address: str | None = option(
        None,
        "host:port of the head of a Ray cluster, or auto for this machine's cluster; null: starts a cluster here, "
        "which ends with the command",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name == "local" and self.address is not None:
            raise InputError(option="address", value=self.address, rule="only name=ray has an address")
        if self.name == "ray" and find_spec("ray") is None:
            rule, remedy = "it needs Ray, which is not installed", "pip install 'wordless[ray]'"
            raise InputError(option="name", value=self.name, rule=rule, remedy=remedy)
        if self.address is not None and ADDRESS.fullmatch(self.address) is None:
            rule = "name host:port of the cluster's head, auto (this machine's cluster), or null (start a cluster here)"
            raise InputError(option="address", value=self.address, rule=rule)

    def workers(self, wanted: int, *, enough: bool) -> int:
        """Return the number of workers: the wanted one, or for 0 one per core if there is ``enough`` to do.

        For Ray, 0 stays 0, which means all processors of the cluster.
        """
        return wanted if wanted or self.name == "ray" else cores() if enough else 1


LOCAL = EngineConfig()
