"""Errors of imports: which library of the installation is broken, and what to do about it."""

import errno
from traceback import walk_tb

from wordless.base.files import causes, os_number
from wordless.base.messages import MOST_CHARACTERS, InputError

# our own top-level packages, and the script of a user
OURS = frozenset({"wordless", "tokenizer", "lm", "vocoder", "pipelines", "conf", "__main__", "__mp_main__", ""})


def broken_library(error: BaseException) -> InputError | None:
    """Describe the library whose import raised the error or one of its causes; None if no import of a library did."""
    for each in causes(error):
        frames = [frame for frame, _ in walk_tb(each.__traceback__) if frame.f_code.co_name == "<module>"]
        imported = [frame.f_globals.get("__name__", "") for frame in frames]
        names = [(each.name or "") if isinstance(each, ImportError) else "", *imported]  # the innermost is the last
        libraries = [library for name in names if (library := str(name).partition(".")[0]) not in OURS]
        if libraries:
            reason = " ".join(f"{type(each).__name__}: {each}".split())
            problem = f"the library {libraries[-1]} cannot be imported ({reason[:MOST_CHARACTERS]})"
            remedy = "install it again, or make a new environment (make clean install)"
            if isinstance(each, MemoryError) or os_number(each) == errno.ENOMEM or "failed to map segment" in reason:
                remedy = "give this shell more address space (ulimit -v), or the machine or container more memory"
            if "temporary directory" in reason:  # PyTorch imports dill, which looks for one
                problem = f"no temporary file can be written ({reason[:MOST_CHARACTERS]})"
                remedy = "allow this shell larger files (ulimit -f), free some space, or set TMPDIR to another folder"
            return InputError(problem, remedy=remedy)
    return None
