"""``python -m pipelines.run``: the command ``wordless run`` for torchrun, which calls a module."""

from pipelines.commandline.command import start
from pipelines.commands import COMMANDS

if __name__ == "__main__":
    start(COMMANDS["run"])
