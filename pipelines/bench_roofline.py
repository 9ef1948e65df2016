"""The measured rates under what the machine can do: operations per second over operations per byte of weights read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from pipelines.bench_machine import Machine

if TYPE_CHECKING:
    from pipelines.bench_vocoder import Rate

MARKERS = {"torch": "s", "numba": "o", "numba_bf16": "D"}
COLOURS = {1: "#1f6fb2", 2: "#c4601d"}  # by cores


def draw_roofline(path: Path, machines: dict[int, Machine], rates: Sequence["Rate"]) -> None:
    """Write a picture; its format is that of the file's name."""
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    intensity = np.geomspace(0.25, 64, 100)
    for cores, machine in machines.items():
        reading = machine.bytes_per_second["weights"]
        axes.plot(intensity, np.minimum(intensity * reading, machine.flops) / 1e9, color=COLOURS[cores],
                  label=f"{cores} core{'s' * (cores > 1)}: matrix product, weights from cache")  # fmt: skip
        axes.plot(intensity, np.minimum(intensity * machine.bytes_per_second["memory"], machine.flops) / 1e9,
                  color=COLOURS[cores], linestyle=":", label="from memory")  # fmt: skip
    for row in rates:
        if row.engine != "cuda_graph":  # its machine is another
            axes.plot(row.flops_per_byte, row.flops / 1e9, MARKERS[row.engine], color=COLOURS[row.cores],
                      markerfacecolor="none" if row.engine == "torch" else COLOURS[row.cores])  # fmt: skip
            axes.annotate(f"{row.engine} {row.clips}", (row.flops_per_byte, row.flops / 1e9),
                          xytext=(6, -10) if row.cores == 1 else (6, 4), textcoords="offset points", fontsize=8,
                          color=COLOURS[row.cores])  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="operations per byte of weights read", ylabel="GFLOP/s")
    axes.set_xticks([0.25, 0.5, 1, 2, 4, 8, 16, 32, 64], labels=["¼", "½", "1", "2", "4", "8", "16", "32", "64"])
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.set_title("WaveNet generation by engine and number of clips", loc="left", fontsize=10)
    figure.savefig(path, dpi=120)
