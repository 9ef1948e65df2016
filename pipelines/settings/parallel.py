"""The number of stages that a run makes at the same time, each in a process of its own."""

from wordless.base.errors import InputError
from wordless.base.machine import Device, choose_device, cores, is_under_torchrun, use_threads
from wordless.base.pools import LOCAL, EngineConfig, is_started_by_another

MAX_THREADS = 1024  # above it the system refuses threads, and libraries end the process


def require_parallel(parallel: int | None, *, device: Device, engine: EngineConfig = LOCAL) -> None:
    """Refuse several stages at the same time where they would share a GPU, or each start a Ray cluster of all cores."""
    if parallel is not None and parallel > 1 and (why := _shared(device, engine)):
        raise InputError(option="parallel", value=parallel, rule=f"{why}: choose 1")


def choose_parallel(parallel: int | None, *, threads: int | None, device: Device, engine: EngineConfig = LOCAL) -> int:
    """Return the number of stages at the same time; None: as many as there are cores for, or one at an `obstacle`."""
    if parallel is not None:
        return parallel
    return 1 if threads is None or obstacle(threads, device, engine) else _processes(threads)


def branch_threads(threads: int | None, *, device: Device, engine: EngineConfig = LOCAL) -> int | None:
    """Return the threads of the stages behind the codes in a run with two branches; None: each library's own number.

    Threads decide the rounding of weights, and `parallel` must not. So the number is the same for a run that makes the
    branches one after the other by ``parallel=1``, or because it is a job of a sweep: half of the cores, unless it is
    given. Where options, torchrun or the number of cores never allow both at once, each branch has all threads.
    """
    if threads is not None or engine.name != "local" or is_under_torchrun() or choose_device(device).type != "cpu":
        return threads
    half = max(use_threads(None) // 2, 1)
    return half if _processes(half) > 1 else None


def obstacle(threads: int | None, device: Device, engine: EngineConfig = LOCAL) -> str:
    """Say why stages are made one after the other unless a number is given; empty if there is no reason."""
    if threads is None:
        return "threads is null; with a number of threads, such as threads=1, several are made at the same time"
    return (
        "this process is one of several, which share the cores" if is_started_by_another() else _shared(device, engine)
    )


def _shared(device: Device, engine: EngineConfig) -> str:
    """Say what several processes would share or start several times; empty if there is nothing."""
    if is_under_torchrun():
        return "the processes of torchrun share each training"
    if engine.name == "ray" and engine.address is None:
        remedy = "engine.address=auto names a running one (ray start --head)"
        return f"each process would start a Ray cluster of all cores; {remedy}"
    return "all processes would share the GPU" if choose_device(device).type == "cuda" else ""


def _processes(threads: int) -> int:
    """Return the number of processes with ``threads`` each for which this machine has cores; at least 1."""
    return max(cores() // threads, 1)
