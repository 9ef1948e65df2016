"""``log.txt`` in the folder of a run: the command, the lines that it printed, and the error that ended it."""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from pipelines.commandline.overrides import command_line
from pipelines.commandline.refusals import os_problem
from wordless.base.errors import InputError
from wordless.base.progress import append_line

LOG: Final = "log.txt"


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Append the command to the log of a run folder, and the error if one ends the block. Rank 0 alone writes."""
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    log = folder / LOG
    append_line(log, f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}  {command_line('run')}")
    try:
        yield
    except KeyboardInterrupt:
        append_line(log, "interrupted")
        raise
    except Exception as error:
        problem = error if isinstance(error, InputError) else os_problem(error, [str(folder), "."])
        append_line(log, f"wordless run: {problem}" if problem else traceback.format_exc().rstrip())
        raise
