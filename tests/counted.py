"""Calls of our functions while a command works: ``python -m tests.counted words...`` prints them as JSON at the end.

What imports call is not counted, nor tests. A generator counts each time it goes on.
"""

import cProfile
import json
import sys
from collections import Counter
from pathlib import Path

from pipelines.cli import main
from pipelines.commands import COMMANDS
from pipelines.settings.run_settings import RunSettings
from tokenizer.tokenizer_config import TokenizerConfig

ROOT = Path(__file__).parents[1]
OURS = tuple(f"{ROOT / name}/" for name in ("tokenizer", "lm", "vocoder", "pipelines", "conf", "wordless"))
BUILT = {each.__init__.__code__: each.__name__ for each in (RunSettings, TokenizerConfig)}


def counted(*words: str) -> dict[str, dict[str, int]]:
    """Call a command; count the calls of each of our files, and how often each class of `BUILT` was made."""
    assert COMMANDS, "all is imported before"
    sys.argv = ["wordless", *words]
    profile, calls, built = cProfile.Profile(builtins=False), Counter[str](), dict.fromkeys(BUILT.values(), 0)
    profile.runcall(main)
    for entry in profile.getstats():
        if isinstance(entry.code, str):
            continue
        if entry.code in BUILT:
            built[BUILT[entry.code]] += entry.callcount
        if entry.code.co_filename.startswith(OURS):
            calls[entry.code.co_filename.removeprefix(f"{ROOT}/")] += entry.callcount
    return {"calls": dict(calls.most_common()), "built": built}


if __name__ == "__main__":
    print(json.dumps(counted(*sys.argv[1:])))
