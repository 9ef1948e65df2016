"""Training curves in the store and in the run folder: their names, and what decides them."""

from dataclasses import asdict

from training.state import FitConfig

CURVE = "curve.json"
TENSORBOARD = "tensorboard"  # folder in a run folder, with a folder for each training
NAMES = {"lm": "language model", "simclr": "SimCLR", "supervised": "supervised encoder", "ast": "AST"}


def training_name(stage: str, place: str = "") -> str:
    """What the training of a stage is called on the terminal and in TensorBoard; ``place`` is its fold and seed."""
    return f"{NAMES.get(stage, stage)} {place}".strip().replace("/", "_")  # groups may be named as folders are


def numeric(config: FitConfig) -> dict[str, object]:
    """What of a training config decides the weights, and so belongs to an entry's key."""
    values = asdict(config)
    del values["checkpoint_minutes"]
    return values
