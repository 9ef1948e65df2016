"""Names and keys of training curves in the store and in the run folder."""

from dataclasses import asdict

from wordless.training.options import FitConfig

CURVE = "curve.json"
NAMES = {
    "lm": "language model",
    "simclr": "SimCLR",
    "supervised": "supervised encoder",
    "ast": "AST",
    "wav2vec2": "wav2vec 2.0",
    "wav2vec2_finetuned": "wav2vec 2.0, fine-tuned",
    "finetuned": "fine-tuning",
}


def training_name(stage: str, place: str = "") -> str:
    """Return the name of a training on the terminal and in trackers; ``place`` is its fold and seed."""
    return f"{NAMES.get(stage) or stage.replace('_', ' ')} {place}".strip().replace(
        "/", "_"
    )  # names of groups may contain "/"


def numeric(config: FitConfig) -> dict[str, object]:
    """Return the options of a training config that decide the weights, and so belong to an entry's key.

    Raises:
        ValueError: ``precision`` is ``auto``; call `wordless.training.precision.with_precision` on the settings first.
    """
    if config.precision == "auto":
        raise ValueError("a key needs the meaning of precision=auto: call with_precision on the settings first")
    values = asdict(config)
    del values["checkpoint_minutes"]
    if values.get("sharding") == "none":  # entries of weights that are not divided keep their key
        del values["sharding"]
    return values
