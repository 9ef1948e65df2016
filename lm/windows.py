"""Windows for recordings longer than the context: they overlap by half, and each code is counted once.

``W`` is the capacity of a window in time steps::

    time steps   0                 W        3W/2       2W
    window 0     [  0    counted  W)
    window 1              [W/2  seen  W | counted 3W/2)
    window 2                          [W  seen  3W/2 | counted 2W)

So every code after the first window is predicted from at least half a window. The start of a window depends only on the
position: scoring and continuing a recording use the same past, and other rows of a batch do not matter.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Window:
    """Time steps ``[start, stop)`` of a window, of which ``[counted, stop)`` are counted."""

    start: int
    counted: int
    stop: int


def window_start(step: int, capacity: int) -> int:
    """Return the first time step that is visible when time step ``step`` is predicted."""
    stride = max(capacity // 2, 1)
    return 0 if step < capacity else ((step - capacity) // stride + 1) * stride


def windows(steps: int, capacity: int) -> list[Window]:
    """Return the windows of a recording of ``steps`` time steps; together they count each step exactly once."""
    first = [Window(start=0, counted=0, stop=min(steps, capacity))] if steps else []
    stride = max(capacity // 2, 1)
    later = range(capacity, steps, stride)
    return first + [
        Window(start=window_start(step, capacity), counted=step, stop=min(steps, step + stride)) for step in later
    ]
