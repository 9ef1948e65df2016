"""The engine that computes functions of single clips: processes of this machine, or a Ray cluster."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from wordless.base.devices import cores
from wordless.base.errors import InputError
from wordless.base.ranges import require

ADDRESS = re.compile(r"auto|[\w.-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Options of the engine."""

    name: Literal["local", "ray"] = "local"
    address: str | None = None  # of a running Ray cluster; None: a cluster on this machine that ends with the command

    def __post_init__(self) -> None:
        if self.name == "local":
            return require(self.address is None, "engine.address", self.address, "only engine.name=ray has an address")
        if find_spec("ray") is None:
            raise InputError("engine.name=ray needs Ray, which is not installed: pip install 'wordless[ray]'")
        fits = self.address is None or ADDRESS.fullmatch(self.address) is not None
        rule = "name host:port of the cluster's head, auto (this machine's cluster), or null (start a cluster here)"
        require(fits, "engine.address", self.address, rule)

    def workers(self, wanted: int, *, enough: bool) -> int:
        """Return the number of workers: the wanted one, or for 0 one per core if there is ``enough`` to do.

        For Ray, 0 stays 0, which means all processors of the cluster.
        """
        return wanted if wanted or self.name == "ray" else cores() if enough else 1


LOCAL = EngineConfig()
