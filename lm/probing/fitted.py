"""A fitted probe as an artifact: one linear map from a pooled vector to its classes.

Standardisation, the rotation into the row space of the training clips, and the classifier are affine, so one matrix and
one bias replace them all.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from lm.options import RESIDUAL, VECTORS, ProbeConfig, States, VectorConfig
from lm.probing.linear import powered
from lm.probing.probe import ProbeResult
from lm.probing.task import ProbeTask
from tokenizer.options import Assignments
from wordless.base.array_types import FloatArray
from wordless.base.errors import InputError
from wordless.base.saved_models import PROBE, load_network, model_folder, reading, write_model

Answer = Literal["one", "several", "value"]  # one class, several classes, or values that are no probabilities


@dataclass(frozen=True, kw_only=True)
class VectorRecipe:
    """How the vectors of a comparison were made: poolings and hearings, states of the GPT, and codes."""

    vectors: VectorConfig = VECTORS
    states: tuple[States, ...] = RESIDUAL
    assignments: Assignments = "hard"  # of the sound to the codes that were read


@dataclass(frozen=True, kw_only=True)
class ProbeDescription:
    """What a fitted probe reads and answers."""

    of: str  # key of the features, such as gpt/layer_3:thirds
    recipe: VectorRecipe = VectorRecipe()
    classes: tuple[str, ...]
    dim: int  # of a vector
    power: float  # of the features' magnitudes
    answer: Answer
    test_accuracy: float  # for several labels, mean average precision
    chance: float  # test accuracy of the class that is most frequent in train; 0 for several labels
    trim_db: float | None = None  # corpus.inspection.trim_db of its clips; None: their ends were not trimmed


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """The content of ``config.json``."""

    probe: ProbeDescription
    weights_sha256: str


class FittedProbe:
    """A linear map from vectors to classes, and what it reads."""

    def __init__(self, linear: nn.Linear, description: ProbeDescription) -> None:
        self.linear = linear
        self.description = description

    @classmethod
    def of(cls, features: FloatArray, result: ProbeResult, task: ProbeTask, config: ProbeConfig) -> "FittedProbe":
        """Keep the fit of a result of `probe`, whose standardisation follows from ``features (clips, dim)``."""
        assert result.linear is not None, "a method with its own scores is no probe"
        weights, bias = result.linear
        scaler = StandardScaler().fit(powered(features[task.rows["train"]], config.power))
        own = weights / scaler.scale_[:, None]  # (dim, classes)
        linear = nn.Linear(own.shape[0], own.shape[1], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(own.T))
            linear.bias.copy_(torch.from_numpy(bias - scaler.mean_ @ own))
        frequent = task.targets[task.rows["train"]].sum(0).argmax()
        chance = float(task.targets[task.rows["test"]][:, frequent].mean())
        description = ProbeDescription(
            of=result.of,
            classes=task.classes,
            dim=own.shape[0],
            power=config.power,
            answer="value" if config.classifier == "ridge" else "several" if task.multi_label else "one",
            test_accuracy=result.test_accuracy,
            chance=0.0 if task.multi_label else chance,
        )
        return cls(linear, description)

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> "FittedProbe":
        """Load a probe that `save_pretrained` wrote, from a folder or, as ``user/name``, from the Hugging Face hub."""
        folder = model_folder(folder, PROBE)
        with reading(folder, PROBE, _Saved) as saved:
            dim, classes = saved.probe.dim, len(saved.probe.classes)
            create = partial(nn.Linear, dim, classes, dtype=torch.float64)
            linear = load_network(create, folder, saved.weights_sha256)
        return cls(linear, saved.probe)

    def save_pretrained(self, folder: Path | str) -> None:
        """Write model.safetensors and, last, config.json: a folder with a config.json is complete."""
        write_model(Path(folder).expanduser(), self.linear, {"probe": asdict(self.description)})

    @torch.no_grad()
    def scores(self, features: FloatArray) -> FloatArray:
        """Compute ``(sounds, classes)`` for vectors ``(sounds, dim)``: probabilities, or the values of a ridge."""
        about = self.description
        if features.ndim != 2 or features.shape[1] != about.dim:
            raise InputError(f"features have the shape {features.shape}; {about.of} has {about.dim} numbers a sound")
        values = self.linear(torch.from_numpy(powered(features, about.power).astype(np.float64)))
        match about.answer:
            case "one":
                values = values.softmax(dim=1)
            case "several":
                values = values.sigmoid()
        scores: FloatArray = values.float().numpy()
        return scores
