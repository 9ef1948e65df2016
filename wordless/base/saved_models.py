"""Saved models: a folder with ``config.json`` and ``model.safetensors``, here or on the Hugging Face hub.

Both files may be damaged. Weights are read only after these two agree::

    model.safetensors     the names, shapes and types in its header
    config.json           the names, shapes and types of the tensors of its network, which is built without memory

An address of the hub is ``hf://user/name@revision/folder``, as `huggingface_hub` writes it; revision and folder may be
left out. Files are downloaded into the cache of `huggingface_hub` (``HF_HOME``), and only those kinds that run no code.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from wordless.base.files import aside, file_hash, find_object, list_hash, read_object, why_no_file, write_aside
from wordless.base.messages import InputError, first_line

T = TypeVar("T")
N = TypeVar("N", bound="nn.Module")
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
INDEX = f"{WEIGHTS}.index.json"  # names the file of each tensor where weights lie in several
PREPROCESSOR = "preprocessor_config.json"  # beside them in a Hugging Face folder: how inputs are prepared
_RATES = "rates"  # key of config.json in a folder that holds a model for each of several rates, in folders of their own
HASH = "weights_sha256"  # key of config.json: the hash of the weights
# Ends of the names of models of transformers that learned labels.
_LABELLED = ("Classification", "ForCTC", "ForXVector")
TYPES = {"F32": "float32", "F64": "float64", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32"}
# what PyTorch, safetensors and Python raise when a file is damaged, and what the machine may raise as well
_DAMAGE = (SafetensorError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
_MACHINE = (OSError, RuntimeError, MemoryError)
SAFE_FILES = ("*.json", "*.safetensors", "README.md")  # what the models are loaded from; never a pickle or a script
NETWORK = "check the network, without which, or with HF_HUB_OFFLINE set, the local cache must have the files"
REPO = re.compile(r"\w[\w.-]{0,95}/\w[\w.-]{0,95}", re.ASCII)
_REPO = rf"({REPO.pattern})(?:@([^/@]+))?"
_SHORT = re.compile(_REPO, re.ASCII)
_ADDRESS = re.compile(rf"hf:/{{1,2}}{_REPO}((?:/[^/]+)*)/?", re.ASCII)  # a `Path` keeps one of two slashes


@dataclass(frozen=True, kw_only=True)
class ModelKind:
    """A kind of model that is saved in a folder."""

    name: str  # in messages
    part: str  # what a run calls the folder
    key: str  # of config.json; no other kind has it


TOKENIZER = ModelKind(name="tokenizer", part="tokenizer", key="autoencoder")
LANGUAGE_MODEL = ModelKind(name="language model", part="lm", key="gpt")
VOCODER = ModelKind(name="vocoder", part="vocoder", key="wavenet")
FINE_TUNED = ModelKind(name="fine-tuned model", part="finetuned", key="head")
PROBE = ModelKind(name="probe", part="probe", key="probe")
MODEL_KINDS = (TOKENIZER, LANGUAGE_MODEL, VOCODER, FINE_TUNED, PROBE)  # that messages call by their names


def model_folder(name: Path | str, kind: ModelKind) -> Path:
    """Return the local folder of a saved model: the named folder, or a copy of one on the Hugging Face hub.

    A text ``user/name`` is a repository of the hub unless there is such a folder; ``hf://user/name`` always is. A
    repository holds the model itself, or a run with the model in the folder ``kind.part``.
    """
    if (address := hub_address(name, short=True)) is None:
        return Path(name).expanduser()
    try:
        return fetch(address, kind.part, "")
    except InputError as error:
        if is_on_hub(name):
            raise
        raise InputError(f"there is no folder {name} here, and {error}") from error


def holds_rates(folder: Path) -> bool:
    """Whether a folder holds a model for each of several rates; no heavy library is imported to know it."""
    return _RATES in (find_object(folder / CONFIG) or {})


def rate_folder(folder: Path, number: int) -> Path:
    """Return the folder of the model of a rate; rate 1 is the coarsest."""
    return folder / f"rate_{number}"


def write_model(
    folder: Path,
    weights: nn.Module | Mapping[str, Tensor],
    config: Mapping[str, object],
    *,
    card: str | None = None,
    hashed: bool = True,
) -> None:
    """Write model.safetensors, README.md and, last, config.json: a folder with a config.json is complete.

    ``card`` is the text of README.md, None for none. With ``hashed`` the config ends with the hash of the weights,
    `HASH`.
    """

    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    if isinstance(weights, nn.Module):
        with aside(folder / WEIGHTS) as beside:
            save_model(weights, str(beside))
    else:
        write_tensors(folder / WEIGHTS, weights)
    if card is not None:
        write_aside(folder / CARD, card)
    saved = {**config, HASH: file_hash(folder / WEIGHTS)} if hashed else config
    write_aside(folder / CONFIG, json.dumps(saved, indent=2, ensure_ascii=False) + "\n")


_CARD = """---
library_name: wordless
tags: [audio, {tags}]
---
# {title}

