"""What a step of every training asks of a device, and of the host: counts, which are the same on every machine."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import torch
from rich.console import Console

from pipelines.benchmarks.counting import CPU, META, HostWork, Placement, count_compiled, count_step
from pipelines.benchmarks.measurement import table, timed
from pipelines.benchmarks.trainings import TRAININGS, TrainingKind
from wordless.base.errors import InputError
from wordless.base.machine import Batch
from wordless.training.fit import Batches

BATCHES = 3  # that are timed together


def measure_steps(names: Sequence[str] | None, *, repeats: int, compiled: bool) -> dict[str, object]:
    """Count the operators of a step with a batch of two, and time the host for a batch of the default size.

    Beside a GPU, the host reads clips and draws numbers, and queues the rest.

    The operators do not depend on the sizes of network and batch, but for networks that compute clips group by group.
    """
    for name in names or ():
        if name not in TRAININGS:
            raise InputError(option="trainings", value=name, rule=f"choose some of {', '.join(TRAININGS)}")
    torch.set_num_threads(1)
    title = "operators and kernels (without views) of a step; kB, and ms of the host, of a batch of the default size"
    columns = ("operators", "kernels", "allowed", "waits", "copies", "kB", "host", "beside a GPU", "queued")
    of_compiled = ("compiled operators", "compiled kernels") if compiled else ()
    rows, found = table("training", *columns, *of_compiled, title=title), dict[str, object]()
    for name in names or TRAININGS:
        kind = TRAININGS[name]
        counts = count_step(kind)
        whole, there = (kind.make(None, device).batches for device in (CPU, META))
        with Placement() as placement:
            there.batch(0, 0, 1).to(META)
        sent = placement.bytes_to_device
        host = 1000 * timed(partial(_make_batches, whole), repeats, warm_up=False).cpu_seconds / BATCHES
        with HostWork() as work:
            there.batch(1, 0, 1)
        beside = 1000 * work.seconds
        copies = counts.copies_to_device + counts.copies_to_host
        numbers = (counts.operators, counts.kernels, kind.most_kernels, counts.waits, copies)
        of_batch = (f"{sent / 1000:,.0f}", f"{host:,.1f}", f"{beside:,.1f}", str(work.queued))
        together = _compiled(kind) if compiled else {}
        cells = [*map(str, together.values())] or ["cannot be compiled"] * compiled
        rows.add_row(name, *map(str, numbers), *of_batch, *cells)
        figures = {**asdict(counts), "batch_bytes": sent, "host_milliseconds": host}
        figures |= {"host_milliseconds_beside_gpu": beside, "operators_queued_for_batch": work.queued}
        figures |= together
        within = counts.kernels <= kind.most_kernels and counts.waits <= kind.waits
        found[name] = {**figures, "allowed_kernels": kind.most_kernels, "allowed_waits": kind.waits, "within": within}
    Console().print(rows)
    return {"steps": found}


def _compiled(kind: TrainingKind) -> dict[str, int]:
    """Count the operators of a compiled step, and those that compute; nothing where PyTorch cannot compile it."""
    try:
        operators, kernels = count_compiled(kind)
    except Exception:  # of many types: tracing, writing code, compiling anew in each step
        return {}
    return {"compiled_operators": operators, "compiled_kernels": kernels}


def _make_batches(batches: Batches[Batch]) -> None:
    for step in range(1, BATCHES + 1):
        batches.batch(step, 0, 1)
