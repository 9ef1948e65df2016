"""A Ray cluster as a pool: each task is a shard of clips, which another node computes again if its node is lost."""

import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from wordless.base.errors import InputError
from wordless.base.machine import cores
from wordless.base.pools import Pool, Task, compute

T = TypeVar("T")
R = TypeVar("R")

ATTEMPTS = 4  # of a task whose node or process is lost, before the command ends with an error
SECONDS_TO_CONNECT = 10.0
SECONDS_TO_LOOK = 300.0  # for the first look of every node, which starts a process and imports PyTorch


def ray_pool(address: str | None, workers: int, *, shared: Sequence[Path], gpu: bool) -> Pool:
    """Connect this process to a cluster, once, and use ``workers`` of its processors or GPUs; 0: all.

    Without an address the cluster is one that is started on this machine, for these workers.

    Raises:
        InputError: there is no cluster at the address, or one of its nodes does not see the shared paths.
    """
    if not ray.is_initialized():
        _connect(address, workers)
    here = [path.absolute() for path in shared if path.exists()]
    _require_everywhere(here)
    kind = "GPU" if gpu else "CPU"
    there = int(ray.cluster_resources().get(kind, 0))
    if there < 1:
        rule = f"the cluster has no {kind}: start nodes with one, or compute on CPUs"
        raise InputError(option="name", value="ray", rule=rule)
    remote = ray.remote(num_cpus=1, num_gpus=1 if gpu else 0, max_retries=ATTEMPTS - 1)(_compute)

    def submit(work: Callable[[T], R], jobs: Sequence[T]) -> Task[R]:
        return _RayTask(remote.remote(work, jobs, here, Path.cwd()))

    used = min(workers or there, there)
    # Waiting tasks keep all nodes busy; where others use the cluster, or it may grow, ``workers`` is a limit.
    ahead = 16 * there if not workers or address is None else used
    return Pool(submit=submit, workers=used, ahead=ahead, most_clips=32)


class _RayTask(Generic[R]):
    """A task of Ray."""

    def __init__(self, reference: "ray.ObjectRef[list[R]]") -> None:
        self._reference = reference

    def result(self) -> list[R]:
        """Wait for the results, and raise the error of the clip that has one."""
        try:
            results: list[R] = ray.get(self._reference)
            return results
        except RayTaskError as error:
            raise error.cause from error
        except RayError as error:
            lost = f"Ray lost a task {ATTEMPTS} times ({type(error).__name__}), most likely for lack of memory or nodes"
            raise InputError(lost, remedy="nothing finished is lost: go on with the same command") from error

    def cancel(self) -> None:
        """Give up the task if no node has begun it."""
        ray.cancel(self._reference)


def _compute(work: Callable[[T], R], jobs: Sequence[T], shared: Sequence[Path], folder: Path) -> list[R]:
    """Compute a shard on any node; a node that joined later is looked at here for the first time.

    Relative paths begin in ``folder``, as in the command.
    """
    if folder.is_dir():
        os.chdir(folder)
    if missing := _unseen(shared):
        raise _unseen_by(ray.util.get_node_ip_address(), missing[0])
    return compute(work, jobs)


def _connect(address: str | None, workers: int) -> None:
    """Connect to the cluster, or start one on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send statistics of its use to its makers
    connect = partial(ray.init, log_to_driver=False, logging_level="ERROR")
    host, _, port = (address or "").rpartition(":")
    try:
        if address is None:
            connect(address="local", num_cpus=workers or cores(), include_dashboard=False)
            return
        if host:  # where nothing answers, Ray itself would try for a minute
            socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_TO_CONNECT).close()
        connect(address=address)
    except Exception as error:  # Ray raises a plain Exception where its processes take too long
        reason = str(error).strip().partition("\n")[0]
        if address is None:
            rule, remedy = f"no cluster can be started on this machine ({reason})", "call `ray start --head`"
            raise InputError(
                option="name", value="ray", rule=rule, remedy=f"{remedy}, and add `address`=auto"
            ) from error
        if not isinstance(error, OSError | RuntimeError | ValueError | OverflowError):
            raise
        rule = f"it cannot be used ({reason})"
        remedy = (
            "start the cluster with `ray start --head`, name the address that it prints, and make this machine a node "
            f"of it with `ray start --address={address}`, or leave the address out"
        )
        raise InputError(option="address", value=address, rule=rule, remedy=remedy) from error


def _require_everywhere(shared: Sequence[Path]) -> None:
    """Refuse nodes that do not see the shared paths, before any clip is sent to them."""
    look = ray.remote(num_cpus=0, max_retries=0)(_unseen)
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    looks = {
        host: look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(shared)
        for node, host in nodes.items()
    }
    for host, found in looks.items():
        try:
            missing = ray.get(found, timeout=SECONDS_TO_LOOK)
        except (RayError, GetTimeoutError) as error:
            reason = str(error).strip().rpartition("\n")[2]
            rule = f"node {host} cannot run Wordless ({reason}): install the same version there"
            raise InputError(option="name", value="ray", rule=rule) from error
        if missing:
            raise _unseen_by(host, missing[0])


def _unseen(shared: Sequence[Path]) -> list[Path]:
    return [path for path in shared if not path.exists()]


def _unseen_by(host: str, path: Path) -> InputError:
    rule = f"node {host} does not see {path}: mount the folder there under the same path"
    return InputError(option="name", value="ray", rule=rule)
