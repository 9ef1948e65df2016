"""Where a finished run comes from: software, machine, command and options, none of which enters the store."""

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

from pipelines.commandline.run_folders import SWEEP_WORDS
from pipelines.results.rows import parameters
from pipelines.results.run_record import Section
from pipelines.store.store import CURVE, Entry
from pipelines.store.tracking import TrackedRun
from wordless.base.machine import cores, installed_version, library_versions, machine_memory
from wordless.training.fit import Gang

CHECKOUT = Path(__file__).parents[2]


def provenance(command: str, config: Mapping[str, object], gang: Gang, entries: Mapping[str, Entry]) -> Section:
    """Describe software, machine and options of a run, none of which enters the store; ``entries`` hold the models."""
    import torch  # options are checked before it is loaded

    name = torch.cuda.get_device_name(gang.device) if gang.device.type == "cuda" else platform.machine()
    return {
        "version": installed_version(),
        "commit": commit_of(CHECKOUT),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": _without_home(command),
        "machine": {"cpu": _cpu(), "cores": cores(), "memory": machine_memory()},
        "system": platform.platform(),
        "python": platform.python_version(),
        "device": f"{gang.device.type} ({name})",
        "threads": torch.get_num_threads(),
        "ranks": gang.size,
        "parameters": {
            name: parameters(each.folder) for name, each in entries.items() if (each.folder / CURVE).is_file()
        },
        "libraries": library_versions(),
        "config": _without_home(config),
    }


def commit_of(checkout: Path) -> str | None:
    """Return the git commit of a checkout, with "+changes" if tracked files differ; None without a checkout or git."""
    if not (checkout / ".git").exists():  # an installed package may lie in the checkout of another project
        return None
    git = ("git", "--no-optional-locks", "-C", str(checkout))
    words = ("describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changes")
    try:
        return subprocess.run([*git, *words], capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def tracked_run(folder: Path, command: str, config: Mapping[str, object]) -> TrackedRun:
    """Describe a run for trackers. A job of a sweep has the sweep's name before its own, and is in its group."""
    above, name = folder.absolute().parent, folder.absolute().name
    sweep = above.name if (above / SWEEP_WORDS).is_file() else None
    return TrackedRun(
        name=f"{sweep}/{name}" if sweep else name,
        group=sweep,
        folder=folder,
        command=_without_home(command),
        config=_without_home(config),
        version=installed_version(),
        commit=commit_of(CHECKOUT),
    )


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


Named = TypeVar("Named")  # a command, or options


def _without_home(value: Named) -> Named:
    """Replace the user's home folder by ``~``: reports and trackers may be public."""
    home = os.path.expanduser("~")  # noqa: PTH111  Path raises without a home
    begin = r"(?<![^\s='\"\[,:])" + re.escape(json.dumps(home)[1:-1]) + r"(?=[/\s'\"\],]|$)"  # of a value
    found: Named = json.loads(re.sub(begin, "~", json.dumps(value))) if home not in ("", "/") else value
    return found
