"""Folders of saved models: those of several rates, addresses on the Hugging Face hub, and local copies of them.

An address is ``hf://user/name@revision/folder``, as `huggingface_hub` writes it; revision and folder may be left out.
Files are downloaded into the cache of `huggingface_hub` (``HF_HOME``), and only those kinds that run no code.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from urllib.parse import quote, unquote

from wordless.base.files import find_object
from wordless.base.messages import InputError

CONFIG = "config.json"  # each folder of a saved model has one
RATES = "rates"  # key of config.json in a folder that holds a model for each of several rates, in folders of their own
SAFE_FILES = ("*.json", "*.safetensors", "README.md")  # what the models are loaded from; never a pickle or a script
NETWORK = "check the network, without which, or with HF_HUB_OFFLINE set, the local cache must have the files"
REPO = re.compile(r"\w[\w.-]{0,95}/\w[\w.-]{0,95}", re.ASCII)
_REPO = rf"({REPO.pattern})(?:@([^/@]+))?"
_SHORT = re.compile(_REPO, re.ASCII)
_ADDRESS = re.compile(rf"hf:/{{1,2}}{_REPO}((?:/[^/]+)*)/?", re.ASCII)  # a `Path` keeps one of two slashes


def holds_rates(folder: Path) -> bool:
    """Whether a folder holds a model for each of several rates; no heavy library is imported to know it."""
    return RATES in (find_object(folder / CONFIG) or {})


def rate_folder(folder: Path, number: int) -> Path:
    """Return the folder of the model of a rate; rate 1 is the coarsest."""
    return folder / f"rate_{number}"


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
    remedy = f"name a repository that wordless publish wrote, hf://{address.repo}/FOLDER; or {NETWORK}"
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
