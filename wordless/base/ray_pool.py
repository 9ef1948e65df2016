"""A Ray cluster as a pool: each task is a shard of clips, which another node computes again if its node is lost."""

import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from wordless.base.messages import InputError

T = TypeVar("T")
R = TypeVar("R")

_ATTEMPTS = 4  # of a task whose node or process is lost, before the command ends with an error
SECONDS_TO_CONNECT = 10.0


def ray_pool(
    address: str | None,
    workers: int,
    *,
    cores: int,
    compute: Callable[[Callable[[T], R], Sequence[T]], list[R]],
    shared: Sequence[Path],
    gpu: bool,
) -> dict[str, Any]:
    """Connect this process to a cluster, once, and use ``workers`` of its processors or GPUs; 0: all.

    Without an address the cluster is started on this machine, for these workers or all ``cores``. ``compute`` does a
    task there. Returns the fields of a `wordless.base.pools.Pool`.
    """
    if not ray.is_initialized():
        _connect(address, workers or cores)
    here = [path.absolute() for path in shared if path.exists()]
    kind = "GPU" if gpu else "CPU"
    there = int(ray.cluster_resources().get(kind, 0))
    if there < 1:
        rule = f"the cluster has no {kind}: start nodes with one, or compute on CPUs"
        raise InputError(option="name", value="ray", rule=rule)
    remote = ray.remote(num_cpus=1, num_gpus=1 if gpu else 0, max_retries=_ATTEMPTS - 1)(_compute)

    def submit(work: Callable[[T], R], jobs: Sequence[T]) -> _RayTask[R]:
        return _RayTask(remote.remote(compute, work, jobs, here, Path.cwd()))

    used = min(workers or there, there)
    # Waiting tasks keep all nodes busy; where others use the cluster, or it may grow, ``workers`` is a limit.
    ahead = 16 * there if not workers or address is None else used
    return {"submit": submit, "workers": used, "ahead": ahead, "most_clips": 32}


class _RayTask(Generic[R]):
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
            lost = (
                f"Ray lost a task {_ATTEMPTS} times ({type(error).__name__}), most likely for lack of memory or nodes"
            )
            raise InputError(lost, remedy="nothing finished is lost: go on with the same command") from error

    def cancel(self) -> None:
        """Give up the task if no node has begun it."""
        ray.cancel(self._reference)


def _compute(
    compute: Callable[[Callable[[T], R], Sequence[T]], list[R]],
    work: Callable[[T], R],
    jobs: Sequence[T],
    shared: Sequence[Path],
    folder: Path,
) -> list[R]:
    """Compute a shard on any node, which must see the shared paths. Relative paths begin in ``folder``."""
    if folder.is_dir():
        os.chdir(folder)
    if missing := [path for path in shared if not path.exists()]:
        node = ray.util.get_node_ip_address()
        rule = f"node {node} does not see {missing[0]}: mount the folder there under the same path"
        raise InputError(option="name", value="ray", rule=rule)
    return compute(work, jobs)


def _connect(address: str | None, workers: int) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send statistics of its use to its makers
    connect = partial(ray.init, log_to_driver=False, logging_level="ERROR")
    host, _, port = (address or "").rpartition(":")
    try:
        if address is None:
            connect(address="local", num_cpus=workers, include_dashboard=False)
            return
        if host:  # where nothing answers, Ray itself would try for a minute
            socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_TO_CONNECT).close()
        connect(address=address)
    except Exception as error:  # Ray raises a plain Exception where its processes take too long
        rule = f"there is no such cluster ({str(error).strip().partition(chr(10))[0]})"
        remedy = (
            "start one with `ray start --head`, name the address that it prints, or `address`=auto on its machine, and "
            "make this machine a node of it with ray start --address=..."
        )
        raise InputError(option="address", value=address, rule=rule, remedy=remedy) from error
