"""How the processes that torchrun started find each other, also after torchrun has restarted them.

torchrun's agent keeps one `TCPStore` over all restarts of its processes, and PyTorch's process groups write the same
keys into it each time. So a restarted process may read the address of a process that is gone, and wait for it. The
number of restarts does not tell attempts apart: each machine's agent has its own, and machines that come or go restart
all processes without counting. So the processes agree on a new name for each attempt, which stands before its keys:

```
rank 1 .. n-1     question/<rank> = <a random name of this process>
rank 0            answer/<name of each process that asks> = <a random name of the attempt>
rank 1 .. n-1     <attempt>/<rank>: I am here
rank 0            <attempt>/all: everyone is here
```

A question of a process that is gone is answered, but that process says nothing more, and the one that took its rank
asks with another name. So rank 0 answers whoever asks until all ranks of its own attempt are here.
"""

import time
from datetime import timedelta
from uuid import uuid4

import torch
from torch import distributed
from torch.distributed import ProcessGroup
from torch.distributed.distributed_c10d import PrefixStore, Store, _set_pg_timeout
from torch.distributed.rendezvous import rendezvous

from wordless.base.messages import InputError, first_line

# torchrun starts the processes of all machines together; what differs is how long they import, also from a network.
CONNECTING = timedelta(minutes=10)
# Rank 0 may work alone for hours (encoding a corpus, clustering) while the others wait at a barrier.
_PATIENCE = timedelta(days=2)
_SECONDS_BETWEEN_LOOKS = 0.05
_ALL = "all"


def join(device: torch.device) -> ProcessGroup:
    """Connect this process with the others that torchrun started, over gloo on CPUs and NCCL on GPUs.

    Raises:
        InputError: they have not found each other within `CONNECTING`.
    """
    number, size = 0, 1
    try:
        store, number, size = next(rendezvous("env://", timeout=CONNECTING))
        store.set_timeout(CONNECTING)
        distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=PrefixStore(attempt(store, number, size), store),
            rank=number,
            world_size=size,
            timeout=CONNECTING,
            device_id=device if device.type == "cuda" else None,  # then NCCL connects at once, too
        )
    except RuntimeError as error:  # PyTorch's errors of stores, networks and backends
        minutes = f"{CONNECTING.total_seconds() / 60:g} minutes"
        problem = f"process {number} of {size} has not reached the others (limit: {minutes}): {first_line(error)}"
        remedy = (
            "look for a process that ended or never started, and for a machine that the others cannot reach; "
            "torchrun --max-restarts=3 tries again by itself"
        )
        raise InputError(problem, remedy=remedy) from error
    group = distributed.group.WORLD
    assert group is not None
    _set_pg_timeout(_PATIENCE, group)  # PyTorch 2.9 has no public function for it
    return group


def attempt(store: Store, number: int, size: int) -> str:
    """Agree with the other processes of this attempt on its name; a `RuntimeError` if they do not come in time."""
    own = uuid4().hex
    if number > 0:
        store.set(f"question/{number}", own)
        name = store.get(f"answer/{own}").decode()  # waits for it
        store.set(f"{name}/{number}", own)
        store.wait([f"{name}/{_ALL}"])
        return name
    deadline = time.monotonic() + CONNECTING.total_seconds()
    missing = {*range(1, size)}
    while missing:
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing was heard of {', '.join(map(str, sorted(missing)))}")
        for each in [*missing]:
            if store.check([f"{own}/{each}"]):
                missing.remove(each)
            elif store.check([f"question/{each}"]):
                store.set(f"answer/{store.get(f'question/{each}').decode()}", own)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    store.set(f"{own}/{_ALL}", own)
    return own
