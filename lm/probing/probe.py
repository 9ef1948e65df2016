"""Linear probes: how well a linear classifier predicts labels from a representation.

Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016 (arXiv:1610.01644). The same
protocol for every method: frozen features, standardised on train and clipped, no augmentation, one kind of linear
classifier. A method may offer several candidates (layers, poolings). There are two steps, with equally many
regularisation strengths for all methods:

1. Every candidate is tried with a few regularisation strengths, and the best one is chosen. Ridge regression judges,
   also where the probe is a logistic regression: it has a closed form, and a fit of logistic regression for every
   layer, regularisation strength and fold would take ten times as long as all the rest.
2. The chosen candidate is tried with more regularisation strengths, by the wanted classifier.

Both are done for each clipping of the inputs (`probe.feature_clipping`). A larger clipping is taken only where it gains
more than a standard error and a point of accuracy. Clips without noise do not show what a large clipping costs under
noise, so the smallest one is the rule, and chance must not overrule it.

In both steps cross-validation over whole groups of training and validation clips judges, or validation clips do
(`lm.probing.task`). The winner is fitted on train, and test is measured. Test results of other clippings and of the
candidates of the first step, which charts by layer show, choose nothing.

A learning curve is the test accuracy with shares of the labels of training clips, for the candidate and clipping that
won with all of them. Ridge regression reads each share, the whole too. All shares have one regularisation strength,
which cross-validation within train chooses with all labels, for every method alike: with one clip of each class no clip
could be held out, and a regularisation strength without choice suits some methods and not others. The features of all
training clips are used for standardising. With few labels it matters which clips have one, so each share except the
whole is drawn several times.

A winner is saved as a `FittedProbe`, which standardises and clips a pooled vector and maps it to classes. The rotation
into the row space of the training clips and the classifier are affine, so one matrix and one bias replace both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from lm.probing.intervals import Hits, Measured, Outcome, Rankings, mean_outcome, measure, share_interval
from lm.probing.linear import (
    LEAST_GAIN,
    TOLERANCE_OF_FOLDS,
    LogisticProbe,
    RidgeProbe,
    Standardiser,
    side_by_side,
    standardise,
    tolerance_of,
)
from lm.probing.probe_options import ProbeConfig
from lm.probing.task import ProbeTask, Rows, c_grid, divisions, training_parts
from lm.probing.vectors import RESIDUAL, VECTORS, States, VectorConfig
from wordless.audio.views import Noise
from wordless.base.arrays import BoolArray, DoubleArray, FloatArray, IndexArray
from wordless.base.messages import InputError
from wordless.base.saved_models import PROBE, load_network, model_folder, reading, write_model

Features = Mapping[str, FloatArray]  # of each split, or of each candidate
_Point = dict[str, Any]  # a figure of the test clips under one condition, as plain values
_NOISE = "noise"  # beside the splits: test clips with noise, one ratio after the other
DRAWS = 5  # of the clips with labels, per share
# Figures of a candidate: name in the files of an artifact -> attribute of `ProbeResult`.
_FIGURES = {
    "feature_clipping": "clipping",
    "inverse_regularisation": "c",
    **{each: each for each in ("validation_accuracy", "test_accuracy", "low", "high")},
}
ONE_ERROR = 0.6827  # confidence of an interval of one standard error to each side


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeResult:
    """The result of one candidate. For tasks with several labels, "accuracy" is mean average precision."""

    of: str  # the candidate
    clipping: float | None  # of its inputs, in deviations; None: the method has its own scores
    c: float | None  # the C that was chosen; None: the method has its own scores
    tries: Mapping[float, float]  # accuracy with each C: on validation clips, or the mean over the parts
    validation_accuracy: float  # the largest of them
    parts: tuple[float, ...]  # accuracy on each part of cross-validation; empty where validation clips chose
    scores: Features  # (clips, classes), probabilities, of test and noise; of validation where its clips chose
    test_accuracy: float
    low: float  # interval of the test accuracy, over the groups of the test clips, or over clips without groups
    high: float
    # the fit; None: of a candidate, or of own scores
    standard: Standardiser | None  # that makes its inputs
    linear: tuple[DoubleArray, DoubleArray] | None  # weights (dim, classes) and bias (classes,) for these inputs
    largest: Mapping[Noise, float]  # largest input of the test clips with each noise, in deviations, not clipped


def probe_method(
    candidates: Features, task: ProbeTask, config: ProbeConfig, *, threads: int = 1
) -> tuple[ProbeResult, list[ProbeResult]]:
    """Choose among the clippings, and for each among the candidates ``(clips, dim)`` of a method, then among Cs.

    ``threads`` candidates or folds are fitted side by side, which changes no result. The result of the second step is
    returned, then those of all candidates in the first step with its clipping.
    """
    ridge = replace(config, classifier="ridge", regularisation_strengths=config.layer_regularisation_strengths)

    def judge(clipping: float, name: str) -> ProbeResult:
        result = _probe(candidates[name], task, ridge, clipping, of=name)
        return replace(result, standard=None, linear=None)  # they take memory

    steps = list[tuple[ProbeResult, list[ProbeResult]]]()
    for clipping in config.feature_clipping:
        results = side_by_side(partial(judge, clipping), candidates, threads=threads)
        chosen = max(results, key=lambda each: each.validation_accuracy).of  # the first among equals
        steps.append((_probe(candidates[chosen], task, config, clipping, of=chosen, threads=threads), results))
    winners = [winner for winner, _ in steps]
    return steps[place_of_clipping([each.validation_accuracy for each in winners], _judging_clips(winners[0], task))]


def place_of_clipping(reached: Sequence[float], clips: int) -> int:
    """Return the place of the first of several clippings that is not clearly worse than the best on so many clips."""
    best = max(reached)
    low, _ = share_interval(best, clips, confidence=ONE_ERROR)
    return next(place for place, each in enumerate(reached) if each >= min(low, best - LEAST_GAIN))


def _probe(
    features: FloatArray, task: ProbeTask, config: ProbeConfig, clipping: float, *, of: str, threads: int = 1
) -> ProbeResult:
    """Choose C for one candidate and clipping (the strongest regularisation among equals), fit train, and measure test.

    Test chooses nothing. ``features (clips, dim)``, finite ones, have a row for each clip; ``threads`` folds are fitted
    side by side.
    """
    strengths = c_grid(config.regularisation_strengths, config)
    tries, parts, fits = dict[float, float](), tuple[float, ...](), strengths
    if task.parts is not None:

        def accuracies(rows: Rows) -> list[float]:
            """Fit one division with each regularisation strength; return the accuracies on what it holds out."""
            rows = task.learned(rows)  # a copy is held out with its clip
            _, inputs = standardise(features, rows, power=config.power, clipping=clipping)
            known, reached = task.targets[rows["train"]], list[float]()
            classifier = create_classifier(inputs["train"], known, task, config, tolerance=TOLERANCE_OF_FOLDS)
            held_out, wanted = classifier.prepare(inputs["validation"]), task.targets[rows["validation"]]
            for c in strengths:
                classifier.fit(c)
                reached.append(accuracy(classifier.scores(held_out), wanted, task))
            return reached

        reached = np.array(
            side_by_side(accuracies, divisions(task).values(), threads=threads), np.float64
        )  # (parts, regularisation strengths)
        tries = dict(zip(strengths, reached.mean(0).tolist(), strict=True))
        best = int(reached.mean(0).argmax())
        parts, fits = tuple(reached[:, best].tolist()), strengths[best : best + 1]
    standard, inputs = standardise(features, _all_rows(task), power=config.power, clipping=clipping)
    classifier = create_classifier(inputs["train"], task.targets[task.learned_rows(task.rows["train"])], task, config)
    prepared = {split: classifier.prepare(own) for split, own in inputs.items() if split != "train"}
    largest = {each: float(np.abs(standard.unclipped(features[rows])).max()) for each, rows in task.noisy.items()}
    scores, linear = dict[str, FloatArray](), (np.zeros((0, 0)), np.zeros(0))
    for c in fits:  # ascending: each fit starts from the solution of the previous fit
        classifier.fit(c)
        found = {}
        if task.parts is None:
            found["validation"] = classifier.scores(prepared["validation"])
            tries[c] = accuracy(found["validation"], task.targets[task.rows["validation"]], task)
        if max(tries, key=lambda each: tries[each]) == c:
            tested = {split: classifier.scores(own) for split, own in prepared.items() if split != "validation"}
            scores, linear = {**found, **tested}, classifier.linear()
    fitted = {"clipping": clipping, "standard": standard, "linear": linear, "largest": largest}
    return _result(of, tries, scores, task, config, parts=parts, **fitted)


def scored_method(scores: FloatArray, task: ProbeTask, config: ProbeConfig, *, of: str) -> ProbeResult:
    """Evaluate a method that has its own class probabilities ``(clips, classes)``, finite ones; nothing is fitted."""
    if scores.shape[1] != len(task.classes):
        raise InputError(f"{of} scores {scores.shape[1]} classes; the labels name {len(task.classes)}: make it anew")
    return _result(of, {}, {split: scores[rows] for split, rows in _all_rows(task).items()}, task, config)


def _result(
    of: str, tries: Mapping[float, float], scores: Features, task: ProbeTask, config: ProbeConfig, **fitted: Any
) -> ProbeResult:
    """Measure the test clips by the scores of each split; what was not ``fitted`` has no tries."""
    found = _measured([outcome(scores["test"], task.targets[task.rows["test"]], task)], task, config)
    estimate = found.estimate(0, confidence=config.confidence)
    c = max(tries, key=lambda each: tries[each]) if tries else None
    held_out = task.targets[task.rows["validation"]]
    return ProbeResult(
        of=of,
        c=c,
        tries=tries,
        validation_accuracy=accuracy(scores["validation"], held_out, task) if c is None else tries[c],
        scores=scores,
        test_accuracy=estimate.value,
        low=estimate.low,
        high=estimate.high,
        **{"clipping": None, "parts": (), "standard": None, "linear": None, "largest": {}, **fitted},
    )


def _judging_clips(result: ProbeResult, task: ProbeTask) -> int:
    """Count the clips that the validation accuracy was measured on."""
    return len(task.rows["validation"]) + (len(task.rows["train"]) if result.parts else 0)


def _all_rows(task: ProbeTask) -> dict[str, IndexArray]:
    """Return the clips of each split, in train with copies, and the test clips with noise if there are any."""
    noisy = {_NOISE: np.concatenate([*task.noisy.values()])} if task.noisy else {}
    return {**task.learned(task.rows), **noisy}


def create_classifier(
    train: FloatArray, targets: BoolArray, task: ProbeTask, config: ProbeConfig, *, tolerance: float | None = None
) -> LogisticProbe | RidgeProbe:
    """Create the classifier of train's features ``(clips, dim)``; ``tolerance`` is where its fits may stop."""
    if config.classifier == "ridge":
        return RidgeProbe(train, targets, device=task.device_for(train))
    return LogisticProbe(
        train,
        targets,
        multi_label=task.multi_label,
        max_iterations=config.max_iterations,
        tolerance=tolerance or tolerance_of(len(task.rows["train"])),
        device_for=task.device_for,
    )


