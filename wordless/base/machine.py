"""The machine: devices, memory, threads, pools of workers, installed libraries, and functions that numba compiles.

`Batch`, the base class of training batches, is here because it moves tensors to the device. A pool computes a function
of many clips in this process, in processes or threads of this machine, or in tasks of Ray, with the same results in
the same order; `EngineConfig` chooses. Child processes end when their parent has ended. PyTorch is imported inside
functions, after the options are checked.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import inspect
import os
import re
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial, wraps
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from multiprocessing import active_children, current_process, get_context, parent_process
from pathlib import Path
from threading import Lock, Thread, local
from typing import TYPE_CHECKING, Any, ClassVar, Literal, ParamSpec, TypeVar, cast

from threadpoolctl import ThreadpoolController

from wordless.base.files import take_lock
from wordless.base.messages import InputError, first_line, within
from wordless.base.options import Options, option

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Device = Literal["auto", "cpu", "cuda"]
NO_DEVICE = "choose cpu, or see wordless doctor"
B = TypeVar("B", bound="Batch")
T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")
_found_version = cache(version)  # each entry of a store names ten libraries, and each search takes milliseconds
ADDRESS = re.compile(r"auto|[\w.-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
SECONDS_BETWEEN_LOOKS = 0.5
TASKS_PER_WORKER = 4  # at least, so that no worker waits long for the last one


def choose_device(wanted: Device) -> torch.device:
    """Return the device of that name; ``auto`` means the GPU if there is one."""
    import torch

    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise InputError(option="device", value=wanted, rule="PyTorch sees no GPU", remedy=NO_DEVICE)
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def require_device(name: str) -> str:
    """Return the name of a device that PyTorch can use: ``cpu``, ``cuda`` or ``cuda:1``; refuse others."""
    import torch

    try:
        kind = torch.empty(0, device=name).device.type
    except (RuntimeError, AssertionError) as error:
        raise InputError(option="device", value=name, rule=first_line(error), remedy=NO_DEVICE) from error
    if kind not in ("cpu", "cuda"):  # such as mps, which has no float64
        raise InputError(option="device", value=name, rule="the models work on cpu and cuda alone", remedy=NO_DEVICE)
    return name


def local_gpus(device: torch.device) -> range:
    """Return the GPUs that this process and its neighbours on this machine were given: one each under torchrun."""
    if device.type != "cuda":
        return range(0)
    if is_under_torchrun():  # its processes have the first GPUs, and wait while one of them works
        return range(int(os.environ["LOCAL_WORLD_SIZE"]))
    first = device.index or 0
    return range(first, first + 1)


def multiplies_bf16(device: torch.device) -> bool:
    """Return whether a GPU (since Ampere), or a processor (AVX512_BF16), has instructions for bfloat16 products."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())  # PyTorch 2.9 has no public function for it


