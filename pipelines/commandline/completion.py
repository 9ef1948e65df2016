"""Completion of ``wordless`` in a shell: ``eval "$(wordless --completion bash)"``.

The shell asks ``wordless --complete WORD ...`` for what may stand in the place of the last word. Neither Hydra nor
PyTorch is imported for the answer.
"""

from collections.abc import Iterable, Sequence

from pipelines.commandline.options import Index, index

SWITCHES = ("--help", "-m", "--multirun", "--cfg", "--info", "--hydra-help", "--resolve", "--package", "--config-dir")
AFTER = {"--cfg": ("job", "hydra", "all"), "-c": ("job", "hydra", "all")}
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


def candidates(words: Sequence[str], commands: Iterable[str]) -> list[str]:
    """List what may stand in the place of the last word after ``wordless``; finished words end in a space.

    bash takes ``=`` and ``:`` for words of their own: then only what follows the last of them is given back.
    """
    whole = join_words(words) or [""]
    typed, last = whole[-1], words[-1] if words else ""
    found = [word for word in _possible(whole[:-1], typed, commands) if word.startswith(typed)]
    before = typed if last in ("=", ":") else typed.removesuffix(last)
    return [word.removeprefix(before) for word in found]


def join_words(words: Sequence[str]) -> list[str]:
    """Join the words that bash divides at ``=`` and ``:``, so that they are as the user sees them."""
    whole: list[str] = []
    before = ""
    for word in words:
        if whole and (word in ("=", ":") or before in ("=", ":")):
            whole[-1] += word
        else:
            whole.append(word)
        before = word
    return whole


def _possible(before: Sequence[str], typed: str, commands: Iterable[str]) -> list[str]:
    """List the words that may come next, whatever is typed of them already."""
    match before:
        case []:
            return [f"{word} " for word in (*commands, "help", "--help", "--version", "--completion")]
        case ["--completion"]:
            return [f"{shell} " for shell in SCRIPTS]
        case ["help"]:
            return [f"{word} " for word in commands]
        case [command, *rest] if command in set(commands):
            return _of_command(index(command), rest, typed)
        case _:
            return []


def _of_command(known: Index, before: Sequence[str], typed: str) -> list[str]:
    last = before[-1] if before else ""
    if last in AFTER:
        return [f"{word} " for word in AFTER[last]]
    name, equals, _ = typed.partition("=")
    if last in HELP and not equals:
        return [*_by_level(typed, [*known.options, *known.groups], leaf=" "), "all "]
    if equals:
        return [f"{name}={value}" for value in _values(known, name.lstrip("+"))]
    if typed.startswith("-"):
        return [f"{word} " for word in SWITCHES]
    prefix = typed[: len(typed) - len(typed.lstrip("+~"))]
    bare = typed.removeprefix(prefix)
    return [
        prefix + word for word in _by_level(bare, [*known.options], leaf="=") + [f"{each}=" for each in known.groups]
    ]


def _by_level(typed: str, names: Iterable[str], *, leaf: str) -> list[str]:
    """List names up to the next dot: ``lm.`` for ``l``, ``lm.gpt.`` for ``lm.g``."""
    level = typed.count(".") + 1
    parts = [name.split(".") for name in names]
    return [*dict.fromkeys(".".join(each[:level]) + ("." if len(each) > level else leaf) for each in parts)]


def _values(known: Index, name: str) -> list[str]:
    """List the values of an option or the choices of a group; none where any text, number or path may stand."""
    if name in known.groups:
        return [f"{choice} " for choice in known.groups[name].choices]
    option = known.options.get(name)
    return [f"{value} " for value in option.values] if option is not None else []