def accuracy(scores: FloatArray, targets: BoolArray, task: ProbeTask) -> float:
    """Compute the accuracy of scores ``(clips, classes)``; for several labels, the mean average precision."""
    return float(measure(outcome(scores, targets, task))[0, 0])


def outcome(scores: FloatArray, targets: BoolArray, task: ProbeTask) -> Outcome:
    """Build the outcome of one method from scores ``(clips, classes)`` and targets of the same shape."""
    if task.multi_label:
        return Rankings(truth=targets, scores=scores[None, None])
    return Hits(hits=(scores.argmax(1) == targets.argmax(1)).astype(np.float64)[None])


def answers(scores: FloatArray, task: ProbeTask) -> BoolArray:
    """Choose the class of the highest score ``(clips, classes)``; for several labels, all that exceed 0.5."""
    chosen = scores > 0.5 if task.multi_label else np.eye(len(task.classes), dtype=bool)[scores.argmax(1)]
    return np.asarray(chosen)


def _measured(reached: Sequence[Outcome], task: ProbeTask, config: ProbeConfig) -> Measured:
    """Measure the mean of outcomes of one method, of a draw of the labels each, on the test clips."""
    return Measured.of(
        [mean_outcome(reached)],
        [task.test_groups],
        resamples=config.resamples,
        seed=config.seed,
        repeats=[[each] for each in reached],
    )


