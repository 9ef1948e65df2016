"""``wordless doctor``: what is installed, which devices there are, and what to do about what is missing.

Each part of the install has one function that looks at it and yields findings. PyTorch is the only heavy import.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from rich.console import Console
from rich.markup import escape

from pipelines.store.store import ENTRY, StoreOptions
from wordless.base.devices import multiplies_bf16
from wordless.base.files import existing, folder_size
from wordless.base.messages import counted
from wordless.base.options import option
from wordless.base.threads import cores
from wordless.base.versions import version_of

_State = Literal["optional", "missing"]

GIGABYTE = 1e9
COMMON_FORMATS = ("WAV", "FLAC", "OGG", "MP3")
NO_SPEECH = "pip install --force-reinstall espeakng-loader; or use your own recordings: corpus=folder corpus.root=..."
PLATFORMS = ("Linux x86_64", "Darwin arm64")  # fairseq2's wheels


@dataclass(frozen=True, kw_only=True)
class DoctorConfig(StoreOptions):
    """Folders of this project that are looked at."""

    runs: Path = option(Path("runs"), "folder of the run folders")


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    name: str
    found: str
    remedy: str = ""  # what to do; "": all is well
    otherwise: _State = "missing"  # what a thing with a remedy is


def doctor(settings: DoctorConfig) -> None:
    """Print all findings; exit with code 1 if something that is needed is missing."""
    findings = [*installed()]
    for name, look, remedy in (
        ("devices", devices, "make clean install"),
        ("libsndfile", sound, "pip install --force-reinstall soundfile"),
        ("vocoder engine", engine, "make clean install"),
        ("espeak-ng", speech, NO_SPEECH),
    ):
        try:
            findings += look()
        except (ImportError, OSError) as error:
            findings.append(Finding(name, f"does not load: {error}", remedy))
    findings.append(folder("store", settings.store.root, f"*/*/{ENTRY}", of="artifact", option="store.root"))
    findings.append(folder("runs", settings.runs, "*/results.json", of="run", option="hydra.run.dir"))
    missing = show(findings)
    print(f"\nneeded: {', '.join(missing)}" if missing else "\nall that is needed is there")
    if missing:
        raise SystemExit(1)


def installed() -> Iterator[Finding]:
    """Check Python, the platform, for which fairseq2 must be built, and each dependency."""
    fits = (3, 10) <= sys.version_info < (3, 13)
    remedy = "" if fits else "install Python 3.10, 3.11 or 3.12, then: make clean install"
    yield Finding("python", f"{platform.python_version()}, {sys.executable}", remedy)
    system = f"{platform.system()} {platform.machine()}"
    yield Finding("platform", system, "" if system in PLATFORMS else f"fairseq2 is built for {', '.join(PLATFORMS)}")
    try:
        needed = [Requirement(line) for line in requires("wordless") or []]
    except PackageNotFoundError:
        yield Finding("wordless", "not installed", "make install, or: pip install -e .")
        return
    for need in needed:
        extra = str(need.marker or "").partition("extra ==")[2].strip("\"' ")
        if need.marker is None or need.marker.evaluate({"extra": extra}):  # other platforms need other libraries
            yield library(need, extra)


def library(need: Requirement, extra: str = "") -> Finding:
    """Check the version of one dependency, which may be that of an extra."""
    if (found := version_of(need.name)) is None and extra:
        return Finding(need.name, "-", f"pip install 'wordless[{extra}]'", "optional")
    fits = found is not None and need.specifier.contains(found, prereleases=True)
    return Finding(
        need.name, found or "-", "" if fits else f"make install, or: pip install '{need.name}{need.specifier}'"
    )


def devices() -> Iterator[Finding]:
    """List cores, threads and accelerators as PyTorch sees them."""
    import torch  # here, since it takes seconds

    bf16 = "with AVX512_BF16" if multiplies_bf16(torch.device("cpu")) else "without AVX512_BF16"
    yield Finding("cpu", f"{cores()} cores, {torch.get_num_threads()} threads (OMP_NUM_THREADS sets them), {bf16}")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index in range(count):
        device = torch.cuda.get_device_properties(index)
        precision = "bf16" if multiplies_bf16(torch.device("cuda", index)) else "fp32, as it has no bf16"
        memory = f"{device.total_memory / GIGABYTE:.0f} GB"
        yield Finding(f"cuda:{index}", f"{device.name}, {memory}: precision=auto trains in {precision}")
    if not count:
        found = f"no device (PyTorch is built for CUDA {torch.version.cuda or '-'})"
        yield Finding("cuda", found, "nothing: the CPU will do; if there is a GPU, install its driver", "optional")


def sound() -> Iterator[Finding]:
    """Check the library that reads recordings."""
    import soundfile

    formats = soundfile.available_formats()
    there = [name for name in COMMON_FORMATS if name in formats]
    lacking = ", ".join(name for name in COMMON_FORMATS if name not in formats)
    found = f"{soundfile.__libsndfile_version__}: {len(formats)} formats, {', '.join(there)} among them"
    remedy = f"it does not read {lacking}: pip install --upgrade soundfile" if lacking else ""
    yield Finding("libsndfile", found, remedy, "optional")


def engine() -> Iterator[Finding]:
    """Name the engine that makes a vocoder's sound here; without numba or Triton it is slow."""
    import torch

    from vocoder.engines import choose_engine

    chosen = choose_engine("auto", "cuda" if torch.cuda.is_available() else "cpu")
    yield Finding("vocoder engine", chosen.engine, chosen.notice or "", "optional")


def speech() -> Iterator[Finding]:
    """Check eSpeak NG and its voices, which come through pip and speak the embedded corpus."""
    import espeakng_loader

    ctypes.CDLL(espeakng_loader.get_library_path())
    voices = Path(espeakng_loader.get_data_path())
    yield Finding("espeak-ng", f"voices in {voices}", "" if voices.is_dir() else NO_SPEECH)


def folder(name: str, root: Path, pattern: str, *, of: str, option: str) -> Finding:
    """Count the artifacts or runs of a folder, and check the right to write where it is or will be."""
    place = existing(str(root))
    if not os.access(place, os.W_OK):
        return Finding(name, f"{place} cannot be written", f"choose another place: {option}=...")
    count = len({path.resolve() for path in root.glob(pattern)})  # `latest` is a link to a run
    return Finding(name, f"{root}: {counted(count, of)}, {folder_size(root) / GIGABYTE:.1f} GB")


def show(findings: list[Finding]) -> list[str]:
    """Print a line for each finding, and its remedy below it; return the names of what is missing."""
    console, width = Console(emoji=False), max(len(one.name) for one in findings)
    for one in findings:
        state = one.otherwise if one.remedy else "ok"
        colour = {"ok": "green", "optional": "yellow"}.get(state, "bold red")
        console.print(f"[{colour}]{state:<8}[/] {escape(f'{one.name:<{width}}  {one.found}')}", soft_wrap=True)
        if one.remedy:
            console.print(" " * (width + 11) + f"to do: {escape(one.remedy)}", soft_wrap=True)
    return [one.name for one in findings if one.remedy and one.otherwise == "missing"]
