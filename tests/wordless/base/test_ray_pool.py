"""Shards of clips on Ray: the results of this process in the same order, also where a node is lost."""

import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from wordless.base.messages import InputError
from wordless.base.pools import EngineConfig, in_order, open_pool

CLIPS = 60


def square(log: Path, seconds: float, number: int) -> int:
    import ray

    with log.open("a") as file:
        file.write(f"{number} {ray.get_runtime_context().get_node_id()}\n")
    if number < 0:
        raise InputError(f"number is {number}; choose 0 or more")
    time.sleep(seconds)
    return number * number


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """A cluster on this machine: a head without processors, and two nodes with one each."""

    cluster: Any  # ray.cluster_utils.Cluster
    workers: list[Any]  # its nodes


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """This process is connected to the cluster."""
    ray = pytest.importorskip("ray", reason="needs pip install 'wordless[ray]'")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    workers = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    yield Nodes(cluster=cluster, workers=workers)
    ray.shutdown()
    cluster.shutdown()


def test_an_address_where_nothing_answers_is_refused() -> None:
    """This test comes first: the fixture below connects this process to a cluster."""
    pytest.importorskip("ray", reason="needs pip install 'wordless[ray]'")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and nothing listens
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        engine = EngineConfig(name="ray", address=address)
        with pytest.raises(InputError, match=f"engine.address is {address}"), open_pool(engine, 0):
            pytest.fail("there is no cluster")


@pytest.mark.slow
def test_results_and_errors_of_clips_come_back(nodes: Nodes, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with open_pool(EngineConfig(name="ray"), 0, shared=[tmp_path]) as pool:
        assert list(in_order(partial(square, log, 0), range(CLIPS), pool)) == [each**2 for each in range(CLIPS)]
        with pytest.raises(InputError, match=r"^number\b.*-3\b.*\b0\b"):
            list(in_order(partial(square, log, 0), [1, 2, -3], pool))


@pytest.mark.slow
def test_a_node_that_does_not_see_the_recordings_is_refused(nodes: Nodes, tmp_path: Path) -> None:
    """A folder that vanishes stands for one that a node never had."""
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    with open_pool(EngineConfig(name="ray"), 0, shared=[recordings]) as pool:
        recordings.rmdir()
        with pytest.raises(InputError, match=rf"node .*{recordings}"):
            list(in_order(partial(square, tmp_path / "log", 0), range(CLIPS), pool))


@pytest.mark.slow
def test_a_lost_node_costs_only_the_shards_that_it_computed(nodes: Nodes, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with open_pool(EngineConfig(name="ray"), 0, shared=[tmp_path]) as pool:
        results = in_order(partial(square, log, 0.2), range(CLIPS), pool)
        first = next(results)
        while len({line.split()[1] for line in log.read_text().splitlines()}) < 2:  # both nodes have begun
            time.sleep(0.1)
        nodes.cluster.remove_node(nodes.workers.pop(), allow_graceful=False)
        assert [first, *results] == [each**2 for each in range(CLIPS)]
        shard = CLIPS // (4 * pool.workers)
    computed = Counter(line.split()[0] for line in log.read_text().splitlines())
    twice = [number for number, times in computed.items() if times > 1]
    assert len(computed) == CLIPS
    assert 0 < len(twice) <= shard