def _point(reached: Sequence[Outcome], task: ProbeTask, config: ProbeConfig, **condition: object) -> _Point:
    """Return the accuracy over draws of the labels.

    ``values`` are those of each group and draw (without groups, of each block of clips, or of all clips and one draw),
    and ``hits`` those of each clip; for several labels, ``clips_low`` and ``clips_high`` stand in their place.
    """
    measured, clips = _measured(reached, task, config), mean_outcome(reached)
    found = measured.estimate(0, confidence=config.confidence)
    alone = np.array([[measure(each)[0, 0] for each in reached]])
    values = alone if measured.groups is None else measured.groups[0]
    point = {"test_accuracy": found.value, "low": found.low, "high": found.high, "values": values.tolist(), **condition}
    if isinstance(clips, Hits):
        return {**point, "over": measured.over, "hits": np.round(clips.hits[0], 6).tolist()}
    over_clips = measured.over_clips(0, confidence=config.confidence)
    return {**point, "over": measured.over, "clips_low": over_clips.low, "clips_high": over_clips.high}


def learning_curve(
    features: FloatArray, task: ProbeTask, config: ProbeConfig, *, clipping: float, threads: int = 1
) -> list[_Point]:
    """Compute a point for each share of labels from ``features (clips, dim)``; ``threads`` draws are fitted at once."""
    if not config.learning_curve:
        return []
    labels = task.targets[task.rows["train"]]
    _, inputs = standardise(features, task.learned(task.rows), power=config.power, clipping=clipping)
    c = _curve_c(inputs["train"], task, config, threads=threads)
    fit = partial(_fit_labelled, inputs["train"], inputs["test"], task, c)
    wanted, points = task.targets[task.rows["test"]], list[_Point]()
    for share in config.learning_curve:
        kept = [np.sort(labelled_clips(labels, share, seed=config.seed, draw=draw)) for draw in range(DRAWS)]
        clips = round(float(np.mean([len(rows) for rows in kept])))
        # Each class needs one clip, so smaller shares give the same clips.
        if share < 1 and points and points[-1]["clips"] == clips:
            points.append({**points[-1], "share": share})
            continue
        draws = kept if share < 1 else kept[:1]  # with all labels there is nothing to draw
        reached = [outcome(scores, wanted, task) for scores in side_by_side(fit, draws, threads=threads)]
        points.append(_point(reached, task, config, share=share, clips=clips))
    return points