@contextmanager
def fast_products(device: torch.device, *, fast: bool = True) -> Iterator[None]:
    """Let GPUs round the inputs of float32 products to TF32 within a block, or not; CPUs compute as before.

    Training needs no more than its 10 bits. Codes need exact products, so that a GPU finds those of a CPU.
    """
    import torch

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = fast and (before or device.type == "cuda")
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function compute in the types of its tensors, whatever ``torch.autocast`` it is called in.

    Codes name clusters: a sound must not get other ones in the training loop of somebody's network in bfloat16. Of a
    generator each step is exact, and what the caller computes between the steps is as the caller wants it.
    """
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def give(*args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
            with closing(function(*args, **kwargs)) as found:
                while True:
                    with _without_autocast():
                        try:
                            value = next(found)
                        except StopIteration:
                            return
                    yield value

        return cast("Callable[P, R]", give)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with _without_autocast():
            return function(*args, **kwargs)

    return call


@contextmanager
def _without_autocast() -> Iterator[None]:
    import torch

    with ExitStack() as stack:
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def copy_to(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the tensor on a device; a copy to a GPU goes through pinned memory, and nothing waits for its end."""
    if device.type == tensor.device.type or tensor.device.type != "cpu":
        return tensor.to(device)
    pinned = tensor.pin_memory() if device.type == "cuda" else tensor
    return pinned.to(device, non_blocking=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """The tensors of a training step, and numbers that are known on the host."""

    on_host: ClassVar[tuple[str, ...]] = ()  # tensors that stay there, because they are used there

    def to(self: B, device: torch.device) -> B:
        """Return the same batch on a device."""
        from torch import Tensor

        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        moved = {name: copy_to(value, device) for name, value in tensors.items() if name not in self.on_host}
        return replace(self, **moved)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_under_torchrun() -> bool:
    """Return whether torchrun started this process; a pod of Kubernetes can have RANK and WORLD_SIZE without it."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank(name: Literal["RANK", "LOCAL_RANK"] = "RANK") -> int:
    """Return this process's number among those of torchrun, on all machines or on this one; 0 without torchrun."""
    return int(os.environ.get(name, "0")) if is_under_torchrun() else 0


@lru_cache(maxsize=1)
def _thread_pools(modules: int) -> ThreadpoolController:
    return ThreadpoolController()


def limit_pools(count: int) -> AbstractContextManager[object]:
    """Set the threads of BLAS and OpenMP in all loaded libraries; a ``with`` block restores them at its end.

    A search for these libraries takes 5 ms, and some stages set a limit for each clip. A library is loaded with a
    module, so the result of the last search is used until another module is imported.
    """
    limits: AbstractContextManager[object] = _thread_pools(len(sys.modules)).limit(limits=count)
    return limits


def use_threads(count: int | None) -> int:
    """Set the threads of PyTorch, FAISS and BLAS; None keeps each library's own number. Return PyTorch's number."""
    import torch  # options of threads are checked before

    if count is not None:
        os.environ["OMP_NUM_THREADS"] = str(count)  # for libraries that are loaded later
        torch.set_num_threads(count)
        limit_pools(count)  # for libraries that are loaded already; the limit stays until another one is set
    return torch.get_num_threads()


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Set the threads of PyTorch, FAISS and BLAS as `use_threads` does, until the block ends."""
    import torch

    before, variable = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    if count in (None, before):
        yield
        return
    with limit_pools(count):  # remembers the numbers of BLAS and sets them again at the end
        use_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)
            del os.environ["OMP_NUM_THREADS"]
            if variable is not None:
                os.environ["OMP_NUM_THREADS"] = variable


_entering = Lock()
_outermost: list[int] = []  # for each thread of Python within `one_thread`, the number of threads before all of them
_nested = local()


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit PyTorch to one thread; a step of WaveNet took three times as long on two threads as on one.

    A thread of Python begins with PyTorch's latest number, so what it finds may be the limit of another thread. The
    number before the first of several blocks that run at once is the one that all of them return to.
    """
    import torch

    if getattr(_nested, "depth", 0):
        before = torch.get_num_threads()
    else:
        with _entering:
            before = _outermost[0] if _outermost else torch.get_num_threads()
            _outermost.append(before)
    _nested.depth = getattr(_nested, "depth", 0) + 1
    torch.set_num_threads(1)
    try:
        yield
    finally:
        _nested.depth -= 1
        if not _nested.depth:
            with _entering:
                _outermost.pop()
        torch.set_num_threads(before)


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
        """Return the number of workers: the wanted one, or for 0 one per core if it pays; of Ray, 0 means all."""
        return wanted if wanted or self.name == "ray" else cores() if enough else 1


LOCAL = EngineConfig()


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Workers that compute tasks."""

    # lets a worker compute a function of each job; the task has `result`, their list, and `cancel`
    submit: Callable[[Callable[[Any], Any], Sequence[Any]], Any]
    workers: int = 1  # tasks that are computed at the same time
    ahead: int = 1  # tasks of which no result has been taken, at most
    most_clips: int = 1  # of a task


def compute(work: Callable[[T], R], jobs: Sequence[T]) -> list[R]:
    """Return the results of ``work`` for each job, computed on one thread: what every worker does."""
    with one_thread():
        return [work(job) for job in jobs]


def _compute_now(work: Callable[[T], R], jobs: Sequence[T]) -> Future[list[R]]:
    done: Future[list[R]] = Future()
    done.set_result(compute(work, jobs))
    return done


THIS_PROCESS = Pool(submit=_compute_now)  # each clip is computed when its result is wanted


def in_order(work: Callable[[T], R], jobs: Sequence[T], pool: Pool, *, large: bool = False) -> Iterator[R]:
    """Give the results of ``work`` for each job, computed by a pool, each on one thread.

    ``large`` results may fill the memory, so at most two tasks for each worker are ahead of what is taken.
    """
    clips = max(min(len(jobs) // (TASKS_PER_WORKER * pool.workers), pool.most_clips), 1)
    ahead = min(pool.ahead, 2 * pool.workers) if large else pool.ahead
    waiting = deque[Any]()
    try:
        for start in range(0, len(jobs), clips):
            waiting.append(pool.submit(work, jobs[start : start + clips]))
            if len(waiting) >= ahead:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise _ended_worker("workers=1") from error
    except (Exception, GeneratorExit):  # after an interrupt the pool ends its tasks itself
        for task in waiting:
            task.cancel()
        raise


@contextmanager
def open_pool(
    engine: EngineConfig, workers: int, *, shared: Sequence[Path] = (), gpu: bool = False, threads: bool = False
) -> Iterator[Pool]:
    """Start the workers of an engine. ``shared`` are files and folders that each must see, also on other machines.

    With ``gpu``, each task of Ray has a GPU; processes of one machine share theirs. ``threads`` are enough for
    functions that release Python's lock and read no models; their numbers of threads stay as they are.
    """
    if engine.name == "ray":
        from wordless.base.ray_pool import ray_pool  # seconds of imports, and an extra

        with within("engine"):
            pool = Pool(**ray_pool(engine.address, workers, cores=cores(), compute=compute, shared=shared, gpu=gpu))
        yield pool
    elif threads:
        executor, workers = ThreadPoolExecutor(max(workers, 1)), max(workers, 1)
        submit = lambda work, jobs: executor.submit(lambda: [work(job) for job in jobs])  # noqa: E731
        try:
            yield Pool(submit=submit, workers=workers, ahead=16 * workers)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
    elif workers <= 1:
        yield THIS_PROCESS
    else:
        with _spawn(workers, end_with_parent, killed_at=KeyboardInterrupt) as start:
            yield Pool(submit=partial(start, compute), workers=workers, ahead=16 * workers, most_clips=8)


@contextmanager
def open_processes(count: int, begin: Callable[[], object], *, threads: int) -> Iterator[Callable[..., Future[Any]]]:
    """Start processes for long work, which call ``begin`` first and compute with ``threads`` each.

    An error in the block ends them at once, and so does an interrupt.
    """
    with _spawn(count, partial(_begin_process, begin, threads), killed_at=BaseException) as submit:
        try:
            yield submit
        except BrokenProcessPool as error:
            raise _ended_worker("parallel=1") from error


def _begin_process(begin: Callable[[], object], threads: int) -> None:
    use_threads(threads)
    end_with_parent()
    begin()


@contextmanager
def _spawn(
    processes: int, begin: Callable[[], object], *, killed_at: type[BaseException]
) -> Iterator[Callable[..., Future[Any]]]:
    """Start processes that call ``begin`` first and see no interrupt; an error ``killed_at`` kills them."""
    others = active_children()
    # Forking a process that runs torch threads may hang: start fresh ones.
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=begin) as pool:

        def submit(work: Callable[..., R], *jobs: object) -> Future[R]:
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                return pool.submit(work, *jobs)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

        try:
            yield submit
        except killed_at:  # a broken pool may not hold cancelled tasks, so they are not cancelled before
            for process in {*active_children()} - {*others}:
                process.kill()
            raise


def _ended_worker(option: str) -> InputError:
    """Describe a process that the system ended, as the kernel does where memory runs out."""
    remedy = f"call the same command with {option}; what it has finished is kept where it resumes"
    return InputError("the system ended a worker process, most likely because memory ran out", remedy=remedy)


def is_started_by_another() -> bool:
    """Return whether this process was started by torchrun or by a pool of processes, such as that of a sweep."""
    return is_under_torchrun() or current_process().name != "MainProcess"


@cache
def end_with_parent() -> None:
    """End this process at once when its parent is gone: who is killed tells nobody, and locks would stay held."""
    Thread(target=_watch, args=[os.getppid()], daemon=True).start()


def _watch(parent: int) -> None:
    if (starter := parent_process()) is not None:
        with suppress(ValueError):  # workers of joblib know the id of their parent alone
            starter.join()
        parent = starter.pid or parent
    while os.getppid() == parent:  # on Linux and macOS, a process whose parent is gone gets another parent
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)  # no cleanup: it could wait for other processes that are gone


@contextmanager
def without_collection() -> Iterator[None]:
    """Pause Python's search for circles among objects, which takes a third of the time of a million new objects."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def large_imports() -> Iterator[None]:
    """Pause the search for circles in a block that imports, and leave its objects out of each later search.

    PyTorch and pandas make hundreds of thousands of objects, which stay. Searches among them take a sixth of the
    processor time of a run that computes nothing.
    """
    with without_collection():
        yield
        if not gc.get_freeze_count():  # the block of a later job of this process imports nothing new
            gc.freeze()
            atexit.register(gc.unfreeze)  # or objects outlive the modules that they need to close files


def installed_version() -> str:
    """Return the version of the installed distribution, or "(not installed)" in a bare checkout."""
    return version_of("wordless") or "(not installed)"


def library_versions() -> dict[str, str]:
    """Return the versions of installed libraries that affect artifacts."""
    names = "torch torchaudio faiss-gpu faiss-cpu fairseq2 scikit-learn numpy soundfile av soxr"
    return {name: version for name in names.split() if (version := version_of(name)) is not None}


def version_of(distribution: str) -> str | None:
    """Return the installed version, or None."""
    with suppress(PackageNotFoundError):
        return _found_version(distribution)
    return None


LOCK = "wordless-compiling.lock"


@contextmanager
def compiling() -> Iterator[None]:
    """Run a block that numba may compile in, while no other process or thread runs such a block; do not nest them.

    numba writes its cache without a lock: two processes at once can give two types of a function one file. From then on
    each calls machine code of the wrong type and dies of a segmentation fault, until the cache's files are deleted. If
    no lock file can be written and locked, nothing is locked.
    """
    with ExitStack() as stack:
        for path in lock_paths():
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                handle = stack.enter_context(path.open("a"))
                take_lock(handle)
                # closing is not enough where a forked process has the file open
                stack.callback(fcntl.flock, handle, fcntl.LOCK_UN)
                break
        yield


@contextmanager
def importing(name: str) -> Iterator[None]:
    """Lock a block that imports the module ``name``, in which numba compiles some functions, if it is not imported."""
    with nullcontext() if name in sys.modules else compiling():
        yield


def lock_paths() -> list[Path]:
    """Return the possible paths of the lock file: in the user's cache, else in the folder of temporary files."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  Path raises without a home
    return [Path(cache, "wordless", LOCK), Path(tempfile.gettempdir(), f"{os.getuid()}-{LOCK}")]


@cache
def kernel(function: Callable[..., Any]) -> Any:  # a dispatcher of numba, which has no types
    """Compile once per type of machine, and cache the result if a cache folder is writable."""
    from numba import njit

    try:
        return njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return njit(nogil=True, error_model="numpy")(function)


def compiles() -> bool:
    """Return whether numba may compile here: NUMBA_DISABLE_JIT=1 forbids it."""
    from numba import config

    return not config.DISABLE_JIT


def call_kernel(compiled: Any, *arguments: Any) -> Any:
    """Call a kernel, which is first loaded from numba's cache, or compiled, if its types are new to this process.

    With NUMBA_DISABLE_JIT=1 it is the function itself, in Python: the same numbers, some hundred times more slowly.
    """
    from numba import typeof

    if not compiles():
        return compiled(*arguments)
    kinds = tuple(map(typeof, arguments))
    if kinds not in compiled.overloads:
        with compiling():
            compiled.compile(kinds)
    return compiled(*arguments)
