"""Names and keys of training curves in the store and in the run folder."""

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
