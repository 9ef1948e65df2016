"""Costs of a stage: the time of all its attempts, and its peak memory."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wordless.base.files import write_aside
from wordless.base.memory import peak_memory

BEGUN = "begun.json"
RESET_PEAK = "5"  # value that resets the peak of resident memory, see Linux's proc(5)


@contextmanager
def measured(checkpoints: Path) -> Iterator[dict[str, float]]:
    """Measure the costs of the block, including those of killed runs, which are recorded in ``checkpoints``.

    When the block ends, the dictionary has ``seconds`` (those of a killed run up to its last checkpoint) and
    ``peak_memory`` in bytes (since the start of the process where the system cannot reset the peak).
    """
    costs: dict[str, float] = {}
    before, started = _earlier(checkpoints), time.monotonic()
    write_aside(checkpoints / BEGUN, json.dumps({"seconds": before, "time": time.time()}))
    with suppress(OSError):  # not Linux, or no permission
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
    yield costs
    costs.update(seconds=before + time.monotonic() - started, peak_memory=peak_memory())


def _earlier(checkpoints: Path) -> float:
    """Read the seconds of earlier attempts; 0 if there is no readable record."""
    try:
        begun = json.loads((checkpoints / BEGUN).read_bytes())
        seconds, started = float(begun["seconds"]), float(begun["time"])
        last = max(path.lstat().st_mtime for path in checkpoints.iterdir())
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0.0
    spent = seconds + max(last - started, 0.0)
    return spent if math.isfinite(spent) and seconds >= 0 else 0.0
