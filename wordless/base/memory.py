"""Main memory that this process may use, and has used."""

import ctypes
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # versions 2 and 1

# Parameters of glibc's mallopt(3).
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
MAPPINGS = 65_536  # glibc's own limit of blocks with a mapping each
LARGEST_THRESHOLD = 32 * 2**20  # bytes; glibc raises its threshold to this by itself


def machine_memory() -> int:
    """Return the bytes of main memory: the machine's, or the limit of this process's container if it is lower."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in CGROUP_LIMITS:
        try:
            limits.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # there is no limit: the file is missing or says "max"
            continue
    return min(limits)


def peak_memory() -> float:
    """Return the most resident memory of this process, in bytes."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1024 if sys.platform == "linux" else 1)


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Let the C library keep the memory that is freed, for a loop that needs as much again at once.

    Otherwise glibc returns large blocks to the system, and the next step of a training gets them anew, page by page: on
    two cores that took a sixth of a step of WaveNet. Other C libraries are left as they are.
    """
    library = ctypes.CDLL(None)
    set_option, trim = (getattr(library, name, None) for name in ("mallopt", "malloc_trim"))
    if set_option is None or trim is None:
        yield
        return
    set_option(MMAP_MAX, 0)
    set_option(TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        set_option(MMAP_MAX, MAPPINGS)
        set_option(MMAP_THRESHOLD, LARGEST_THRESHOLD)
        set_option(TRIM_THRESHOLD, 2 * LARGEST_THRESHOLD)
        trim(0)
