"""Notes on messages that name an option of another command.

A message of `audio` may name ``corpus.root=...``, an option of ``wordless run``. ``wordless encode`` does not take that
option, and adds a note that says so.
"""

import re
from collections.abc import Collection
from functools import cache

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException

from pipelines.commandline.commands import COMMANDS
from pipelines.commandline.refusals import options

# ``name=`` or ``group.name=``, not within a longer word, a path or an f-string's braces
MENTION = re.compile(r"(?<![\w.{}/\\-])([a-z_]\w*(?:\.[a-z_]\w*)*)=(?!=)")
OWNERS = ("run", "encode", "generate", "decode", "probe")  # commands that a message may mean, the most likely first


def advised(name: str, message: str) -> str:
    """Return the message of the command ``name``, with a note on the options in it that only another command takes."""
    mentions = dict.fromkeys(MENTION.findall(message))
    if not mentions or name not in COMMANDS:
        return message
    own = options_of(name)
    foreign = [mention for mention in mentions if not is_option(mention, own)]
    notes = []
    for owner in (owner for owner in OWNERS if owner != name and foreign):
        taken = options_of(owner)
        theirs = [mention for mention in foreign if is_option(mention, taken)]
        foreign = [mention for mention in foreign if mention not in theirs]
        if theirs and f"wordless {owner}" not in message:
            several = "are options" if len(theirs) > 1 else "is an option"
            notes.append(f"{' and '.join(theirs)} {several} of wordless {owner}, not of wordless {name}")
    return f"{message} ({'; '.join(notes)})" if notes else message


@cache
def options_of(command: str) -> frozenset[str]:
    """Return the dotted names of a command's options; none if its configuration is not in the search path."""
    running = GlobalHydra.instance().hydra  # Hydra composes no second config while it runs a command
    GlobalHydra.instance().clear()
    try:
        return frozenset(options(command, [], without=""))
    except HydraException:  # the note is an extra: the message is printed without it
        return frozenset()
    finally:
        GlobalHydra.instance().hydra = running


def is_option(mention: str, known: Collection[str]) -> bool:
    """Return whether the mentioned name is one of the known options, or a group of them."""
    return any(option == mention or option.startswith(f"{mention}.") for option in known)
