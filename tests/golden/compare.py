"""Print each difference of two files of run.py, and exit with 1 if there is one: compare.py BEFORE AFTER."""

import json
import sys
from pathlib import Path


def main(*names: str) -> int:
    before, after = (json.loads(Path(name).read_text()) for name in names)
    different = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    for name in different:
        print(f"{name}: {before.get(name, 'absent')} -> {after.get(name, 'absent')}")
    print(f"{len(different)} of {len({*before, *after})} differ")
    return bool(different)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
