"""Print each difference of two files of run.py, and exit with 1 if there is one: compare.py BEFORE AFTER."""

import json
import sys
from pathlib import Path

before, after = (json.loads(Path(name).read_text()) for name in sys.argv[1:3])
different = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
for name in different:
    print(f"{name}: {before.get(name, 'absent')} -> {after.get(name, 'absent')}")
print(f"{len(different)} of {len({*before, *after})} differ")
sys.exit(bool(different))
