"""A comparison as a study over several folds writes it: drawn values of a plausible size, no audio."""

from typing import Any

import numpy as np

# method -> (kind, accuracy, layers)
METHODS = {
    "supervised": ("supervised", 0.80, ["block_1", "block_2", "block_3", "block_4", "all_blocks"]),
    "supervised_head": ("supervised", 0.785, []),
    "gpt": ("codes", 0.714, ["layer_1", "layer_2", "layer_3", "layer_4", "layer_5", "layer_6", "all_layers"]),
    "ast": ("supervised", 0.71, ["layer_4", "layer_8", "layer_12"]),
    "simclr": ("self_supervised", 0.633, ["block_1", "block_2", "block_3", "block_4", "all_blocks"]),
    "bag_of_codes": ("codes", 0.59, []),
    "log_mel": ("signal", 0.55, []),
    "bottleneck": ("signal", 0.542, []),
    "random_gpt": ("untrained", 0.52, ["layer_1", "layer_2", "layer_3", "all_layers"]),
    "random_conv": ("untrained", 0.49, ["block_1", "block_2", "block_3", "block_4"]),
    "ast_head": ("supervised", 0.69, []),
}
SHARES = (0.01, 0.05, 0.1, 1.0)
FOLDS = ("george", "jackson", "lucas", "nicolas", "theo")


def comparison_example(
    *, folds: tuple[str, ...] = FOLDS, groups: int = 20, classes: int = 10, trained: bool = True
) -> dict[str, Any]:
    """The section of ``results.json``; one fold makes it that of a single run."""
    rng = np.random.default_rng(0)
    fold_shift = rng.normal(0, 0.09, len(folds))
    group_shift = rng.normal(0, 0.1, groups)
    methods = [
        _method(of, kind, accuracy, _spread(rng, folds, accuracy, fold_shift), _groups(rng, accuracy, group_shift))
        for of, (kind, accuracy, _) in METHODS.items()
    ]
    methods.sort(key=lambda row: -row["value"])
    values = {row["of"]: row for row in methods}
    counts = rng.poisson(8, (classes, classes)) + np.diag(np.full(classes, 170))
    section = {
        "protocol": "leave one group out" if len(folds) > 1 else "official",
        "by": "group" if len(folds) > 1 else "split",
        "folds": list(folds),
        "seeds": [0],
        "classes": [f"class {number}" for number in range(classes)],
        "clips": int(counts.sum()),
        "unlabelled": 12,
        "layer_penalties": 3,
        "penalties": 6,
        "confidence": 0.95,
        "methods": methods,
        "differences": [_difference(values["gpt"], row) for row in methods if row["of"] != "gpt"],
        "layers": {of: _layers(rng, of, accuracy, layers) for of, (_, accuracy, layers) in METHODS.items() if layers},
        "learning_curves": {of: _curve(accuracy) for of, (_, accuracy, _) in METHODS.items() if "_head" not in of},
        "confusion": {"gpt": counts.tolist()},
    }
    return section | ({"trainings": _trainings(rng, folds)} if trained else {})


def _spread(
    rng: np.random.Generator, folds: tuple[str, ...], accuracy: float, shift: np.ndarray[Any, Any]
) -> dict[str, float]:
    values = np.clip(accuracy + shift + rng.normal(0, 0.02, len(folds)), 0, 1)
    return dict(zip(folds, values.tolist(), strict=True))


def _groups(rng: np.random.Generator, accuracy: float, shift: np.ndarray[Any, Any]) -> dict[str, float]:
    values = np.clip(accuracy + shift + rng.normal(0, 0.03, len(shift)), 0, 1)
    return {f"speaker {number:02}": float(value) for number, value in enumerate(values)}


def _method(of: str, kind: str, accuracy: float, folds: dict[str, float], groups: dict[str, float]) -> dict[str, Any]:
    value = float(np.mean(list(folds.values())))
    layers = METHODS[of][2]
    candidates = [f"{of}/{layers[1 + number % 2]}:thirds" if layers else f"{of}:thirds" for number in range(len(folds))]
    chosen = {} if of.endswith("_head") else dict(zip(folds, candidates, strict=True))
    row = {"of": of, "kind": kind, "value": value, "low": value - 0.018, "high": value + 0.017, "chosen": chosen}
    spread = float(np.std(list(folds.values())))
    row |= {
        "validation": value + 0.05,
        "validation_low": value,
        "validation_high": value + 0.1,
        "validation_clips": 300,
    }
    row |= {"gap": 0.05, "gap_low": -0.01, "gap_high": 0.11}
    return row | {"macro_f1": value - 0.006, "folds": folds, "fold_spread": spread, "groups": groups}


def _difference(gpt: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    folds = {fold: value - other["folds"][fold] for fold, value in gpt["folds"].items()}
    value = gpt["value"] - other["value"]
    p = 0.0 if abs(value) > 0.03 else 0.62
    row = {"of": "gpt", "against": other["of"], "value": value, "low": value - 0.021, "high": value + 0.02, "p": p}
    return row | {"folds": folds, "fold_low": min(folds.values()), "fold_high": max(folds.values())}


def _layers(rng: np.random.Generator, of: str, accuracy: float, layers: list[str]) -> list[dict[str, Any]]:
    heights = accuracy - 0.04 * np.abs(np.arange(len(layers)) - 2) + rng.normal(0, 0.01, len(layers))
    return [
        {"of": f"{of}/{layer}", "validation": float(height) + 0.05, "test": float(height)}
        for layer, height in zip(layers, heights, strict=True)
    ]


def _curve(accuracy: float) -> list[dict[str, float]]:
    values = [accuracy - (accuracy - 0.15) * float(-np.log10(share)) / 2.5 for share in SHARES]
    return [
        {"share": share, "clips": round(1500 * share), "value": value, "low": value - 0.02, "high": value + 0.02}
        for share, value in zip(SHARES, values, strict=True)
    ]


def _trainings(rng: np.random.Generator, folds: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    lengths = {"lm": 1500, "simclr": 900, "supervised": 600}
    return {of: {fold: training(rng, steps) for fold in folds} for of, steps in lengths.items()}


def training(rng: np.random.Generator, steps: int) -> dict[str, Any]:
    """A training that learns, then learns by heart."""
    shift = rng.normal(0, 0.15)
    curve = [
        {
            "step": step,
            "train_loss": 3 * np.exp(-3 * step / steps) + 1 + shift,
            "validation_loss": 2.6 * np.exp(-4 * step / steps) + 1.3 + 0.4 * (step / steps) ** 2 + shift,
        }
        for step in range(steps // 20, steps + 1, steps // 20)
    ]
    kept = min(curve, key=lambda point: point["validation_loss"])["step"]
    return {"curve": curve, "steps": steps, "kept_step": kept, "cut_short": False}
