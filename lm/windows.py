"""How recordings longer than the context are read: in windows that overlap by half, each code counted once.

``W`` is the capacity of a window in time steps::

    time steps   0                 W        3W/2       2W
    window 0     [  0    counted  W)
    window 1              [W/2  seen  W | counted 3W/2)
    window 2                          [W  seen  3W/2 | counted 2W)

So every code after the first window is predicted from at least half a window. Where a window starts depends on the
position alone: scoring a recording and continuing it see the same past, and what else is in a batch does not matter.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Window:
    """Time steps ``[start, stop)`` are read, of which ``[counted, stop)`` are counted."""

    start: int
    counted: int
    stop: int


def window_start(step: int, capacity: int) -> int:
    """First time step that is seen when time step ``step`` is predicted."""
    stride = _stride(capacity)
    return 0 if step < capacity else ((step - capacity) // stride + 1) * stride


def windows(steps: int, capacity: int) -> list[Window]:
    """The windows of a recording of ``steps`` time steps: together they count each step exactly once."""
    first = [Window(start=0, counted=0, stop=min(steps, capacity))] if steps else []
    stride = _stride(capacity)
    later = range(capacity, steps, stride)
    return first + [
        Window(start=window_start(step, capacity), counted=step, stop=min(steps, step + stride)) for step in later
    ]


def _stride(capacity: int) -> int:
    return max(capacity // 2, 1)
