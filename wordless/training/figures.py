"""Figures of a training step that are computed on the device, and read by the host without stopping the device."""

import torch
from torch import Tensor


class Figures:
    """A few numbers on their way from the device to the host.

    On a GPU the copy is queued behind the step that computes them. `read` waits for this copy alone, so the host can
    queue the next step first, and the GPU always has work.
    """

    def __init__(self, values: Tensor) -> None:
        self._values = values.to("cpu", non_blocking=True)  # in pinned memory
        self._copied = torch.cuda.Event() if values.device.type == "cuda" else None  # type: ignore[no-untyped-call]  # torch's own
        if self._copied is not None:
            self._copied.record(torch.cuda.current_stream(values.device))  # type: ignore[no-untyped-call]  # as above

    def read(self) -> list[float]:
        """Return the numbers, as soon as they are there."""
        if self._copied is not None:
            self._copied.synchronize()
        return [float(value) for value in self._values.tolist()]
