"""The probes of one method as ``probe.json`` holds them."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from lm.probing.learning_curve import LearningPoint
from lm.probing.probe import FloatArray, MethodResult, answers
from lm.probing.task import ProbeTask

FIGURES = ("penalty", "validation_accuracy", "test_accuracy", "low", "high")  # of a candidate


def method_record(result: MethodResult, curve: Sequence[LearningPoint], task: ProbeTask) -> dict[str, object]:
    """Return the probes of one method as plain values: the winner, all candidates and its learning curve."""
    winner = result.winner
    # Mean average precision of resampled clips is computed from scores; for accuracy the predictions do.
    scores: dict[str, object] = {"scores": _rounded(winner.scores)} if task.multi_label else {}
    if winner.validation_scores is not None:
        scores["validation_predictions"] = task.names(answers(winner.validation_scores, task))
        scores |= {"validation_scores": _rounded(winner.validation_scores)} if task.multi_label else {}
    return {
        "of": result.of,
        "chosen": winner.of,
        **{name: getattr(winner, name) for name in FIGURES},
        "macro_f1": winner.macro_f1,
        "mean_average_precision": winner.mean_average_precision,
        "validation_clips": winner.validation_clips,
        "parts": winner.parts,
        "predictions": winner.predictions,
        **scores,
        "layer_penalties": result.layer_penalties,
        "penalties": len(winner.tries),
        "probabilities": result.certainty,
        "candidates": [
            {"of": candidate.of, **{name: getattr(candidate, name) for name in FIGURES}}
            for candidate in result.candidates
        ],
        "learning_curve": [asdict(point) for point in curve],
    }


def _rounded(scores: FloatArray) -> list[list[float]]:
    rounded: list[list[float]] = np.round(scores.astype(np.float64), 6).tolist()
    return rounded
