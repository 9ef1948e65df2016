"""Calls of the training loop that show nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wordless.base.progress import Progress, Terminal
from wordless.training import FitConfig, TrainingRecord
from wordless.training.fit import B, Batches, Gang, LossFunction, fit


def fit_silently(
    model: nn.Module,
    batches: Batches[B],
    validation: Sequence[B],
    loss: LossFunction[B],
    config: FitConfig,
    folder: Path,
    *,
    device: str = "cpu",
    **others: Any,
) -> TrainingRecord:
    told = {"gang": Gang(torch.device(device)), "track": lambda point: None, **others}
    progress = Progress(Terminal(silent=True), "training", config.steps, "steps")
    checkpoint = folder / "fit.safetensors"
    return fit(model, batches, validation, loss, config, checkpoint=checkpoint, progress=progress, **told)
