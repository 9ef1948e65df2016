"""Wordless in Python: ``import wordless`` is all that a user of its models needs.

Each name is imported from its own package at its first use. So ``import wordless`` is fast, and a vocoder works where
the libraries of the language model cannot be imported.
"""

import getpass
import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

# By default OpenMP's idle threads spin, and slow each other down as soon as anything else runs on the machine: on two
# busy cores training ran at 2 steps per second spinning and 22 waiting, and decoding a word took 39 s instead of 0.1.
# PyTorch reads the variable when it loads OpenMP. Every package imports this one before PyTorch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _replace_home() -> None:
    """Give libraries a user's name and a folder for caches where a container has none."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"user{os.getuid()}"
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  Path raises without a home
    if "XDG_CACHE_HOME" in os.environ or os.access(home, os.W_OK) or (home / ".cache").is_dir():
        return
    import tempfile  # more imports than all the rest

    with suppress(OSError):
        cache = Path(tempfile.gettempdir(), f"wordless-{os.getuid()}")
        cache.mkdir(mode=0o700, exist_ok=True)
        if cache.lstat().st_uid != os.getuid():  # another user could have put code there
            cache = Path(tempfile.mkdtemp(prefix="wordless-"))
        os.environ["XDG_CACHE_HOME"] = str(cache)


_replace_home()

if TYPE_CHECKING:  # for type checkers and editors; `_HOMES` says the same to Python
    from lm.gpt import GPTConfig as GPTConfig
    from lm.model import LanguageModel as LanguageModel
    from pipelines.running import Run as Run
    from pipelines.running import run as run
    from tokenizer.codes import Codes as Codes
    from tokenizer.codes import join_codes as join_codes
    from tokenizer.parquet import read_codes as read_codes
    from tokenizer.tokenizer import Tokenizer as Tokenizer
    from vocoder.vocoder import Vocoder as Vocoder
    from wordless.audio.reading import read as read
    from wordless.audio.waveform import Waveform as Waveform
    from wordless.base.messages import InputError as InputError

    __version__: str

# name -> the module that defines it
_HOMES = {
    "Codes": "tokenizer.codes",
    "GPTConfig": "lm.gpt",
    "InputError": "wordless.base.messages",
    "LanguageModel": "lm.model",
    "Run": "pipelines.running",
    "Tokenizer": "tokenizer.tokenizer",
    "Vocoder": "vocoder.vocoder",
    "Waveform": "wordless.audio.waveform",
    "join_codes": "tokenizer.codes",
    "read": "wordless.audio.reading",
    "read_codes": "tokenizer.parquet",
    "run": "pipelines.running",
}
__all__ = [*sorted(_HOMES), "__version__"]

_PLACE = Path(__file__).parents[1]  # of all packages


def _import(name: str) -> object:
    if name == "__version__":
        value: object = import_module("wordless.base.versions").installed_version()
    elif name in _HOMES:
        value = getattr(_home(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value
    return value


def _home(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        file = getattr(sys.modules.get(package), "__file__", None)
        if (
            package not in ("tokenizer", "lm", "vocoder", "pipelines")
            or file is None
            or Path(file).parent.parent == _PLACE
        ):
            raise
        from wordless.base.messages import InputError

        problem = f"{file} has the name of the package {package} of Wordless, and Python finds it first"
        raise InputError(problem, remedy="rename it, or move it away from the script") from None


if not TYPE_CHECKING:  # with this function, type checkers would accept every name
    __getattr__ = _import


def __dir__() -> list[str]:
    """List the public names, which need not be imported yet."""
    return [*__all__]
