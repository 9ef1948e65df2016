"""What a stage costs: the time of all its attempts, and the most memory that it held."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from foundation.files import write_aside
from foundation.memory import peak_memory

BEGUN = "begun.json"
RESET_PEAK = "5"  # what Linux's proc(5) takes as "forget the peak of resident memory"


@dataclass(kw_only=True)
class Costs:
    """Of one stage; known once it is made."""

    seconds: float = 0.0  # of all attempts; of one that was killed, until it last wrote a checkpoint
    peak_memory: float = 0.0  # bytes of this process; where the system cannot forget, since it began


@contextmanager
def measured(checkpoints: Path) -> Iterator[Costs]:
    """What the block costs, with what killed runs spent on it, of which ``checkpoints`` tells."""
    costs = Costs()
    before, started = _earlier(checkpoints), time.monotonic()
    write_aside(checkpoints / BEGUN, json.dumps({"seconds": before, "time": time.time()}))
    _forget_peak()
    yield costs
    costs.seconds = before + time.monotonic() - started
    costs.peak_memory = peak_memory()


def _earlier(checkpoints: Path) -> float:
    """Seconds that earlier attempts took; 0 where nothing that can be read says so."""
    try:
        begun = json.loads((checkpoints / BEGUN).read_bytes())
        seconds, started = float(begun["seconds"]), float(begun["time"])
        last = max(path.lstat().st_mtime for path in checkpoints.iterdir())
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0.0
    spent = seconds + max(last - started, 0.0)
    return spent if math.isfinite(spent) and seconds >= 0 else 0.0


def _forget_peak() -> None:
    with suppress(OSError):  # no Linux, or no permission
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