{about}

| | |
|---|---|
{rows}

```python
{code}
```

{note}"""


def model_card(title: str, about: str, facts: Mapping[str, object], code: str, *, tags: str, note: str = "") -> str:
    """Write the README.md of a model: what it is, its ``facts`` as a table, how to call it, and what to know of it."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return _CARD.format(title=title, about=about, rows=rows, code=code.strip(), tags=tags, note=note).strip() + "\n"


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors on any device into a safetensors file, whole or not at all."""

    with aside(path) as beside:  # safetensors takes contiguous tensors only, and some networks lay theirs out for speed
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, beside)


@contextmanager
def reading(folder: Path, kind: ModelKind, config: type[T]) -> Iterator[T]:
    """Give a block the config of the model in ``folder``, and turn the block's errors into one line, as `whole` does.

    Raises:
        InputError: the folder lacks a file, holds a model of another kind, or holds a damaged one.
    """
    content = find_object(folder / CONFIG)  # None: damaged, or not there
    keys = content or {}
    if _RATES in keys:
        first = rate_folder(folder, 1)
        raise InputError(f"{folder} holds a {kind.name} for each of several rates; name one of them, such as {first}")
    for name in (CONFIG, WEIGHTS):
        path = folder / name
        if not path.is_file():
            part = folder / kind.part
            named = part if (part / name).is_file() else "a folder that wordless run wrote"
            raise InputError(f"{path} {why_no_file(path)}: {folder} holds no {kind.name}; name {named}")
    # that the keys belong to; none: no model of ours
    others = [f"a {each.name}" for each in MODEL_KINDS if each.key in keys]
    others += ["another kind of model"] if HASH in keys else []
    if kind.key not in keys and others:
        beside = folder.absolute().parent / kind.part
        named = beside if (beside / CONFIG).is_file() else f"the folder {kind.part} of a run"
        raise InputError(f"{folder} holds {others[0]}, not a {kind.name}; name {named}")
    with whole(folder, kind.name, remedy="copy it again from its run, or make it again"):
        yield read_object(config, folder / CONFIG, content)


# what modules of PyTorch call to draw their weights
_RANDOM = (Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_)


def load_network(create: Callable[[], N], folder: Path, sha256: str) -> N:
    """Create the network of a config, with the weights of ``model.safetensors``, whose hash the config names.

    The network is first created without memory for its weights, and compared with the file: so a config cannot make it
    larger than the file.
    """

    class Unfilled(TorchFunctionMode):
        """Leave out random weights of tensors without memory, for which PyTorch imports its compiler.

        That takes seconds, a quarter of a run that computes nothing.
        """

        def __torch_function__(
            self,
            func: Callable[..., Any],
            types: object,
            args: tuple[Any, ...] = (),
            kwargs: dict[str, Any] | None = None,
        ) -> Any:
            kwargs = kwargs or {}
            if func in _RANDOM:
                return args[0] if args else kwargs["tensor"]
            return func(*args, **kwargs)

    if sha256 != file_hash(folder / WEIGHTS):
        raise InputError(f"{WEIGHTS} is not the file that {CONFIG} was saved with")
    with torch.device("meta"), Unfilled():
        network = create()
    named = [*network.named_parameters(remove_duplicate=False)]
    uses = Counter(id(weight) for _, weight in named)
    tied = {name for name, weight in named if uses[id(weight)] > 1}
    require_tensors(folder / WEIGHTS, network.state_dict(), tied=tied)
    network = create()
    load_model(network, folder / WEIGHTS)
    require_finite(network.state_dict())
    return network


@contextmanager
def whole(place: Path, what: str, *, remedy: str) -> Iterator[None]:
    """Turn every error of damaged files and of those of other versions into one line, which names ``place`` and remedy.

    What the machine refuses is told as such, and errors of CUDA pass.
    """
    try:
        yield
    except _DAMAGE as error:
        raise InputError(
            f"{place} holds a {what} that is damaged or of another version ({first_line(error)}); {remedy}"
        ) from error
    except _MACHINE as error:
        if "CUDA" in str(error):
            raise
        raise InputError(f"{place} holds a {what} that cannot be read ({first_line(error)}); {remedy}") from error


def read_header(weights: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Read type and shape of every tensor of a safetensors file; no tensor is read."""
    try:
        with safe_open(weights, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
            return {name: (each.get_dtype(), tuple(each.get_shape())) for name, each in slices.items()}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{weights.name} is cut short or is not a safetensors file ({first_line(error)})") from error


def require_tensors(weights: Path, wanted: Mapping[str, Tensor], *, tied: Collection[str] = ()) -> None:
    """Refuse weights whose tensors differ from those of the network, ``wanted``, in name, shape or type.

    ``tied`` names tensors that are one tensor under several names; any of them may be missing.
    """
    there = {name: (TYPES.get(kind, kind), shape) for name, (kind, shape) in read_header(weights).items()}
    own = {name: (str(each.dtype).removeprefix("torch."), tuple(each.shape)) for name, each in wanted.items()}
    for name in sorted(own.keys() | there.keys()):
        pair = (there.get(name), own.get(name))
        if pair[0] != pair[1] and not (name in tied and name not in there):
            found, expected = ("nothing" if each is None else f"{each[0]} {[*each[1]]}" for each in pair)
            raise InputError(f"{WEIGHTS} has {found} for {name!r}, and the network of {CONFIG} {expected}")


def require_finite(tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that hold NaN or infinity: every output would be noise."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(f"the tensor {name!r} holds numbers that are not finite")


def read_own_weights(folder: Path, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read the weights of a model, which must have the names, shapes and types of ``wanted``, and be finite."""

    require_tensors(folder / WEIGHTS, wanted)
    weights = load_file(folder / WEIGHTS)
    require_finite(weights)
    return weights


def hugging_face_hash(folder: Path) -> str:
    """Compute the hash of the files of a model's Hugging Face folder, wherever it lies."""
    return list_hash(file_hash(file) if file.is_file() else None for file in hugging_face_files(folder))


def hugging_face_files(folder: Path) -> list[Path]:
    """Return the files that a model is read from in its Hugging Face folder, some of which may not be there."""
    weights = [WEIGHTS]
    if not (folder / WEIGHTS).is_file() and (folder / INDEX).is_file():
        weights = [INDEX, *sorted(path.name for path in folder.glob("model-*.safetensors"))]
    return [folder / name for name in (CONFIG, *weights, PREPROCESSOR)]


def learned_labels(folder: Path) -> bool:
    """Return whether a Hugging Face folder holds a model that was trained with labels, as its config.json names it."""
    names = (find_object(folder / CONFIG) or {}).get("architectures")
    return isinstance(names, list) and any(str(name).endswith(_LABELLED) for name in names)


@dataclass(frozen=True, kw_only=True)
class HubAddress:
    """A repository of the hub, or a folder in it."""

    repo: str  # user/name
    revision: str | None = None  # branch, tag or commit; None: main
    folder: str = ""

    def __str__(self) -> str:
        revision = f"@{quote(self.revision, safe='')}" if self.revision else ""
        return "/".join(filter(None, (f"hf://{self.repo}{revision}", self.folder)))


def is_on_hub(name: Path | str | None) -> bool:
    """Return whether a path or text is an address of the hub."""
    return str(name).startswith("hf:/")


def hub_address(name: Path | str, *, short: bool = False) -> HubAddress | None:
    """Return the address that a path or text is; None for everything else, such as a folder.

    With ``short`` a text ``user/name`` is an address, too, unless there is such a folder.

    Raises:
        InputError: it begins with hf:// and is no address.
    """
    if short and isinstance(name, str) and _SHORT.fullmatch(name) and not Path(name).exists():
        name = f"hf://{name}"
    if not is_on_hub(name):
        return None
    found = _ADDRESS.fullmatch(str(name))
    folder = found[3].strip("/") if found else ""
    if found is None or {".", ".."} & {*folder.split("/")}:
        typed = str(name).replace("hf:/", "hf://", 1) if isinstance(name, Path) else name  # a Path drops a slash
        rule = "write hf://user/name, hf://user/name@revision or hf://user/name/folder, of letters, digits, -, _ and ."
        raise InputError(f"{typed} is not an address of the Hugging Face hub; {rule}")
    return HubAddress(repo=found[1], revision=unquote(found[2]) if found[2] else None, folder=folder)


def fetch(address: HubAddress, *parts: str, whole: bool = False) -> Path:
    """Return a local copy of the first of ``parts`` that holds a saved model; with ``whole``, of all parts beside it.

    A part is a folder inside that of the address; "" is that folder itself. The hub is asked for newer files. If it
    cannot be reached, or ``HF_HUB_OFFLINE=1`` is set, the files come from the local cache.

    Raises:
        InputError: no such repository, revision or part, no permission, or no network and no copy in the cache.
    """
    from huggingface_hub import snapshot_download

    places = ["/".join(filter(None, (address.folder, part))) for part in parts]
    for place in places:
        kept = address.folder if whole else place
        patterns = [f"{escape(kept)}/{each}" if kept else each for each in SAFE_FILES]
        with hub_errors(address):
            root = snapshot_download(
                address.repo, revision=address.revision, library_name="wordless", allow_patterns=patterns
            )
        model = Path(root, place)
        if (model / CONFIG).is_file() and any(model.rglob("*.safetensors")):
            return Path(root, kept)
    wanted = " or ".join(f"{place}/{CONFIG}".lstrip("/") for place in places)
    remedy = f"name a repository with the folder of a run, hf://{address.repo}/FOLDER; or {NETWORK}"
    raise InputError(f"{address} holds no {wanted} with its weights", remedy=remedy)


def local_weights(weights: str) -> str:
    """Return the local folder of weights: a copy of an address of the hub; every other text stays as it is."""
    address = hub_address(weights)
    return weights if address is None else str(fetch(address, ""))


@contextmanager
def hub_errors(address: HubAddress) -> Iterator[None]:
    """Turn the hub's refusals and a lost network into one line that names the remedy."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{address.repo}"
    try:
        yield
    except errors.HFValidationError as error:
        raise InputError(f"{address} is no address of the hub ({error})", remedy="check the name") from error
    except OSError as error:
        if error.errno is not None:  # of the disk
            raise
        status = getattr(getattr(error, "response", None), "status_code", None)  # of HTTP; None without an answer
        match error:
            case errors.GatedRepoError():
                remedy = f"ask for access at {page}, then log in: hf auth login"
            case errors.RepositoryNotFoundError():
                remedy = "check the name, or log in to an account that may read it: hf auth login"
            case errors.RevisionNotFoundError():
                remedy = f"name a branch, a tag or a commit of {page}"
            case _ if status in (401, 403):
                remedy = "log in with a token that has the right: hf auth login"
            case _:
                remedy = NETWORK
        # Of an error without status its kind: messages of connections are long.
        reason = f"HTTP {status}" if status else type(error.__cause__ or error).__name__
        raise InputError(f"the Hugging Face hub does not give {address} ({reason})", remedy=remedy) from error
