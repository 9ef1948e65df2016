"""Models of an earlier run that a run begins with: the options ``tokenizer.start`` and ``lm.start``.

A key has the hash of what a model begins with, and not the place where it lies.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path

from foundation.configuration import build, render
from foundation.errors import InputError
from foundation.hub import CONFIG, fetch, hub_address
from foundation.json_values import find_object, read_object
from foundation.saved_models import HASH, LANGUAGE_MODEL, TOKENIZER, ModelKind
from lm.gpt import GPTConfig
from tokenizer.config import SavedTokenizer, TokenizerConfig

LM, TOKENS = "lm.start", "tokenizer.start"
FREE = ("dropout", "init_std")  # options of a GPT that its weights do not depend on
_from_hub = cache(fetch)  # asked for several times


def start_folder(start: str, kind: ModelKind, *, option: str) -> Path:
    """Return the local folder of a model: ``start`` is this folder, that of a run with the model, or on the hub."""
    if address := hub_address(start):
        return _from_hub(address, kind.part, "")
    folder = Path(start).expanduser()
    for place in (folder / kind.part, folder):
        if kind.key in (find_object(place / CONFIG) or {}):
            return place
    state = f"holds no {kind.part}/{CONFIG} of a {kind.name}" if folder.is_dir() else "is no folder"
    raise InputError(
        f"{option}={start} {state}; name the folder of a run whose stages included {kind.part}, such as "
        f"{option}=runs/<date>_<time>, or hf://user/name"
    )


def run_of_start(start: str, kind: ModelKind, *, option: str) -> Path:
    """Return the folder of the run that made the model, which may hold nothing else."""
    folder = start_folder(start, kind, option=option)
    return folder.absolute().parent


def gpt_hash(start: str) -> str:
    """Return the hash of the weights of ``lm.start``, as its config names it; loading checks it."""
    path = start_folder(start, LANGUAGE_MODEL, option=LM) / CONFIG
    if not isinstance(found := (find_object(path) or {}).get(HASH), str):
        raise InputError(f"{LM}={start}: {path} is damaged: {HASH} is {render(found)}; copy it again from its run")
    return found


def tokenizer_hash(start: str) -> str:
    """Return the fingerprints of ``tokenizer.start``, as its config names them; loading checks them."""
    saved = _saved_tokenizer(start)
    return f"{saved.fingerprints.tokenizer} {saved.fingerprints.codebook}"


def require_same_gpt(start: str, wanted: GPTConfig, *, codebook_size: int) -> None:
    """Refuse a language model of another architecture, or of a codebook of another size.

    Codebooks of one size can be different: `stages.language_model` compares them when there is one.

    Raises:
        InputError: with each option that differs, and the options that make them equal.
    """
    folder = start_folder(start, LANGUAGE_MODEL, option=LM)
    content = find_object(folder / CONFIG) or {}
    gpt, codes = content.get("gpt"), content.get("codes")
    try:
        found = build(GPTConfig, gpt if isinstance(gpt, dict) else {}, name="lm.gpt")
    except InputError as error:
        raise InputError(f"{LM}={start}: {folder / CONFIG} is damaged: {error}; copy it again from its run") from error
    own, other = ({name: value for name, value in asdict(each).items() if name not in FREE} for each in (wanted, found))
    values = {f"lm.gpt.{name}": (value, other[name]) for name, value in own.items()}
    if isinstance(codes, dict) and isinstance(size := codes.get("codebook_size"), int):
        values["tokenizer.codebook_size"] = codebook_size, size
    _require_equal(LM, start, values)


def require_same_tokenizer(start: str, wanted: TokenizerConfig) -> None:
    """Refuse a tokenizer of other sizes or another front end than those of the run.

    Raises:
        InputError: with each option that differs, and the options that make them equal.
    """
    found = _saved_tokenizer(start).config
    if found.speech_layer is not None:
        raise InputError(f"{TOKENS}={start} makes codes of a speech model, which a run trains itself; name another one")
    own, other = (dict(_options(asdict(each))) for each in (wanted, found))
    _require_equal(TOKENS, start, {name: (value, other[name]) for name, value in own.items()})


def _saved_tokenizer(start: str) -> SavedTokenizer:
    folder = start_folder(start, TOKENIZER, option=TOKENS)
    try:
        return read_object(SavedTokenizer, folder / CONFIG)
    except InputError as error:
        raise InputError(f"{TOKENS}={start}: {folder} is damaged: {error}; copy it again from its run") from error


def _options(config: Mapping[str, object], group: str = "tokenizer") -> Iterator[tuple[str, object]]:
    """Give each value of a tokenizer's config under the name of its option."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _options(value, name if name == "audio" else f"{group}.{name}")
        elif name != "speech_layer":
            yield f"{group}.{name}", value


def _require_equal(option: str, start: str, values: Mapping[str, tuple[object, object]]) -> None:
    other = {name: pair for name, pair in values.items() if pair[0] != pair[1]}
    if not other:
        return
    own = ", ".join(f"{name}={render(mine)}" for name, (mine, _) in other.items())
    words = " ".join(f"{name}={render(theirs)}" for name, (_, theirs) in other.items())
    raise InputError(f"{option}={start} was made with other options than this run, which has {own}: add {words}")
