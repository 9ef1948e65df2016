"""The project's training loop, as all trainings call it, without a store."""

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from wordless.base.progress import Progress
from wordless.training.fit import B, Batches, LossFunction, fit
from wordless.training.gangs import Alone
from wordless.training.options import FitConfig


def trained(
    model: nn.Module,
    batches: Batches[B],
    validation: Sequence[B],
    loss: LossFunction[B],
    config: FitConfig,
    device: torch.device,
) -> list[Tensor]:
    """Train a copy of the model; return the validation losses ``(points,)`` of its curve."""
    with tempfile.TemporaryDirectory() as folder:
        record = fit(
            copy.deepcopy(model),
            batches,
            validation,
            loss,
            config,
            gang=Alone(device),
            checkpoint=Path(folder) / "checkpoint",
            progress=Progress(lambda first, done, total: None, lambda line: None, config.steps),
            track=lambda point: None,
        )
    return [torch.tensor([point["validation_loss"] for point in record["curve"]])]