def last_point(winner: ProbeResult, task: ProbeTask, config: ProbeConfig) -> list[_Point]:
    """Return the only point of a method that was trained with all labels: its ``winner``, if the curve has a whole."""
    reached, clips = outcome(winner.scores["test"], task.targets[task.rows["test"]], task), len(task.rows["train"])
    wholes = [share for share in config.learning_curve if share == 1]
    return [_point([reached], task, config, share=share, clips=clips) for share in wholes]


def noise_points(winner: ProbeResult, task: ProbeTask, config: ProbeConfig) -> list[_Point]:
    """Test the ``winner`` with each noise: its ``kind``, and ``snr`` in dB. Its fit had other noise, or none.

    ``kept`` is the share of its right answers without noise that are right with it; None: it has none.
    """
    right, points = answers(winner.scores["test"], task) & task.targets[task.rows["test"]], list[_Point]()
    for noise, scores in _under_noise(winner, task).items():
        point = _point([outcome(scores, task.targets[task.noisy[noise]], task)], task, config, **noise._asdict())
        kept = float((answers(scores, task) & right).sum() / right.sum()) if right.any() else None
        points.append({**point, "largest_input": winner.largest.get(noise), "kept": kept})
    return points


def _under_noise(result: ProbeResult, task: ProbeTask) -> dict[Noise, FloatArray]:
    """Return the scores of the test clips with each noise, in the order of the test clips without it."""
    ends = np.cumsum([len(rows) for rows in task.noisy.values()])
    return dict(zip(task.noisy, np.split(result.scores[_NOISE], ends[:-1]) if task.noisy else [], strict=True))


