"""A fitted probe as an artifact: how a pooled vector is standardised and bounded, and a linear map to its classes.

The rotation into the row space of the training clips and the classifier are affine, so one matrix and one bias replace
both.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from lm.lm_options import RESIDUAL, VECTORS, ProbeConfig, States, VectorConfig
from lm.probing.linear import Standardiser
from lm.probing.probe import ProbeResult
from lm.probing.task import ProbeTask
from tokenizer.tokenizer_options import Assignments
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError
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
    bound: float  # of the standardised features, in deviations
    answer: Answer
    test_accuracy: float  # for several labels, mean average precision
    chance: float  # test accuracy of the class that is most frequent in train; 0 for several labels
    trim_db: float | None = None  # corpus.inspection.trim_db of its clips; None: their ends were not trimmed


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """The content of ``config.json``."""

    probe: ProbeDescription
    weights_sha256: str


class ProbeNetwork(nn.Module):
    """The tensors of a probe: mean and deviation ``(dim,)`` that standardise its inputs, and a linear map of them."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.zeros(dim, dtype=torch.float64))
        self.deviation = nn.Buffer(torch.ones(dim, dtype=torch.float64))
        self.linear = nn.Linear(dim, classes, dtype=torch.float64)


class FittedProbe:
    """A map from vectors to classes, and what it reads."""

    def __init__(self, network: ProbeNetwork, description: ProbeDescription) -> None:
        self.network = network
        self.description = description
        self.standard = Standardiser(
            mean=network.mean.numpy(),
            deviation=network.deviation.numpy(),
            power=description.power,
            bound=description.bound,
        )

    @classmethod
    def of(cls, result: ProbeResult, task: ProbeTask, config: ProbeConfig) -> "FittedProbe":
        """Keep the fit of a result of `probe`."""
        assert result.linear is not None, "a method with its own scores is no probe"
        assert result.standard is not None, "a method with its own scores is no probe"
        weights, bias = result.linear
        network = ProbeNetwork(*weights.shape)
        with torch.no_grad():
            network.mean.copy_(torch.from_numpy(result.standard.mean))
            network.deviation.copy_(torch.from_numpy(result.standard.deviation))
            network.linear.weight.copy_(torch.from_numpy(weights.T))
            network.linear.bias.copy_(torch.from_numpy(bias))
        description = ProbeDescription(
            of=result.of,
            classes=task.classes,
            dim=len(weights),
            power=config.power,
            bound=result.standard.bound,
            answer="value" if config.classifier == "ridge" else "several" if task.multi_label else "one",
            test_accuracy=result.test_accuracy,
            chance=task.most_frequent[1] if task.most_frequent else 0.0,
        )
        return cls(network, description)

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> "FittedProbe":
        """Load a probe that `save_pretrained` wrote, from a folder or, as ``user/name``, from the Hugging Face hub."""
        folder = model_folder(folder, PROBE)
        with reading(folder, PROBE, _Saved) as saved:
            dim, classes = saved.probe.dim, len(saved.probe.classes)
            network = load_network(partial(ProbeNetwork, dim, classes), folder, saved.weights_sha256)
        return cls(network, saved.probe)

    def save_pretrained(self, folder: Path | str) -> None:
        """Write model.safetensors and, last, config.json: a folder with a config.json is complete."""
        write_model(Path(folder).expanduser(), self.network, {"probe": asdict(self.description)})

    @torch.no_grad()
    def scores(self, features: FloatArray) -> FloatArray:
        """Compute ``(sounds, classes)`` for vectors ``(sounds, dim)``: probabilities, or the values of a ridge."""
        about = self.description
        if features.ndim != 2 or features.shape[1] != about.dim:
            raise InputError(f"features have the shape {features.shape}; {about.of} has {about.dim} numbers a sound")
        values: Tensor = self.network.linear(torch.from_numpy(self.standard(features).astype(np.float64)))
        match about.answer:
            case "one":
                values = values.softmax(dim=1)
            case "several":
                values = values.sigmoid()
        scores: FloatArray = values.float().numpy()
        return scores
