"""Completion of ``wordless`` in a shell: ``eval "$(wordless --completion bash)"``.

The shell asks ``wordless --complete WORD ...`` for what may stand in the place of the last word. Neither Hydra nor
PyTorch is imported for the answer.
"""

import re
from collections.abc import Iterable, Sequence

from pipelines.commandline.commands import COMMANDS
from pipelines.commandline.option_index import index

SWITCHES = ("--help", "-m", "--multirun", "--cfg", "--info", "--hydra-help", "--resolve", "--package", "--config-dir")
HELP = ("--help", "-h")

BASH = r"""
_wordless() {
    local IFS=$'\n'
    COMPREPLY=($("${COMP_WORDS[0]}" --complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o nospace -o bashdefault -o default -F _wordless wordless
"""
ZSH = r"""
_wordless() {
    local -a found
    found=("${(@f)$("${words[1]}" --complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then
        compadd -Q -S '' -- "${found[@]}"
    else
        compset -P '*='
        _files
    fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
compdef _wordless wordless
"""
FISH = r"""
function __wordless
    set -l typed (commandline -opc)
    $typed[1] --complete $typed[2..] (commandline -ct) 2>/dev/null | string trim --right
end
complete -c wordless -a '(__wordless)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def candidates(words: Sequence[str]) -> list[str]:
    """List what may stand in the place of the last word after ``wordless``; finished words end in a space.

    bash takes ``=`` and ``:`` for words of their own: then only what follows the last of them is given back.
    """
    whole = join_words(words)
    typed, last = whole[-1], words[-1] if words else ""
    found = [word for word in _possible(whole[:-1], typed) if word.startswith(typed)]
    before = typed if last in ("=", ":") else typed.removesuffix(last)
    return [word.removeprefix(before) for word in found]


def join_words(words: Sequence[str]) -> list[str]:
    """Join the words that bash divides at ``=`` and ``:``, so that they are as the user sees them."""
    return re.sub("\0([=:])(\0|$)", r"\1", "\0".join(words)).split("\0")


def _possible(before: Sequence[str], typed: str) -> list[str]:
    """List the words that may come next, whatever is typed of them already."""
    match before:
        case []:
            return _ended([*COMMANDS, "help", "--help", "--version", "--completion"])
        case ["--completion"]:
            return _ended(SCRIPTS)
        case ["help"]:
            return _ended(COMMANDS)
        case [_, *_, "--cfg" | "-c"]:
            return _ended(["job", "hydra", "all"])
    known, (name, equals, _) = index(before[0]), typed.partition("=")
    if equals:
        group, option = known.groups.get(name.lstrip("+")), known.options.get(name.lstrip("+"))
        return _ended(f"{name}={value}" for value in (group.choices if group else option.values if option else ()))
    if before[-1] in HELP:
        return [*_by_level(typed, [*known.options, *known.groups], leaf=" "), "all "]
    if typed.startswith("-"):
        return _ended(SWITCHES)
    prefix = typed[: len(typed) - len(typed.lstrip("+~"))]
    names = _by_level(typed.removeprefix(prefix), known.options, leaf="=")
    return [prefix + word for word in (*names, *(f"{group}=" for group in known.groups))]


def _ended(words: Iterable[str]) -> list[str]:
    return [f"{word} " for word in words]


def _by_level(typed: str, names: Iterable[str], *, leaf: str) -> list[str]:
    """List names up to the next dot: ``lm.`` for ``l``, ``lm.gpt.`` for ``lm.g``."""
    level = typed.count(".") + 1
    parts = [name.split(".") for name in names]
    return [*dict.fromkeys(".".join(each[:level]) + ("." if len(each) > level else leaf) for each in parts)]
