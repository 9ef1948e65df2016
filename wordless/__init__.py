"""Wordless in Python: ``import wordless`` is all that a user of its models needs.

Each name is imported from its own package at its first use. So ``import wordless`` is fast, and a vocoder works where
the libraries of the language model cannot be imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING

import audio  # noqa: F401  before anything loads PyTorch: OpenMP's idle threads wait, and do not spin

if TYPE_CHECKING:  # for type checkers and editors; `_HOMES` says the same to Python
    from audio.reading import read
    from audio.waveform import Waveform
    from foundation.errors import InputError
    from lm.model import LanguageModel
    from tokenizer.codes import Codes, join_codes
    from tokenizer.tokenizer import Tokenizer
    from vocoder.vocoder import Vocoder

    __version__: str

__all__ = [
    "Codes",
    "InputError",
    "LanguageModel",
    "Tokenizer",
    "Vocoder",
    "Waveform",
    "__version__",
    "join_codes",
    "read",
]

# name -> the module that defines it
_HOMES = {
    "Codes": "tokenizer.codes",
    "InputError": "foundation.errors",
    "LanguageModel": "lm.model",
    "Tokenizer": "tokenizer.tokenizer",
    "Vocoder": "vocoder.vocoder",
    "Waveform": "audio.waveform",
    "join_codes": "tokenizer.codes",
    "read": "audio.reading",
}


def _import(name: str) -> object:
    """Import a name at its first use, and keep it."""
    if name == "__version__":
        value: object = import_module("foundation.versions").installed_version()
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # with this function, type checkers would accept every name
    __getattr__ = _import


def __dir__() -> list[str]:
    """List the public names, which need not be imported yet."""
    return [*__all__]
