"""Folders that cannot be renamed, as those of the lower layers of a container's image: a library to be preloaded."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

typedef int (*renaming)(const char *, const char *);

int rename(const char *from, const char *to) {
  const char *root = getenv("IMAGE_LAYERS");
  char whole[PATH_MAX];
  struct stat found;
  if (root && !lstat(from, &found) && S_ISDIR(found.st_mode) && found.st_mtime < 1000000000 && realpath(from, whole) &&
      !strncmp(whole, root, strlen(root))) {
    errno = EXDEV;
    return -1;
  }
  return ((renaming)dlsym(RTLD_NEXT, "rename"))(from, to);
}
"""
OLD = 900_000_000  # time of change of folders of the image


def of_image(root: Path, place: Path) -> dict[str, str]:
    """Make all folders below ``root`` those of an image; return the environment of processes that cannot rename them.

    The library is built in ``place``.
    """
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    (place / "layers.c").write_text(SOURCE)
    library = place / "layers.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, place / "layers.c", "-ldl"], check=True)
    for folder, _, _ in os.walk(root, topdown=False):
        os.utime(folder, (OLD, OLD))
    return {"LD_PRELOAD": str(library), "IMAGE_LAYERS": str(root)}
