"""Kernels that numba compiles: one compilation for each type of machine, under one lock."""

from collections.abc import Callable
from typing import Any

from numba import njit, typeof

from wordless.base.files import compiling


def kernel(function: Callable[..., Any]) -> Any:  # a dispatcher of numba, which has no types
    """Compile once per type of machine, and cache the result if a cache folder is writable."""
    try:
        return njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return njit(nogil=True, error_model="numpy")(function)


def run(compiled: Any, *arguments: Any) -> Any:
    """Call a kernel, which is first loaded from numba's cache, or compiled, if its types are new to this process."""
    kinds = tuple(map(typeof, arguments))
    if kinds not in compiled.overloads:
        with compiling():
            compiled.compile(kinds)
    return compiled(*arguments)
