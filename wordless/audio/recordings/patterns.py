"""Patterns of names: the roles that the parts of a path have, such as ``{group}/{label}/*``.

==================================  =======================================
``{label}`` ``{group}`` ``{fold}``  one character or more, without ``/``
``{split}``                         likewise: train, validation or test
``{index}``                         digits
``*``                               no or any characters, without ``/``
``**``                              no or any characters
==================================  =======================================

A pattern with ``/`` is matched with the path below the corpus root, one without only with the file's name. If its last
part has no dot, the suffix of the file is left out before. A name has one reading only: `read_names` gives the first
and the last of all, which differ where there are several::

    {label}_{group}_{index}.wav     wren_anna_00.wav          wren, anna
    {label}_{group}_{index}.wav     great_tit_anna_00.wav     great, tit_anna; or great_tit, anna: refused

Python's regular expressions take hours for some patterns and names, such as 4,000 underscores. The time of those of
Arrow (RE2) grows with the length of the pattern times that of the name.
"""

import re
from collections.abc import Iterator, Sequence

from pyarrow import array, compute, string

from wordless.base.messages import InputError

ROLES = ("label", "group", "split", "fold", "index")
Roles = dict[str, str]  # role -> its text
_MOST_GAPS = 100
_SUFFIX = re.compile(r"(?<=[^/])\.[^./]*\Z")
_TOKEN = re.compile(r"\{[^{}]*\}|\*\*|\*|[^*{}]+|[{}]")


def roles_of(pattern: str) -> tuple[str, ...]:
    """Return the roles of a pattern, in order; refuse a malformed pattern."""
    names = tuple(re.findall(r"\{([^{}]*)\}", pattern))
    rest, gaps = re.sub(r"\{[^{}]*\}", "", pattern), sum(token[0] in "*{" for token in _TOKEN.findall(pattern))
    if not pattern or not {*names} <= {*ROLES} or len({*names}) < len(names) or {*"{}"} & {*rest} or gaps > _MOST_GAPS:
        roles = ", ".join(f"{{{name}}}" for name in ROLES)
        rule = f"write at most {_MOST_GAPS} of the roles {roles}, each once, and of asterisks"
        raise InputError(option="pattern", value=pattern, rule=rule)
    return names


def read_names(pattern: str, paths: Sequence[str]) -> Iterator[tuple[Roles, Roles] | None]:
    """Give the first and the last reading of each path below the corpus root; None: it does not fit.

    All other readings lie between both in the order of the lengths of their parts. So if both agree up to the last
    role, there is one reading.
    """
    roles_of(pattern)
    whole = "." in pattern.rpartition("/")[2]
    texts = paths if "/" in pattern else [path.rpartition("/")[2] for path in paths]
    texts = texts if whole else [_SUFFIX.sub("", text) for text in texts]
    # a name may have bytes that are not UTF-8
    known = array([text.encode(errors="replace").decode() for text in texts], string())
    first, last = (compute.extract_regex(known, pattern=_regex(pattern, lazy)).to_pylist() for lazy in ("?", ""))
    for one, other in zip(first, last, strict=True):
        yield None if one is None else (one, other)


def roles_read(pattern: str, paths: Sequence[str]) -> list[Roles | None]:
    """Return the roles of paths by their only reading; None: they do not fit, or in several ways."""
    names = roles_of(pattern)
    pairs = read_names(pattern, paths)
    return [{name: pair[0][name] for name in names} if pair and pair[0] == pair[1] else None for pair in pairs]


def _regex(pattern: str, lazy: str) -> str:
    """Return the expression of RE2 whose gaps are as short as possible (``lazy`` is "?"), or as long as possible."""
    kinds = {"*": f"[^/]*{lazy}", "**": f"(?s:.*{lazy})", "{index}": f"[0-9]+{lazy}"}
    tokens, made = _TOKEN.findall(pattern), "(?P<all>"
    last = max((place for place, token in enumerate(tokens) if token[0] == "{"), default=-1)
    for place, token in enumerate(tokens):
        text = kinds.get(token) or (f"[^/]+{lazy}" if token[0] == "{" else re.escape(token))
        gap = token[0] in "*{" and place <= last  # gaps behind the last role are of no matter
        made += f"(?P<{token.strip('{}') if token[0] == '{' else f'gap{place}'}>{text})" if gap else text
    return f"^{made})$"
