"""What a step of every training asks of a device, and of the host: counts, which are the same on every machine."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import torch
from rich.console import Console

from pipelines.benchmarks.counting import count_step
from pipelines.benchmarks.measurement import table, timed
from pipelines.benchmarks.trainings import COUNTED, TRAININGS
from wordless.base.errors import InputError
from wordless.training.steps import Batches, Movable

BATCHES = 3  # that are timed together


def measure_steps(names: Sequence[str] | None, *, repeats: int) -> dict[str, object]:
    """Count the operators of a step with a batch of two, and time the host for a batch of the default size.

    The operators do not depend on the sizes of network and batch, but for networks that compute clips group by group.
    """
    for name in names or ():
        if name not in TRAININGS:
            raise InputError(option="trainings", value=name, rule=f"choose some of {', '.join(TRAININGS)}")
    torch.set_num_threads(1)
    title = "operators and kernels (without views) of a step; kB, and ms of the host, of a batch of the default size"
    columns = ("operators", "kernels", "allowed", "waits", "copies", "kB", "host")
    rows, found = table("training", *columns, title=title), dict[str, object]()
    for name in names or TRAININGS:
        kind = TRAININGS[name]
        example = kind.make(COUNTED)
        counts = count_step(example.model, example.batches, example.loss, example.config)
        whole = kind.make(None).batches
        batch = whole.batch(0, 0, 1)
        size = sum(each.nbytes for each in vars(batch).values() if isinstance(each, torch.Tensor))
        host = timed(partial(_make_batches, whole), repeats, warm_up=False)
        milliseconds = 1000 * host.cpu_seconds / BATCHES
        numbers = (counts.operators, counts.kernels, kind.most_kernels, counts.waits)
        copies = counts.copies_to_device + counts.copies_to_host
        rows.add_row(name, *map(str, (*numbers, copies)), f"{size / 1000:,.0f}", f"{milliseconds:,.1f}")
        figures = {**asdict(counts), "batch_bytes": size, "host_milliseconds": milliseconds}
        within = counts.kernels <= kind.most_kernels and counts.waits <= kind.waits
        found[name] = {**figures, "allowed_kernels": kind.most_kernels, "allowed_waits": kind.waits, "within": within}
    Console().print(rows)
    return {"steps": found}


def _make_batches(batches: Batches[Movable]) -> None:
    for step in range(1, BATCHES + 1):
        batches.batch(step, 0, 1)
