"""Provenance of results: version and commit, machine, device and threads, sizes of the models, and every option.

Nothing here enters the store: two runs on two machines share entries, and their provenance differs.
"""

import platform
import shlex
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from math import prod
from pathlib import Path

from pipelines.results.run_record import Provenance
from pipelines.store.store import CURVE, Entry, library_versions
from pipelines.tracking.tracker import TrackedRun
from wordless.base.machine import cores, installed_version, machine_memory
from wordless.base.saved_models import read_header
from wordless.training.gangs import Gang

CHECKOUT = Path(__file__).parents[2]
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch normalisation: no parameters


def provenance(command: str, config: Mapping[str, object], gang: Gang, entries: Mapping[str, Entry]) -> Provenance:
    """Describe software, machine and options of a run; ``config`` is the composed one, ``entries`` hold the models."""
    import torch  # options are checked before it is loaded

    name = torch.cuda.get_device_name(gang.device) if gang.device.type == "cuda" else platform.machine()
    return Provenance(
        version=installed_version(),
        commit=commit_of(CHECKOUT),
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=_command_without_home(command),
        machine={"cpu": _cpu(), "cores": cores(), "memory": machine_memory()},
        system=_system(),
        python=platform.python_version(),
        device=f"{gang.device.type} ({name})",
        threads=torch.get_num_threads(),
        ranks=gang.size,
        parameters={name: parameters(each.folder) for name, each in entries.items() if (each.folder / CURVE).is_file()},
        libraries=library_versions(),
        config={name: _without_home(value, str(Path.home())) for name, value in config.items()},
    )


def commit_of(checkout: Path) -> str | None:
    """Return the git commit of a checkout, with "+changes" if tracked files differ; None without a checkout or git."""
    if not (checkout / ".git").exists():  # an installed package may lie in the checkout of another project
        return None
    try:
        commit = _git(checkout, "rev-parse", "HEAD")
        changed = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changes" if changed else commit


def tracked_run(
    folder: Path, command: str, config: Mapping[str, object], *, name: str = "", group: str | None = None
) -> TrackedRun:
    """Describe a run for trackers; its name is by default that of its folder."""
    return TrackedRun(
        name=name or folder.absolute().name,
        group=group,
        folder=folder,
        command=_command_without_home(command),
        config={name: _without_home(value, str(Path.home())) for name, value in config.items()},
        version=installed_version(),
        commit=commit_of(CHECKOUT),
    )


def parameters(folder: Path) -> int:
    """Count the parameters of an entry's models, from the headers of its safetensors files."""
    return sum(
        prod(shape)
        for path in sorted(folder.glob("*.safetensors"))
        for name, (_, shape) in read_header(path).items()
        if not name.endswith(STATISTICS)
    )


def _git(checkout: Path, *words: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(checkout), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    kernel = f"{platform.system()} {platform.release()}"
    with suppress(OSError):
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    return kernel


def _command_without_home(command: str) -> str:
    """Replace the user's home folder in the options of a command by ``~``: reports and trackers may be public."""
    words = [word.partition("=") for word in shlex.split(command)]
    return shlex.join(f"{name}{equals}{_without_home(value, str(Path.home()))}" for name, equals, value in words)


def _without_home(value: object, home: str) -> object:
    """Replace the user's home folder in an option by ``~``, which the command line accepts."""
    match value:
        case str() if home != "/" and (value == home or value.startswith(f"{home}/")):
            return f"~{value[len(home) :]}"
        case Mapping():
            return {name: _without_home(each, home) for name, each in value.items()}
        case list() | tuple():
            return [_without_home(each, home) for each in value]
        case _:
            return value
