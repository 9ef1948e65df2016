"""Options of the GPT, of its training, and of the vectors that probes read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import count, takewhile
from typing import ClassVar, Literal, get_args

import numpy as np

from wordless.base.arrays import FloatArray
from wordless.base.options import BatchSize, CausalSizes, Options, option, renamed

Means = Literal["mean", "thirds"]
Pooling = Literal["mean", "thirds", "max", "thirds_max"]
POOLINGS: tuple[Pooling, ...] = get_args(Means)  # of the default comparison
# vectors of features that a pooling lays side by side
PARTS: dict[Pooling, int] = {"mean": 1, "thirds": 3, "max": 1, "thirds_max": 4}
Layers = Literal["each", "last", "together"]
MOST_HEARINGS = 100  # each costs time


def label_names(label: str, separator: str | None) -> tuple[str, ...]:
    """Return the classes that a label names: one, or with a separator several."""
    if separator is None:
        return (label,)
    return tuple(name for part in label.split(separator) if (name := part.strip()))


@dataclass(frozen=True, kw_only=True)
class LabelOptions(Options):
    """How the label of a clip names its classes."""

    label_separator: str | None = option(
        None, 'separates several labels of one clip, such as ";" in "dog;rain"; null: each clip has one label'
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "give what stands between labels, or null for one label"
        self.refuse_if(self.label_separator == "", "label_separator", rule)


@dataclass(frozen=True, kw_only=True)
class VectorConfig(Options):
    """Poolings, layers and test-time augmentation."""

    poolings: tuple[Pooling, ...] = option(
        POOLINGS,
        "over time, for every method: mean | thirds (means of the thirds) | max (of magnitude) | thirds_max",
        filled=True,
        distinct=True,
    )
    layers: tuple[Layers, ...] = option(
        ("each", "together"),
        "layers of a network that are candidates: each (every layer by itself) | last | together (all layers side by "
        "side); AST has layers 4, 8 and 12",
        filled=True,
        distinct=True,
    )
    # Eight versions gave bags of codes 12.5 points and SimCLR 2.2 (docs/log.md, "How the probes read the models"), at
    # eight times the cost; so the default has one, and presets of few recordings have eight.
    test_time_augmentation: int = option(
        1,
        "test-time augmentation: number of versions of each clip, up to 25 % slower and faster, over which every "
        "method averages its features",
        formerly="hearings",
        least=1,
        most=MOST_HEARINGS,
    )

    def select(self, pooled: Mapping[str, FloatArray], *, layer: str, together: str) -> dict[str, FloatArray]:
        """Select candidates from vectors of all layers, ``layer_1:mean`` and so on; ``together``: side by side."""
        found: dict[str, FloatArray] = {}
        for pooling in self.poolings:
            numbered = (f"{layer}_{number}:{pooling}" for number in count(1))
            names = [*takewhile(pooled.__contains__, numbered)]
            alone = names if "each" in self.layers else names[-1:] if "last" in self.layers else []
            found |= {name: pooled[name] for name in alone}
            if "together" in self.layers:
                found[f"{together}:{pooling}"] = np.concatenate([pooled[name] for name in names], axis=-1)
        return found


VECTORS = VectorConfig()  # of the default comparison
States = Literal["residual", "inner"]  # of each layer, which probes may read
RESIDUAL: tuple[States, ...] = ("residual",)


@dataclass(frozen=True, kw_only=True)
class BatchConfig(BatchSize):
    """Options of training batches of windows."""

    random_inputs: float = option(0.1, "share of input codes that are replaced by random codes", least=0, below=1)
    # number of batches whose examples are sorted by length together, which saves padding; 1: no sorting
    pool_batches: int = 16
    seed: int = 0  # seed of the order of examples


LOOK_AHEAD = 1  # code
MOST_AHEAD = 64  # codes; each is an embedding table of the codebook
Interleaving = Literal["flattening", "parallel"]
MAX_CONTEXT = 1 << 20  # positions; the rotary embedding keeps a row of numbers for each


@dataclass(frozen=True, kw_only=True)
class GPTConfig(CausalSizes):
    """Sizes of the transformer, and its treatment of several streams, with the names of Copet et al. ("Simple and
    Controllable Music Generation", 2023, arXiv:2306.05284)::

        flattening    one position per code: each sees all codes before it, also those of its own time step
        parallel      one position per time step: reads the sum of its codes' embeddings, and predicts the codes of the
                      next step independently of each other; sequences are shorter by the number of streams
    """

    only_in_training: ClassVar = ("dropout", "init_std")  # weights fit a GPT that differs in these options

    context: int = option(
        512,
        "number of positions of the context, including begin-of-sequence",
        least=3,
        most=MAX_CONTEXT,
        unit="positions",
    )
    dropout: float = option(0.1, "dropout on the embeddings and on the output of each sub-layer", least=0, below=1)
    interleaving: Interleaving = option(
        "flattening", "several streams have one position per code, or one position per time step"
    )

    @property
    def architecture(self) -> dict[str, object]:
        """The options in which two models are equal if one of them can have the weights of the other."""
        return {name: value for name, value in asdict(self).items() if name not in self.only_in_training}

    def positions_per_step(self, streams: int) -> int:
        """Return the positions of one time step of ``streams`` streams."""
        return 1 if self.interleaving == "parallel" else streams

    def require_room(self, streams: int) -> None:
        """Refuse a context that is too short for codes of ``streams`` streams."""
        least = 1 + 2 * (positions := self.positions_per_step(streams))
        rule = f"a time step takes {positions} positions: choose {least} or more, for begin-of-sequence and two steps"
        self.refuse_if(self.context < least, "context", rule)


@dataclass(frozen=True, kw_only=True)
class CodeSampling(Options):
    """Options of sampling codes; the defaults leave the model's probabilities unchanged."""

    temperature: float = option(1.0, "temperature of the GPT; 0: always the most probable code", least=0)
    top_k: int = option(0, "the GPT draws from this number of most probable codes; 0: all codes", least=0)


FEWEST_RESAMPLES = 10  # fewer would give an interval without width, or nearly so


@dataclass(frozen=True, kw_only=True)
class FigureConfig(Options):
    """Options of figures."""

    resamples: int = option(
        1000,
        "number of bootstrap samples of the test clips, where they have no groups",
        least=FEWEST_RESAMPLES,
        most=1_000_000,
    )
    confidence: float = 0.95  # confidence level of all intervals
    seed: int = 0  # seed of the bootstrap samples


@dataclass(frozen=True, kw_only=True)
class ProbeConfig(LabelOptions, FigureConfig):
    """Options of probes and of their intervals; the seed is also that of folds of groups and of shares of labels."""

    classifier: Literal["logistic", "ridge"] = option(
        "logistic", "logistic regression, or least squares with an L2 penalty, which is faster"
    )
    choose_by: Literal["auto", "validation", "group", "fold"] = option(
        "auto",
        "layer, pooling and regularisation strength are chosen on the validation clips, or by cross-validation over "
        "five folds of whole groups, or over given folds; auto: over groups where there are five or more and the test "
        "has others",
    )
    power: float = option(
        1.0, "exponent of each feature's magnitude; 0.5: signed square roots; 1: nothing is changed", above=0, most=1
    )
    # A rare code may be thousands of deviations from the mean of train, and one such feature then decides for a noisy
    # clip: docs/log.md, "All 24 people" and "Noise and number of codes".
    feature_clipping: tuple[float, ...] = option(
        (2.0, 5.0),
        "standardised features are clipped to one of these distances from the mean of train, so that no feature that "
        "training hardly had decides alone; the smallest one that is not clearly worse on validation is chosen",
        above=0,
        unit="deviations of train",
        filled=True,
        formerly="bounds",
    )
    # number of regularisation strengths that each candidate (layer and pooling) of each method is tried with; ridge
    # regression chooses the candidate
    layer_regularisation_strengths: int = renamed(2, "layer_penalties")
    regularisation_strengths: int = option(
        5,
        "number of regularisation strengths that the chosen candidate of each method is tried with for each clipping, "
        "and once for all points of its learning curve, which ridge regression reads",
        least=1,
        most=1000,
        formerly="penalties",
    )
    # smallest C: the inverse of the regularisation strength, in units of the mean squared norm of a clip's features;
    # the strongest regularisation
    c_low: float = renamed(0.01, "penalty_low")
    c_high: float = renamed(1000.0, "penalty_high")  # largest C: the weakest regularisation
    max_iterations: int = 100  # largest number of solver iterations of logistic regression for each C
    learning_curve: tuple[float, ...] = option(
        (0.01, 0.05, 0.1, 1.0),
        "probes are trained again with these shares of the training labels; []: none",
        above=0,
        most=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "list shares of the labels in ascending order: 0.01, 0.1, 1"
        self.refuse_if(list(self.learning_curve) != sorted({*self.learning_curve}), "learning_curve", rule)
        rule = "list them in ascending order: 2, 5"
        self.refuse_if(list(self.feature_clipping) != sorted({*self.feature_clipping}), "feature_clipping", rule)
