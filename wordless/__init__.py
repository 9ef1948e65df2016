"""Wordless in Python: ``import wordless`` is all that a user of its models needs.

Each name is imported from its own package at its first use. So ``import wordless`` is fast, and a vocoder works where
the libraries of the language model cannot be imported.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

# By default OpenMP's idle threads spin, and slow each other down as soon as anything else runs on the machine: on two
# busy cores training ran at 2 steps per second spinning and 22 waiting, and decoding a word took 39 s instead of 0.1.
# PyTorch reads the variable when it loads OpenMP. Every package imports this one before PyTorch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:  # for type checkers and editors; `_HOMES` says the same to Python
    from lm.model import LanguageModel
    from tokenizer.codes import Codes, join_codes
    from tokenizer.tokenizer import Tokenizer
    from vocoder.vocoder import Vocoder
    from wordless.audio.reading import read
    from wordless.audio.waveform import Waveform
    from wordless.base.errors import InputError

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
    "InputError": "wordless.base.errors",
    "LanguageModel": "lm.model",
    "Tokenizer": "tokenizer.tokenizer",
    "Vocoder": "vocoder.vocoder",
    "Waveform": "wordless.audio.waveform",
    "join_codes": "tokenizer.codes",
    "read": "wordless.audio.reading",
}


def _import(name: str) -> object:
    """Import a name at its first use, and keep it."""
    if name == "__version__":
        value: object = import_module("wordless.base.machine").installed_version()
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
