"""``wordless <command> [name=value ...]``: the first word picks the command, the rest is Hydra's.

The commands are imported inside functions here: a training begins its process anew first (`console`), and ``--version``
needs none of them.
"""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

from pipelines.commandline.broken_library import broken_library
from wordless.base.files import require_current_folder
from wordless.base.imports import large_imports
from wordless.base.messages import InputError, suggestion
from wordless.base.versions import installed_version

if TYPE_CHECKING:
    from pipelines.commandline.command import Command

_EXAMPLES = """\
  wordless run                                              the built-in corpus; some minutes on a laptop
  wordless run experiment=smoke                             the same in two minutes, to see that all is well
  wordless run corpus=folder corpus.root=~/recordings       your own recordings
  wordless run -m tokenizer.codebook_size=64,256            a sweep; what does not depend on the size is computed once
  wordless encode model=runs/x input=a.wav output=a.parquet
  wordless generate model=runs/x prompt=a.wav seconds=5 output=more
  wordless run --help                                       the options; of one group: wordless run --help lm
  eval "$(wordless -sc install=bash)"                       Hydra completes options with the tab key; or zsh, fish
"""


# Freed memory is kept, and comes in huge pages. A step of WaveNet takes 0.4 to 0.65 of the CPU time, the
# smoke run 0.72, with as much memory (1.5 GiB; an Intel Xeon, one thread, 16 layers, 8 crops of 5,120 samples).
MEMORY = "glibc.malloc.hugetlb=1:glibc.malloc.trim_threshold=1073741824:glibc.malloc.mmap_threshold=1073741824"
TRAIN = ("run", "finetune")


def console() -> None:
    """Entry point of the console script: `main`, for commands that train in a process that begins with `MEMORY`.

    glibc reads its settings when a process begins, so this process begins anew, with the same words and number. Whoever
    sets GLIBC_TUNABLES decides alone.
    """
    if sys.platform == "linux" and sys.argv[1:2] and sys.argv[1] in TRAIN and not os.environ.get("GLIBC_TUNABLES"):
        os.environ["GLIBC_TUNABLES"] = MEMORY
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    main()


def main() -> None:
    """Run one command of the console."""
    words = sys.argv[1:]
    match words:
        case [] | ["-h" | "--help" | "help"]:
            print_overview()
        case ["-sc", word]:  # of Hydra's completion, whose line in the shell has our command behind the program
            program, _, line = os.environ.get("COMP_LINE", "").partition(" ")
            command, more, line = line.partition(" ")
            if word.startswith("query=") and not more:  # the command itself is being written
                print("\n".join(name for name in commands() if name.startswith(command)))
                return
            os.environ["COMP_LINE"] = f"{program} {line}"
            call(command if command in commands() else "run", ["-sc", word])
        case ["--version"]:
            print(f"wordless {installed_version()}")
        case ["help", command, *rest]:
            call(command, ["--help", *rest])
        case [command, *rest]:
            call(command, rest)


def refuse(problem: str) -> NoReturn:
    print(f"wordless: {problem}", file=sys.stderr)
    raise SystemExit(2)


def commands() -> "Mapping[str, Command]":
    """Import the table of the commands, and with it PyTorch; refuse an installation in which a library is broken."""
    try:
        require_current_folder()  # in a deleted one MKL, which PyTorch loads, ends the process in words of its own
    except InputError as error:
        refuse(str(error))
    with large_imports():
        try:
            from pipelines.commands import COMMANDS
        except Exception as error:
            if (problem := broken_library(error)) is None:
                raise
            refuse(str(problem))
    return COMMANDS


def call(name: str, words: list[str]) -> None:
    """Run one command, or exit with code 2 if there is none of that name."""
    table = commands()
    if name not in table:
        meant = next((own for own, each in table.items() if name in each.synonyms), name)
        refuse(f"{name!r} is not a command; {suggestion(meant, table)}")
    sys.argv = [f"wordless {name}", *words]
    from pipelines.commandline.command import start

    start(table[name])


def print_overview() -> None:
    """Print commands and examples, one line each; a reader such as ``head`` may leave before the end."""
    title, usage = "wordless: audio language modelling without text", "usage: wordless COMMAND [name=value ...]"
    lines = "\n".join(f"  {name:<10}{each.purpose}" for name, each in commands().items())
    try:
        print(f"{title}\n\n{usage}\n\ncommands\n{lines}\n\nexamples\n{_EXAMPLES}", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit


if __name__ == "__main__":
    console()