def _candidate_record(candidate: ProbeResult, task: ProbeTask) -> dict[str, object]:
    noise = [
        {
            **noise._asdict(),
            "test_accuracy": accuracy(scores, task.targets[task.noisy[noise]], task),
            "largest_input": candidate.largest[noise],
        }
        for noise, scores in _under_noise(candidate, task).items()
    ]
    record = {"of": candidate.of, **{name: getattr(candidate, of) for name, of in _FIGURES.items()}}
    return record | ({"noise": noise} if noise else {})


def _curve_c(train: FloatArray, task: ProbeTask, config: ProbeConfig, *, threads: int) -> float:
    """Choose C of a learning curve by cross-validation within train with all labels; of equals the middle."""
    targets, device = task.targets[task.learned_rows(task.rows["train"])], task.device_for(train)
    parts, strengths = np.array(training_parts(task, seed=config.seed)), c_grid(config.regularisation_strengths, config)
    parts = np.tile(parts, len(targets) // len(parts))  # a copy is held out with its clip
    held_out = np.zeros((len(strengths), *targets.shape), np.float32)

    def judge(part: str) -> None:
        inside = parts == part
        ridge = RidgeProbe(train[~inside], targets[~inside], device=device)
        for place, c in enumerate(strengths):
            ridge.fit(c)
            held_out[place, inside] = ridge.scores(train[inside])

    side_by_side(judge, np.unique(parts), threads=threads)
    reached = np.array([accuracy(scores, targets, task) for scores in held_out])
    best = np.flatnonzero(reached == reached.max())  # a few hundred clips often give equal accuracies
    return strengths[int(best[(len(best) - 1) // 2])]  # equals mostly lie side by side: far from both ends of these


def _fit_labelled(train: FloatArray, test: FloatArray, task: ProbeTask, c: float, kept: IndexArray) -> FloatArray:
    """Fit the ``kept`` training clips and their copies; return the test scores."""
    rows = task.learned_rows(task.rows["train"])
    clips = len(task.rows["train"])
    fitted = np.concatenate([kept + first for first in range(0, len(rows), clips)])
    ridge = RidgeProbe(train[fitted], task.targets[rows[fitted]], device=task.device_for(train))
    ridge.fit(c)
    return ridge.scores(test)


def labelled_clips(targets: BoolArray, share: float, *, seed: int, draw: int = 0) -> IndexArray:
    """Draw the training clips that have a label, a share of ``(clips, classes)``: one of each class, then evenly.

    Every share is a prefix of one order, so smaller shares lie in larger ones. A clip of several classes counts for the
    rarest.
    """
    shuffled = np.random.default_rng([seed, draw]).permutation(len(targets))
    firsts = {int(shuffled[members[shuffled].argmax()]) for members in targets.T}
    stratum = np.where(targets, targets.sum(0), len(targets) + 1).argmin(1)  # (clips,)
    place = np.zeros(len(targets))  # relative place of a clip among those of its class
    for number in np.unique(stratum):
        members = shuffled[stratum[shuffled] == number]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)  # rare classes lie between frequent ones
    place[list(firsts)] -= 1  # before all others: without a clip of a class no probe could name it
    order: IndexArray = shuffled[np.argsort(place[shuffled], kind="stable")]
    return order[: max(round(share * len(order)), len(firsts))]


def method_record(
    of: str,
    winner: ProbeResult,
    task: ProbeTask,
    config: ProbeConfig,
    *,
    candidates: Sequence[ProbeResult] = (),
    curve: Sequence[_Point] = (),
) -> dict[str, object]:
    """Return the probes of the method ``of`` as plain values: the winner, all candidates, learning curve, and noise."""
    from sklearn.metrics import f1_score

    targets, tested = task.targets[task.rows["test"]], winner.scores["test"]
    predicted, present, several = answers(tested, task), np.flatnonzero(targets.any(0)), task.multi_label
    # Mean average precision of resampled clips is computed from scores; for accuracy the predictions do.
    scores: dict[str, object] = {"scores": _rounded(tested)} if several else {}
    if not winner.parts:
        scores["validation_predictions"] = task.names(answers(winner.scores["validation"], task))
        scores |= {"validation_scores": _rounded(winner.scores["validation"])} if several else {}
    # The values of ridge regression are no probabilities, and a clip may have several answers.
    certain = not several and (config.classifier == "logistic" or winner.c is None)
    noise = noise_points(winner, task, config)
    return {
        "of": of,
        "chosen": winner.of,
        **{name: getattr(winner, own) for name, own in _FIGURES.items()},
        # over the classes that occur on test
        "macro_f1": float(f1_score(targets, predicted, labels=present, average="macro", zero_division=0)),
        "mean_average_precision": float(measure(Rankings(truth=targets, scores=tested[None, None]))[0, 0]),
        "validation_clips": _judging_clips(winner, task),
        "parts": winner.parts,
        "predictions": task.names(predicted),
        **scores,
        "layer_regularisation_strengths": len(candidates[0].tries) if candidates else 0,
        "regularisation_strengths": len(winner.tries),
        "probabilities": _rounded(tested.max(1)) if certain else None,
        "candidates": [_candidate_record(each, task) for each in candidates],
        "learning_curve": list(curve),
        **({"noise": noise} if noise else {}),
    }


def _rounded(scores: FloatArray) -> object:
    return np.round(scores.astype(np.float64), 6).tolist()


_Answer = Literal["one", "several", "value"]  # one class, several classes, or values that are no probabilities


@dataclass(frozen=True, kw_only=True)
class VectorRecipe:
    """How the vectors of a comparison were made: poolings and test-time augmentation, and states of the GPT."""

    vectors: VectorConfig = VECTORS
    states: tuple[States, ...] = RESIDUAL


@dataclass(frozen=True, kw_only=True)
class ProbeDescription:
    """What a fitted probe reads and answers."""

    of: str  # key of the features, such as gpt/layer_3:thirds
    recipe: VectorRecipe = VectorRecipe()
    classes: tuple[str, ...]
    dim: int  # of a vector
    power: float  # of the features' magnitudes
    clipping: float  # of the standardised features, in deviations
    answer: _Answer
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
            clipping=description.clipping,
        )

    @classmethod
    def of(cls, result: ProbeResult, task: ProbeTask, config: ProbeConfig) -> "FittedProbe":
        """Keep the fit of a result of `_probe`."""
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
            clipping=result.standard.clipping,
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
