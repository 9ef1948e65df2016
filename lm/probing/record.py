"""The probes of one method as ``probe.json`` holds them."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from lm.probing.learning_curve import LearningPoint
from lm.probing.probe import MethodResult

FIGURES = ("penalty", "validation_accuracy", "test_accuracy", "low", "high")  # of a candidate


def method_record(result: MethodResult, curve: Sequence[LearningPoint], *, multi_label: bool) -> dict[str, object]:
    """Return the probes of one method as plain values: the winner, its candidates and its learning curve."""
    winner = result.winner
    # Mean average precision of resampled clips is computed from scores; for accuracy the predictions do.
    scores = {"scores": np.round(winner.scores.astype(np.float64), 6).tolist()} if multi_label else {}
    return {
        "of": result.of,
        "chosen": winner.of,
        **{name: getattr(winner, name) for name in FIGURES},
        "macro_f1": winner.macro_f1,
        "mean_average_precision": winner.mean_average_precision,
        "predictions": winner.predictions,
        **scores,
        "tries": len(result.tries),
        "probabilities": result.certainty,
        "candidates": [
            {"of": candidate.of, **{name: getattr(candidate, name) for name in FIGURES}}
            for candidate in result.candidates
            if candidate.tries
        ],
        "learning_curve": [asdict(point) for point in curve],
    }
