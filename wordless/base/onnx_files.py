"""Models as ONNX files, which run without PyTorch, and the check that they compute the same."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

OPSET = 18
Axes = Mapping[int, tuple[str, int | None]]  # axis -> name of its length, and the largest; None: any


def write_onnx(model: nn.Module, example: Tensor, file: Path, *, input_name: str, output_name: str, axes: Axes) -> None:
    """Write a model of one input and one output; ``axes`` are those of the input whose lengths are free.

    The weights are in the file itself, so it is at most 2 GB.
    """
    # torch.export takes a length of 1 for a special case; the written file takes it as any other
    lengths = {axis: torch.export.Dim(name, min=2, max=most) for axis, (name, most) in axes.items()}
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)  # it says that torchvision is not installed
    try:
        with redirect_stdout(StringIO()), torch.no_grad():  # its progress
            program = torch.onnx.export(
                model.eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[input_name],
                output_names=[output_name],
                dynamic_shapes=(lengths,),
                verbose=False,
            )
    finally:
        registration.setLevel(level)
    assert program is not None, "the exporter of torch.export returns a program"
    program.save(str(file), external_data=False)


def run_onnx(file: Path, values: Sequence[Tensor]) -> list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    """Compute the outputs of a model for several inputs, one after the other, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (wanted,) = session.get_inputs()
    return [np.asarray(session.run(None, {wanted.name: each.numpy()})[0]) for each in values]
