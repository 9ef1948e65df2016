"""Parts of a finished run, which commands read.

``model=hf://user/name`` names a run on the Hugging Face hub: its parts are downloaded when a command first asks.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from wordless.base.files import find_object
from wordless.base.messages import InputError
from wordless.base.saved_models import CONFIG, fetch, holds_rates, hub_address, is_on_hub

RUNS = "runs"  # folder in which commands put the folders of runs
REPORT = "report.html"
RESULTS = (
    "results.json"  # is written after models and sounds, and before the pages that show it: a run with it is finished
)
FINETUNED = "finetuned"  # folder of the fine-tuned models of a run
JOB, TABLE = "job.json", "figures.md"  # in the folder of a fine-tuned model: what it is made of, its figures
# folders, and the stages or methods of `wordless run` that make them
ModelPart = Literal["tokenizer", "lm", "denoising", "vocoder", "wav2vec2", "audio_transformer"]
from_hub = cache(fetch)  # a command asks several times for a part, and the hub once


def is_finetuned(folder: Path) -> bool:
    """Return whether a folder is a fine-tuned model, whose config.json is written last; artifacts name no channel."""
    return {"backbone", "head", "channel"} <= {*(find_object(folder / CONFIG) or {})}


def part_of(model: Path, part: ModelPart, *, otherwise: str = "", rates: bool = False) -> Path:
    """Return the folder of one part that a run made; ``otherwise`` is an alternative without it, for a refusal.

    Models of several rates are refused unless the command reads them (``rates``).
    """
    folder = _found_part(model, part, otherwise)
    if holds_rates(folder) and not rates:
        rule = "its codes have several rates, which only wordless run, generate and decode read"
        raise InputError(option="model", value=model, rule=rule, remedy="name a run with tokenizer.rates=null")
    return folder


def _found_part(model: Path, part: ModelPart, otherwise: str) -> Path:
    if address := hub_address(model):
        return from_hub(address, part)
    if not model.is_dir():
        state = "is a file" if model.exists() else "does not exist"
        raise InputError(f"model={model} {state}; name the folder of a run, such as model=runs/<date>_<time>")
    if (model / part / CONFIG).is_file():
        return model / part
    if is_finetuned(model):
        raise InputError(f"model={model} is a fine-tuned model without {part}; name a run, or call wordless predict")
    if (model / CONFIG).is_file():
        raise InputError(f"model={model} is a part of a run; name the folder above: model={model.absolute().parent}")
    raise InputError(
        f"model={model} holds no {part}/config.json; {otherwise}name the folder of a run whose stages or methods "
        f"included {part}, without compare.folds and seeds, which leave models in the store"
    )


def run_of(model: Path) -> Path:
    """Return the local folder of a run with all its parts; at least a tokenizer must be there."""
    part_of(model, "tokenizer")
    address = hub_address(model)
    return model if address is None else from_hub(address, "tokenizer", whole=True)


def require_output(model: Path | None, output: Path | None, *, example: str) -> None:
    """Refuse a run on the hub without an output: results go into the folder of a run only on this machine."""
    if output is None and is_on_hub(model):
        raise InputError(f"output=null, and {hub_address(model or '')} is no folder of this machine; add {example}")
